package discovery

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// answer reads "a b! c-": a is up, b critical, c draining. "a@2" is a at
// another address.
func answer(text string) []listed {
	var out []listed
	for word := range strings.FieldsSeq(text) {
		l := listed{}
		switch word[len(word)-1] {
		case '!':
			l.state = down
		case '-':
			l.state = leaving
		}
		word = strings.TrimRight(word, "!-")
		l.ID, l.Addr, _ = strings.Cut(word, "@")
		l.name = l.ID
		out = append(out, l)
	}
	return out
}

// told writes the published set as "a b?": b is doubted.
func told(instances []Instance) string {
	var out []string
	for _, i := range instances {
		word := i.ID
		if i.Addr != "" {
			word += "@" + i.Addr
		}
		if i.Doubted {
			word += "?"
		}
		out = append(out, word)
	}
	return strings.Join(out, " ")
}

func TestMemory(t *testing.T) {
	const grace = 10 * time.Second
	type step struct {
		at     float64 // seconds
		answer string
		reset  bool
		want   string
	}
	for name, steps := range map[string][]step{
		"one of three dies": {
			{0, "a b c", false, "a b c"},
			{1, "a b c!", false, "a b"},
			{2, "a b", false, "a b"},
		},
		"half of two is believed": {
			{0, "a b", false, "a b"},
			{1, "a", false, "a"},
		},
		"most vanish at once": {
			{0, "a b c", false, "a b c"},
			{1, "a", false, "a b? c?"},
			{10.9, "a", false, "a b? c?"},
			{11, "a", false, "a"},
		},
		"most vanish one after the other": {
			{0, "a b c", false, "a b c"},
			{1, "a b c!", false, "a b"},
			{1.2, "a b! c!", false, "a b? c?"},
			{1.3, "a! b! c!", false, "a? b? c?"},
			{1.5, "a b c!", false, "a b"},
			{1.6, "a b c", false, "a b c"},
		},
		"a slow decline is believed": {
			{0, "a b c", false, "a b c"},
			{1, "a b", false, "a b"},
			{12, "a", false, "a"},
		},
		"nothing left is believed after the grace": {
			{0, "a b c", false, "a b c"},
			{1, "", false, "a? b? c?"},
			{11, "", false, ""},
		},
		"who says goodbye is believed at once": {
			{0, "a b c", false, "a b c"},
			{1, "a b- c-", false, "a"},
			{1.1, "a", false, "a"},
			{2, "a-", false, ""},
		},
		"a restarted Consul forgot": {
			{0, "a b c", false, "a b c"},
			{1, "", true, "a? b? c?"},
			{1.2, "b", false, "a? b c?"},
			{1.3, "b c", false, "a? b c"}, // 1 of 3, yet doubted: it had no chance to return
			{11, "b c", false, "b c"},
		},
		"who was dead before Consul restarted stays dead": {
			{0, "a b c", false, "a b c"},
			{1, "a b c!", false, "a b"},
			{2, "a b", true, "a b"},
		},
		"doubts held up by Consul's death are renewed": {
			{0, "a b c", false, "a b c"},
			{1, "a! b! c!", false, "a? b? c?"},
			{30, "", true, "a? b? c?"},
			{39.9, "", false, "a? b? c?"},
			{40, "", false, ""},
		},
		"the same id at another address moved": {
			{0, "a@1 b@1", false, "a@1 b@1"},
			{1, "a@2 b@2", true, "a@2 b@2"},
		},
		"who returns is not doubted": {
			{0, "a", false, "a"},
			{1, "", true, "a?"},
			{2, "a", false, "a"},
			{3, "", false, "a?"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMemory(grace)
			start := time.Now()
			for n, s := range steps {
				now := start.Add(time.Duration(s.at * float64(time.Second)))
				if got := told(m.believe(now, answer(s.answer), s.reset)); got != s.want {
					t.Errorf("step %d: after %q got %q, want %q", n, s.answer, got, s.want)
				}
			}
		})
	}
}

// The next query must end when the oldest doubt does.
func TestMemoryNext(t *testing.T) {
	m := newMemory(10 * time.Second)
	start := time.Now()
	if _, ok := m.next(); ok {
		t.Error("nothing is missing, yet a doubt ends")
	}
	m.believe(start, answer("a b c"), false)
	m.believe(start.Add(time.Second), answer("a b"), false)
	m.believe(start.Add(2*time.Second), answer("a"), false)
	if end, ok := m.next(); !ok || !end.Equal(start.Add(11*time.Second)) {
		t.Errorf("next = %v after the start, want 11s", end.Sub(start))
	}
}

// A snapshot that says nothing new wakes nobody.
func TestPublishOnlyNews(t *testing.T) {
	s := NewStatic(Instance{ID: "a", Addr: "h:1"})
	first := s.Snapshot()
	s.Set(Instance{ID: "a", Addr: "h:1"})
	select {
	case <-first.Changed():
		t.Error("the same set was announced as a change")
	default:
	}
	for n, other := range [][]Instance{
		{{ID: "a", Addr: "h:2"}},
		{{ID: "a", Addr: "h:2", Weight: 5}},
		{{ID: "a", Addr: "h:2", Weight: 5, Meta: map[string]string{"k": "v"}}},
		{{ID: "a", Addr: "h:2"}, {ID: "b", Addr: "h:3"}},
		{},
	} {
		before := s.Snapshot()
		s.Set(other...)
		select {
		case <-before.Changed():
		default:
			t.Errorf("change %d was not announced", n)
		}
	}
	if !slices.IsSortedFunc(first.Instances, byID) {
		t.Error(fmt.Sprint("not sorted: ", first.Instances))
	}
}
