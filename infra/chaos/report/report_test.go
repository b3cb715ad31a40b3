package report_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/kitmesh/kitmesh/infra/chaos"
	"github.com/kitmesh/kitmesh/infra/chaos/report"
)

var update = flag.Bool("update", false, "write the golden files anew")

func render(t *testing.T, journals ...chaos.Journal) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := report.HTML(&b, journals); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// The golden pages are also what test/browser opens.
func TestGolden(t *testing.T) {
	for name, journals := range map[string][]chaos.Journal{
		"one":     {fabricated("mesh")},
		"several": {fabricated("mesh"), fabricated("stock"), short()},
	} {
		t.Run(name, func(t *testing.T) {
			file, got := filepath.Join("testdata", name+".html"), render(t, journals...)
			if *update {
				if err := os.WriteFile(file, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("%s differs: look at it, then go test ./infra/chaos/report -update", file)
			}
		})
	}
}

// wellFormed reads the page as XML, which it is but for its first line.
func wellFormed(t *testing.T, page []byte) (text string) {
	t.Helper()
	page = bytes.Replace(page, []byte("<!DOCTYPE html>"), nil, 1)
	d := xml.NewDecoder(bytes.NewReader(page))
	skip := 0
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return text
		}
		if err != nil {
			t.Fatalf("not well-formed: %v\n%.300s", err, page[d.InputOffset():])
		}
		switch x := token.(type) {
		case xml.StartElement:
			if x.Name.Local == "style" || x.Name.Local == "script" {
				skip++
			}
			for _, a := range x.Attr {
				if a.Name.Local == "style" || strings.HasPrefix(a.Name.Local, "on") {
					t.Errorf("<%s %s=...>: the page's own policy forbids it", x.Name.Local, a.Name.Local)
				}
			}
		case xml.EndElement:
			if x.Name.Local == "style" || x.Name.Local == "script" {
				skip--
			}
		case xml.CharData:
			if skip == 0 {
				text += string(x)
			}
		}
	}
}

func TestWellFormed(t *testing.T) {
	text := wellFormed(t, render(t, fabricated("mesh"), fabricated("stock"), short()))
	for _, want := range []string{"Held", "Deviated", "Aborted", "stock go-kit", "catalog-2", "fewer than 0.062 % fail, with 95 % confidence", "2,412 orders"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
}

// poison puts a hostile text into every string that v holds.
func poison(v reflect.Value, text string) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Pointer:
		if !v.IsNil() {
			poison(v.Elem(), text)
		}
	case reflect.Struct:
		if v.Type() != reflect.TypeFor[time.Time]() {
			for _, field := range v.Fields() {
				poison(field, text)
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			poison(v.Index(i), text)
		}
	case reflect.Map:
		for _, k := range v.MapKeys() {
			value := reflect.New(v.Type().Elem()).Elem()
			value.Set(v.MapIndex(k))
			poison(value, text)
			v.SetMapIndex(k, reflect.Value{})
			v.SetMapIndex(reflect.ValueOf(text).Convert(v.Type().Key()), value)
		}
	}
}

// Nothing that a journal says becomes markup, wherever it stands.
func TestHostileJournal(t *testing.T) {
	for _, text := range []string{
		`"><script>alert(1)</script>`, `' onload='alert(1)`, `</style><img src=x onerror=alert(1)>`,
		`</script><svg onload=alert(1)>`, "javascript:alert(1)", "]]>&lt;\x00{{.}}",
	} {
		j := fabricated("stock")
		poison(reflect.ValueOf(&j).Elem(), text)
		for _, kind := range []string{"action", "phase"} { // as kinds decide what is drawn
			j.Events[0].Kind, j.Phases[2].Name = kind, "fault"
			page := render(t, j)
			wellFormed(t, bytes.ReplaceAll(page, []byte{0xef, 0xbf, 0xbd}, nil))
			if bytes.Contains(page, []byte("<script>alert")) || bytes.Contains(page, []byte("<img")) || bytes.Contains(page, []byte("<svg onload")) ||
				bytes.Contains(page, []byte(`href="javascript`)) {
				t.Errorf("%q became markup", text)
			}
		}
	}
}

// Journals of runs that hardly began, and damaged ones, still make a page.
func TestPoorJournals(t *testing.T) {
	huge := fabricated("mesh")
	huge.Seconds[3].P99, huge.Seconds[4].P99, huge.Seconds[5].At = math.Inf(1), math.NaN(), 1e12
	backwards := fabricated("mesh")
	backwards.Phases[1].From, backwards.Phases[1].To = 90, -5
	for name, journals := range map[string][]chaos.Journal{
		"none":      nil,
		"empty":     {{}},
		"two empty": {{}, {}},
		"aborted":   {short()},
		"one second": {{Name: "x", Verdict: "inconclusive", Seconds: []chaos.Second{{
			Requests: 1, Failed: 1, Mesh: map[string]chaos.ServiceSeconds{"catalog": {}},
		}}}},
		"huge":                 {huge},
		"backwards":            {backwards},
		"only one has seconds": {{Name: "pause-one"}, fabricated("mesh")},
	} {
		t.Run(name, func(t *testing.T) {
			page := render(t, journals...)
			wellFormed(t, page)
			for _, bad := range []string{"NaN%", "Inf%", `="NaN`, `width="-`, `height="-`, "ZgotmplZ"} {
				if bytes.Contains(page, []byte(bad)) {
					t.Errorf("the page has %s", bad)
				}
			}
		})
	}
}
