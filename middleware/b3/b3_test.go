package b3

import (
	"reflect"
	"testing"

	"github.com/openzipkin/zipkin-go/model"
	zipkinb3 "github.com/openzipkin/zipkin-go/propagation/b3"
)

func TestB3(t *testing.T) {
	const trace, span, parent = "463ac35c9f6413ad48485a3953bb6124", "a2fb4a1d1a96d312", "0020000000000001"
	for name, tt := range map[string]struct {
		h    map[string]string
		want string // single header of the result; "" for none
	}{
		"multi":              {map[string]string{traceID: trace, spanID: span, parentID: parent, Sampled: "1"}, trace + "-" + span + "-1-" + parent},
		"multi, debug":       {map[string]string{traceID: trace, spanID: span, flags: "1", Sampled: "0"}, trace + "-" + span + "-d"},
		"multi, 64 bit":      {map[string]string{traceID: span, spanID: span, Sampled: "0"}, span + "-" + span + "-0"},
		"single":             {map[string]string{Header: trace + "-" + span + "-1-" + parent}, trace + "-" + span + "-1-" + parent},
		"single, short":      {map[string]string{Header: trace + "-" + span}, trace + "-" + span},
		"single, debug":      {map[string]string{Header: trace + "-" + span + "-d"}, trace + "-" + span + "-d"},
		"single, decision":   {map[string]string{Header: "0"}, "0"},
		"single wins":        {map[string]string{Header: trace + "-" + span + "-1", traceID: parent, spanID: parent}, trace + "-" + span + "-1"},
		"single broken":      {map[string]string{Header: "what", traceID: trace, spanID: span}, trace + "-" + span},
		"decision":           {map[string]string{Sampled: "0"}, "0"},
		"nothing":            {nil, ""},
		"no span":            {map[string]string{traceID: trace, Sampled: "1"}, ""},
		"no trace":           {map[string]string{spanID: span}, ""},
		"zero trace":         {map[string]string{traceID: "0000000000000000", spanID: span}, ""},
		"zero span":          {map[string]string{traceID: trace, spanID: "0"}, ""},
		"long trace":         {map[string]string{traceID: trace + "0", spanID: span}, ""},
		"no hex":             {map[string]string{traceID: "xyz", spanID: span}, ""},
		"sign":               {map[string]string{traceID: trace, spanID: "+1"}, ""},
		"parent broken":      {map[string]string{traceID: trace, spanID: span, parentID: "xyz"}, ""},
		"sampled broken":     {map[string]string{traceID: trace, spanID: span, Sampled: "maybe"}, ""},
		"single, 40 digits":  {map[string]string{Header: trace + "a2fb4a1d"}, ""},
		"single, many parts": {map[string]string{Header: trace + "-" + span + "-1-" + parent + "-1"}, ""},
		"single, dashes":     {map[string]string{Header: "----"}, ""},
		"single, cut span":   {map[string]string{Header: "463ac35c9f6413ad48485a3953bb6124-a2fb"}, ""},
	} {
		sc, ok := Extract(func(key string) string { return tt.h[key] })
		if ok != (tt.want != "") || Single(sc) != tt.want {
			t.Errorf("%s: got %q, %v, want %q", name, Single(sc), ok, tt.want)
		}
	}
	t.Run("stock", func(t *testing.T) {
		defer func() {
			if recover() == nil {
				t.Error("zipkin-go's parser does not panic any more")
			}
		}()
		_, _ = zipkinb3.ParseSingleHeader("463ac35c9f6413ad48485a3953bb6124-a2fb")
	})
}

// A parent without a decision must not be taken for one.
func TestSingleWithoutDecision(t *testing.T) {
	sc := model.SpanContext{TraceID: model.TraceID{Low: 1}, ID: 2, ParentID: new(model.ID(3))}
	if back, ok := ParseSingle(Single(sc)); !ok || back.TraceID != sc.TraceID || back.ID != sc.ID || back.Sampled != nil {
		t.Errorf("%q reads as %+v, %v", Single(sc), back, ok)
	}
	t.Run("stock", func(t *testing.T) {
		if _, ok := ParseSingle(zipkinb3.BuildSingleHeader(sc)); ok {
			t.Error("zipkin-go writes a header that can be read now")
		}
	})
}

func FuzzB3(f *testing.F) {
	f.Add("463ac35c9f6413ad48485a3953bb6124-a2fb4a1d1a96d312-1-0020000000000001", "", "", "", "", "")
	f.Add("", "463ac35c9f6413ad48485a3953bb6124", "a2fb4a1d1a96d312", "0020000000000001", "1", "1")
	f.Fuzz(func(t *testing.T, one, trace, span, parent, decision, debug string) {
		h := map[string]string{Header: one, traceID: trace, spanID: span, parentID: parent, Sampled: decision, flags: debug}
		sc, ok := Extract(func(key string) string { return h[key] })
		if !ok {
			return
		}
		// What was understood survives the next hop.
		out := map[string]string{}
		Inject(sc, func(key, value string) { out[key] = value })
		again, ok := Extract(func(key string) string { return out[key] })
		if !ok || !reflect.DeepEqual(again, sc) {
			t.Errorf("%+v became %+v", sc, again)
		}
		if sc.Sampled == nil && !sc.Debug {
			sc.ParentID = nil // has no place in the single header then
		}
		if again, ok = ParseSingle(Single(sc)); !ok || !reflect.DeepEqual(again, sc) {
			t.Errorf("%+v became %q, and that %+v", sc, Single(sc), again)
		}
	})
}
