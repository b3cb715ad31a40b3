// Package wiretest holds what the tests of the transports share: random
// values, a fake behind the endpoints, servers and the contract suite that is
// run over each of them.
package wiretest

import (
	"math/rand"
	"reflect"
	"strings"
	"testing"
	"testing/quick"
	"time"
)

// letters leave out what no URL can carry as a segment and include what needs
// escaping.
var letters = []rune("abcXYZ019-_%?&+ ;=\"<é世🫖")

// Random returns a T with every exported field set; slices are never nil and
// strings never empty, times have a zone and nanoseconds.
func Random[T any](r *rand.Rand) T {
	var v T
	fill(r, reflect.ValueOf(&v).Elem(), "")
	return v
}

func fill(r *rand.Rand, v reflect.Value, tag reflect.StructTag) {
	if v.Type() == reflect.TypeFor[time.Time]() {
		v.Set(reflect.ValueOf(time.Unix(r.Int63n(4e9)-1e9, r.Int63n(1e9)).In(time.FixedZone("x", 3600*r.Intn(12)))))
		return
	}
	switch v.Kind() {
	case reflect.String:
		text := make([]rune, 1+r.Intn(12))
		for i := range text {
			text[i] = letters[r.Intn(len(letters))]
		}
		text[0], text[len(text)-1] = 'a', 'z' // headers are trimmed
		if _, ok := tag.Lookup("header"); ok {
			text = []rune("key-" + string(rune('a'+r.Intn(26))))
		}
		v.SetString(string(text))
	case reflect.Int, reflect.Int64:
		v.SetInt(r.Int63() - r.Int63())
	case reflect.Bool:
		v.SetBool(r.Intn(2) == 0)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(r, v.Elem(), tag)
	case reflect.Slice:
		n := r.Intn(4)
		if strings.Contains(tag.Get("json"), "omitempty") {
			n = max(n, 1) // an empty one is omitted and comes back nil
		}
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range v.Len() {
			fill(r, v.Index(i), "")
		}
	case reflect.Struct:
		for i := range v.NumField() {
			fill(r, v.Field(i), v.Type().Field(i).Tag)
		}
	default:
		panic("wiretest: no random " + v.Type().String())
	}
}

// Equal compares like reflect.DeepEqual, except that times are equal when they
// are the same instant: a zone does not survive the wire and need not.
func Equal(a, b any) bool {
	return reflect.DeepEqual(inUTC(a), inUTC(b))
}

// inUTC returns a deep copy of v with every time in UTC.
func inUTC(v any) any {
	if v == nil {
		return nil
	}
	out := reflect.New(reflect.TypeOf(v)).Elem()
	copyUTC(out, reflect.ValueOf(v))
	return out.Interface()
}

func copyUTC(dst, src reflect.Value) {
	if t, ok := reflect.TypeAssert[time.Time](src); ok {
		dst.Set(reflect.ValueOf(t.Round(0).UTC()))
		return
	}
	dst.Set(src)
	switch src.Kind() {
	case reflect.Struct:
		for i := range src.NumField() {
			copyUTC(dst.Field(i), src.Field(i))
		}
	case reflect.Slice:
		if src.IsNil() {
			return
		}
		dst.Set(reflect.MakeSlice(src.Type(), src.Len(), src.Len()))
		for i := range src.Len() {
			copyUTC(dst.Index(i), src.Index(i))
		}
	case reflect.Pointer:
		if src.IsNil() {
			return
		}
		dst.Set(reflect.New(src.Type().Elem()))
		copyUTC(dst.Elem(), src.Elem())
	}
}

// Lossless proves that from undoes to, for random values and for the zero
// value. A nil slice may come back empty.
func Lossless[T, P any](t *testing.T, to func(T) P, from func(P) T) {
	t.Helper()
	config := &quick.Config{Values: func(args []reflect.Value, r *rand.Rand) {
		args[0] = reflect.ValueOf(Random[T](r))
	}}
	if err := quick.Check(func(v T) bool { return Equal(from(to(v)), v) }, config); err != nil {
		t.Errorf("%T: %v", *new(T), err)
	}
	var zero T
	want := reflect.New(reflect.TypeFor[T]()).Elem()
	for _, f := range want.Fields() {
		if f.Kind() == reflect.Slice {
			f.Set(reflect.MakeSlice(f.Type(), 0, 0))
		}
	}
	if got := from(to(zero)); !Equal(got, want.Interface()) {
		t.Errorf("%T: the zero value comes back as %+v", zero, got)
	}
}
