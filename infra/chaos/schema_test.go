package chaos

import (
	"bytes"
	"encoding/json"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"github.com/kitmesh/kitmesh/infra/audit"
	"github.com/kitmesh/kitmesh/infra/chaos/action"
)

var update = flag.Bool("update", false, "write the lists of names in experiments/schema.json anew")

const schemaFile = "../../experiments/schema.json"

// TestSchemaNames: the schema lists the metrics, actions and checks there are.
func TestSchemaNames(t *testing.T) {
	text, err := os.ReadFile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	want := string(text)
	for key, list := range map[string]any{
		`"check": {"enum": `:  slices.Concat([]string{"all"}, audit.Names()),
		`"action": {"enum": `: append(action.Names(), healAll),
	} {
		want = replaceList(t, want, key, list)
	}
	want = replaceLine(t, want, `      "anyOf": [{"required": ["metric"]`, providers(t))
	if *update {
		if err := os.WriteFile(schemaFile, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if now, _ := os.ReadFile(schemaFile); string(now) != want {
		t.Error("experiments/schema.json does not list what there is: go test ./infra/chaos -run TestSchemaNames -update")
	}
}

// providers are the kinds of probe: an audit has a check, the others a metric.
func providers(t *testing.T) string {
	var kinds []string
	for _, kind := range []string{"load", "mesh", "process"} {
		kinds = append(kinds, `{"required": ["metric"], "properties": {"type": {"const": "`+kind+`"}, "metric": {"enum": `+encode(t, metricNames(kind))+`}}}`)
	}
	kinds = append(kinds, `{"required": ["check"], "properties": {"type": {"const": "audit"}, "metric": false}}`)
	return `      "anyOf": [` + strings.Join(kinds, ", ") + "]"
}

func encode(t *testing.T, list any) string {
	t.Helper()
	text, err := json.Marshal(list)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func replaceList(t *testing.T, text, key string, list any) string {
	t.Helper()
	before, rest, ok := strings.Cut(text, key)
	_, after, closed := strings.Cut(rest, "]")
	if !ok || !closed {
		t.Fatalf("the schema has no %s", key)
	}
	return before + key + encode(t, list) + after
}

func replaceLine(t *testing.T, text, prefix, line string) string {
	t.Helper()
	lines := strings.Split(text, "\n")
	i := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, prefix) })
	if i < 0 {
		t.Fatalf("the schema has no line that begins with %s", prefix)
	}
	lines[i] = line
	return strings.Join(lines, "\n")
}

// TestSchemaFields: every object has the fields that the parser knows.
func TestSchemaFields(t *testing.T) {
	text, err := os.ReadFile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	type properties struct {
		Properties map[string]json.RawMessage `json:"properties"`
	}
	var schema struct {
		properties
		Defs map[string]properties `json:"$defs"`
	}
	if err := json.Unmarshal(text, &schema); err != nil {
		t.Fatal(err)
	}
	var load struct {
		Properties struct{ Mix properties }
	}
	raw := map[string]map[string]json.RawMessage{}
	if err := json.Unmarshal(text, &struct {
		Defs *map[string]map[string]json.RawMessage `json:"$defs"`
	}{&raw}); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(bytes.Join([][]byte{[]byte(`{"properties":`), raw["load"]["properties"], []byte(`}`)}, nil), &load); err != nil {
		t.Fatal(err)
	}
	for kind, fields := range grammar {
		of := schema.Defs[kind].Properties
		switch kind {
		case "experiment":
			of = schema.Properties
		case "mix":
			of = load.Properties.Mix.Properties
		}
		got, want := slices.Sorted(maps.Keys(of)), slices.Sorted(slices.Values(fields))
		if !slices.Equal(got, want) {
			t.Errorf("%s: the schema has %v, the parser %v", kind, got, want)
		}
	}
}

// TestSchemaAgreesWithParser: both take the good files; both refuse the bad ones,
// but for those that only the parser can see through.
func TestSchemaAgreesWithParser(t *testing.T) {
	schema := compile(t)
	good, _ := filepath.Glob("../../experiments/*.yaml")
	if len(good) < 12 {
		t.Errorf("only %d experiments", len(good))
	}
	for _, file := range good {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(string(text), "# yaml-language-server: $schema=schema.json\n") {
			t.Errorf("%s does not name its schema", file)
		}
		if _, err := Parse(file, text); err != nil {
			t.Errorf("the parser: %v", err)
		}
		if err := validate(t, schema, text); err != nil {
			t.Errorf("%s: the schema: %v", file, err)
		}
	}
	for _, bad := range mistakes {
		text := bad.in(t)
		if err := validate(t, schema, text); (err == nil) != bad.parserOnly {
			t.Errorf("%s -> %s: the schema says %v", bad.from, bad.to, err)
		}
	}
}

func compile(t *testing.T) *jsonschema.Schema {
	t.Helper()
	schema, err := jsonschema.NewCompiler().Compile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// validate holds the text, as JSON sees it, against the schema.
func validate(t *testing.T, schema *jsonschema.Schema, text []byte) error {
	t.Helper()
	var v any
	if err := yaml.Unmarshal(text, &v); err != nil {
		return err
	}
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return schema.Validate(doc)
}

// TestPage: docs/experiments.md explains every metric, every field and every
// experiment.
func TestPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/experiments.md")
	if err != nil {
		t.Fatal(err)
	}
	text := string(page)
	for _, m := range metrics {
		if m.name != "" && !strings.Contains(text, m.name) {
			t.Errorf("the metric %s is not on the page", m.name)
		}
	}
	for kind, fields := range grammar {
		for _, f := range fields {
			if kind != "action" && !strings.Contains(text, f) {
				t.Errorf("the field %s of %s is not on the page", f, kind)
			}
		}
	}
	all, err := List("../../experiments")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range all {
		if !strings.Contains(text, "\n### "+e.Name+"\n") {
			t.Errorf("%s is not on the page", e.Name)
		}
	}
}
