package target

import (
	"reflect"
	"strings"
	"time"
	"unicode"
)

// settingsOf tells the settings in a struct as JSON shows them best: names as
// in the rest of the page, durations as "250ms", structs within structs. What is
// no setting (functions, loggers, sources) and what is empty text is left out.
// Set the defaults before.
func settingsOf(options any) map[string]any {
	out := map[string]any{}
	v := reflect.ValueOf(options)
	for i := range v.NumField() {
		name := snake(v.Type().Field(i).Name)
		switch field := v.Field(i); field.Kind() {
		case reflect.Struct:
			if inner := settingsOf(field.Interface()); len(inner) > 0 {
				out[name] = inner
			}
		case reflect.Bool, reflect.Int, reflect.Int32, reflect.Int64, reflect.Float64:
			out[name] = field.Interface()
			if d, ok := reflect.TypeAssert[time.Duration](field); ok {
				out[name] = d.String()
			}
		case reflect.String:
			if field.Len() > 0 {
				out[name] = field.String()
			}
		case reflect.Slice:
			if list, ok := reflect.TypeAssert[[]string](field); ok && len(list) > 0 {
				out[name] = list
			}
		}
	}
	return out
}

// snake turns TryTimeout into try_timeout.
func snake(name string) string {
	var b strings.Builder
	for i, r := range name {
		if unicode.IsUpper(r) && i > 0 {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}
