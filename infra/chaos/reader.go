package chaos

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Problem is one mistake in a file.
type Problem struct {
	File  string
	Line  int
	Field string // targets.victim.select; "" is the file itself
	Text  string // says what to write instead
}

// String is the problem as compilers say theirs.
func (p Problem) String() string {
	if p.Field == "" {
		return fmt.Sprintf("%s:%d: %s", p.File, p.Line, p.Text)
	}
	return fmt.Sprintf("%s:%d: %s: %s", p.File, p.Line, p.Field, p.Text)
}

// Problems are all mistakes of a file, by line.
type Problems []Problem

func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, one := range p {
		lines[i] = one.String()
	}
	return strings.Join(lines, "\n")
}

// reader collects what is wrong with a document.
type reader struct {
	file     string
	problems Problems
}

func (r *reader) complain(line int, field, format string, args ...any) {
	r.problems = append(r.problems, Problem{r.file, max(line, 1), field, fmt.Sprintf(format, args...)})
}

// object is a mapping of known fields. Each getter returns the zero value for a
// field that is missing, and for one that is wrong after a complaint.
type object struct {
	r      *reader
	path   string
	line   int
	fields map[string]*yaml.Node
}

// object reads a mapping. Fields that the grammar does not give it are mistakes.
func (r *reader) object(n *yaml.Node, path, kind string) object {
	o := object{r: r, path: path, fields: map[string]*yaml.Node{}}
	if n == nil {
		return o
	}
	o.line = n.Line
	known := grammar[kind]
	for key, value := range r.pairs(n, path) {
		if !slices.Contains(known, key.Value) {
			r.complain(key.Line, join(path, key.Value), "there is no such field%s; %s has %s",
				didYouMean(key.Value, known), thing(path), strings.Join(known, ", "))
			continue
		}
		o.fields[key.Value] = value
	}
	return o
}

// pairs yields the keys of a mapping with their values, each key once.
func (r *reader) pairs(n *yaml.Node, path string) func(func(key, value *yaml.Node) bool) {
	return func(yield func(key, value *yaml.Node) bool) {
		n = resolve(n)
		if n.Kind != yaml.MappingNode {
			r.complain(n.Line, path, "write fields here, as in \"name: value\", not %s", describe(n))
			return
		}
		seen := map[string]bool{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := n.Content[i]
			if seen[key.Value] {
				r.complain(key.Line, join(path, key.Value), "the field is there twice; keep one")
				continue
			}
			seen[key.Value] = true
			if !yield(key, resolve(n.Content[i+1])) {
				return
			}
		}
	}
}

func (o object) has(field string) bool { return o.fields[field] != nil }

// at returns the line of a field, or of the object where it is missing.
func (o object) at(field string) int {
	if n := o.fields[field]; n != nil {
		return n.Line
	}
	return o.line
}

func (o object) complain(field, format string, args ...any) {
	o.r.complain(o.at(field), join(o.path, field), format, args...)
}

// need complains about a missing field and says what to write.
func (o object) need(field, example string) bool {
	if o.has(field) {
		return true
	}
	o.complain(field, "is missing; write %s: %s", field, example)
	return false
}

func (o object) object(field, kind string) object {
	child := o.r.object(o.fields[field], join(o.path, field), kind)
	if child.line == 0 {
		child.line = o.line
	}
	return child
}

// list yields the elements of a list with their paths.
func (o object) list(field string) func(func(path string, n *yaml.Node) bool) {
	return func(yield func(path string, n *yaml.Node) bool) {
		n := o.fields[field]
		if n == nil {
			return
		}
		if n.Kind != yaml.SequenceNode {
			o.complain(field, "write a list here, each element after a dash, not %s", describe(n))
			return
		}
		for i, child := range n.Content {
			if !yield(fmt.Sprintf("%s[%d]", join(o.path, field), i), resolve(child)) {
				return
			}
		}
	}
}

