package compose

import (
	"testing"
	"time"

	"github.com/moby/moby/api/types/events"
)

func TestFates(t *testing.T) {
	const id = "1f0c"
	tests := map[string]struct {
		events  []events.Action
		revived bool
	}{
		"killed":                         {[]events.Action{events.ActionKill, events.ActionDie}, true},
		"killed while it is stopped":     {[]events.Action{events.ActionKill, events.ActionKill, events.ActionDie, events.ActionStop}, false},
		"stopped":                        {[]events.Action{events.ActionKill, events.ActionDie, events.ActionStop}, false},
		"removed by force":               {[]events.Action{events.ActionKill, events.ActionDie, events.ActionDestroy}, false},
		"crashed":                        {[]events.Action{events.ActionDie}, false},
		"crashed, started by the engine": {[]events.Action{events.ActionDie, events.ActionStart}, false},
		"restarted":                      {[]events.Action{events.ActionKill, events.ActionDie, events.ActionStop, events.ActionStart, events.ActionRestart}, false},
		"sent a harmless signal":         {[]events.Action{events.ActionKill}, false},
		"killed again after its start":   {[]events.Action{events.ActionKill, events.ActionDie, events.ActionStart, events.ActionKill, events.ActionDie}, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			f, now := fates{}, time.Now()
			for _, action := range test.events {
				f.observe(events.Message{Action: action, Actor: events.Actor{ID: id}}, now)
			}
			if early := f.due(now.Add(restartAfter - time.Millisecond)); len(early) > 0 {
				t.Errorf("due before %v: %v", restartAfter, early)
			}
			if got := len(f.due(now.Add(restartAfter))) == 1; got != test.revived {
				t.Errorf("revived = %v, want %v", got, test.revived)
			}
			if at, ok := f.next(); ok != test.revived || (ok && !at.Equal(now.Add(restartAfter))) {
				t.Errorf("next = %v, %v", at, ok)
			}
		})
	}
}