func (o object) text(field string) string {
	n := o.fields[field]
	if n == nil {
		return ""
	}
	if n.Kind != yaml.ScalarNode || n.Tag == "!!null" || strings.TrimSpace(n.Value) == "" {
		o.complain(field, "write a text, not %s", describe(n))
		return ""
	}
	return n.Value
}

// oneOf reads a text out of a few.
func (o object) oneOf(field string, words ...string) string {
	word := o.text(field)
	if word != "" && !slices.Contains(words, word) {
		o.complain(field, "write one of %s%s, not %q", strings.Join(words, ", "), didYouMean(word, words), word)
		return ""
	}
	return word
}

func (o object) texts(field string) (texts []string) {
	for path, n := range o.list(field) {
		if n.Kind != yaml.ScalarNode {
			o.r.complain(n.Line, path, "write a text, not %s", describe(n))
			continue
		}
		texts = append(texts, n.Value)
	}
	return texts
}

func (o object) duration(field string) time.Duration { return o.span(field, 0, maxPhase) }

// span reads a duration from low to high.
func (o object) span(field string, low, high time.Duration) time.Duration {
	n := o.fields[field]
	if n == nil {
		return 0
	}
	d, err := time.ParseDuration(n.Value)
	if n.Kind != yaml.ScalarNode || err != nil || n.Tag == "!!int" && n.Value != "0" {
		o.complain(field, "write a duration with its unit, as 30s, 300ms or 1m30s, not %s", describe(n))
		return 0
	}
	if d < low || d > high {
		o.complain(field, "write a duration of %s to %s, not %s", low, high, n.Value)
		return 0
	}
	return d
}

// number reads a number from low to high.
func (o object) number(field string, low, high float64) float64 {
	n := o.fields[field]
	if n == nil {
		return 0
	}
	x, ok := number(n)
	if !ok || x < low || x > high {
		o.complain(field, "write a number from %s to %s, not %s", decimal(low), decimal(high), describe(n))
		return 0
	}
	return x
}

func (o object) integer(field string, low, high int) int {
	n := o.fields[field]
	if n == nil {
		return 0
	}
	i, err := strconv.Atoi(n.Value)
	if n.Tag != "!!int" || err != nil || i < low || i > high {
		o.complain(field, "write a whole number from %d to %d, not %s", low, high, describe(n))
		return 0
	}
	return i
}

func (o object) boolean(field string) bool {
	n := o.fields[field]
	if n == nil {
		return false
	}
	if n.Tag != "!!bool" {
		o.complain(field, "write true or false, not %s", describe(n))
	}
	return n.Value == "true"
}

// number reads a finite number.
func number(n *yaml.Node) (float64, bool) {
	if n.Tag != "!!int" && n.Tag != "!!float" {
		return 0, false
	}
	x, err := strconv.ParseFloat(n.Value, 64)
	return x, err == nil && !math.IsInf(x, 0) && !math.IsNaN(x)
}

func decimal(x float64) string { return strconv.FormatFloat(x, 'g', -1, 64) }

// resolve follows an alias; an anchor cannot be an alias itself.
func resolve(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

// describe is what stands there, as a person would say it.
func describe(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "fields"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.Tag == "!!null":
		return "nothing"
	}
	return strconv.Quote(n.Value)
}

func join(path, field string) string {
	if path == "" || field == "" {
		return path + field
	}
	return path + "." + field
}

func thing(path string) string {
	if path == "" {
		return "an experiment"
	}
	return path
}

// didYouMean names the known word that is meant, if one is near.
func didYouMean(word string, known []string) string {
	best, distance := "", 1+len(word)/3
	for _, k := range known {
		if d := edits(strings.ToLower(word), k); d <= distance {
			best, distance = k, d-1
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(" (did you mean %s?)", best)
}

// edits counts the letters to add, drop or change between two words.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := before
			if a[i] != b[j] {
				change++
			}
			before = row[j+1]
			row[j+1] = min(change, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}
