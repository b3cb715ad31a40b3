package rest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"

	kithttp "github.com/go-kit/kit/transport/http"

	"github.com/kitmesh/kitmesh/services/fault"
)

// field is one field of a request that does not come from the body.
type field struct {
	index  int
	source string // "path", "query" or "header"
	name   string
}

// plan tells where the fields of one request type come from.
type plan struct {
	fields []field
	body   bool
}

// decoderOf returns the decoder of a request type; the type is examined once.
func decoderOf[Req any]() kithttp.DecodeRequestFunc {
	p := planOf(reflect.TypeFor[Req]())
	return func(_ context.Context, r *http.Request) (any, error) {
		var req Req
		if err := p.decode(r, &req, reflect.ValueOf(&req).Elem()); err != nil {
			return nil, err
		}
		return req, nil
	}
}

func planOf(t reflect.Type) plan {
	var p plan
	for i := range t.NumField() {
		f := t.Field(i)
		tagged := false
		for _, source := range []string{"path", "query", "header"} {
			name, ok := f.Tag.Lookup(source)
			if !ok {
				continue
			}
			if k := f.Type.Kind(); k != reflect.String && k != reflect.Int && k != reflect.Int64 && k != reflect.Bool {
				panic(fmt.Sprintf("rest: %s.%s: cannot read a %s from the %s", t, f.Name, f.Type, source))
			}
			p.fields = append(p.fields, field{index: i, source: source, name: name})
			tagged = true
		}
		if !tagged && f.IsExported() && f.Tag.Get("json") != "-" {
			p.body = true
		}
	}
	return p
}

func (p plan) decode(r *http.Request, req any, v reflect.Value) error {
	if p.body {
		if err := decodeBody(r, req); err != nil {
			return err
		}
	}
	if len(p.fields) == 0 {
		return nil
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return fault.Wrap(fault.Invalid, err, "the query of the URL is malformed; escape special characters with %%")
	}
	for _, f := range p.fields {
		text, err := f.read(r, query)
		if err != nil {
			return err
		}
		if err := f.set(v.Field(f.index), text); err != nil {
			return err
		}
	}
	return nil
}

// read returns the one value of the field, "" when there is none.
func (f field) read(r *http.Request, query url.Values) (string, error) {
	var values []string
	switch f.source {
	case "path":
		values = []string{r.PathValue(f.name)}
	case "query":
		values = query[f.name]
	case "header":
		values = r.Header.Values(f.name)
	}
	switch {
	case len(values) == 0:
		return "", nil
	case len(values) > 1:
		return "", fault.New(fault.Invalid, "%s is given %d times; give it once", f, len(values))
	case !utf8.ValidString(values[0]): // protobuf would refuse it further in
		return "", fault.New(fault.Invalid, "%s is not valid UTF-8", f)
	}
	return values[0], nil
}

func (f field) set(v reflect.Value, text string) error {
	if text == "" {
		return nil
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Bool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return fault.New(fault.Invalid, "%s must be true or false, not %q", f, short(text))
		}
		v.SetBool(b)
	default:
		n, err := strconv.ParseInt(text, 10, v.Type().Bits())
		if errors.Is(err, strconv.ErrRange) {
			return fault.New(fault.Invalid, "%s is too large a number: %q", f, short(text))
		}
		if err != nil {
			return fault.New(fault.Invalid, "%s must be a whole number, not %q", f, short(text))
		}
		v.SetInt(n)
	}
	return nil
}

// String names the field as its caller knows it.
func (f field) String() string {
	switch f.source {
	case "path":
		return fmt.Sprintf("the %s in the path", f.name)
	case "query":
		return fmt.Sprintf("the query parameter %s", f.name)
	}
	return fmt.Sprintf("the header %s", f.name)
}

// decodeBody reads one JSON object into req and nothing else: no other content
// type, no unknown field, nothing behind it. The body can be read once more
// afterwards.
func decodeBody(r *http.Request, req any) error {
	if err := isJSON(r.Header); err != nil {
		return err
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return bodyFault(r.Context(), err)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	switch trimmed := bytes.TrimLeft(body, " \t\r\n"); {
	case len(trimmed) == 0:
		return fault.New(fault.Invalid, "the body is empty; send a JSON object")
	case !utf8.Valid(body):
		return fault.New(fault.Invalid, "the body is not valid UTF-8")
	case trimmed[0] != '{' && json.Valid(body):
		return fault.New(fault.Invalid, "the body must be a JSON object in braces")
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(req); err != nil {
		return jsonFault(err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return fault.New(fault.Invalid, "the body goes on after the JSON object; send one object only")
	}
	return nil
}

func isJSON(h http.Header) error {
	given := h.Get("Content-Type")
	kind, params, err := mime.ParseMediaType(given)
	switch {
	case given == "":
		return fault.New(fault.UnsupportedMedia, "the Content-Type header is missing; send application/json")
	case err != nil, kind != "application/json":
		return fault.New(fault.UnsupportedMedia, "the content type %q is not understood; send application/json", short(given))
	case params["charset"] != "" && !strings.EqualFold(params["charset"], "utf-8"):
		return fault.New(fault.UnsupportedMedia, "the charset %q is not understood; send UTF-8", short(params["charset"]))
	case h.Get("Content-Encoding") != "" && !strings.EqualFold(h.Get("Content-Encoding"), "identity"):
		return fault.New(fault.UnsupportedMedia, "the content encoding %q is not understood; send plain JSON",
			short(h.Get("Content-Encoding")))
	}
	return nil
}

// bodyFault explains why a body could not be read to its end.
func bodyFault(ctx context.Context, err error) error {
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return fault.New(fault.TooLarge, "the body has more than %d bytes; send a smaller one", large.Limit)
	case ctx.Err() != nil:
		return fault.Wrap(fault.CodeOf(ctx.Err()), err, "the body did not arrive in time")
	}
	return fault.Wrap(fault.Invalid, err, "the body broke off before its end")
}

// jsonFault says in the caller's words what encoding/json complains about.
func jsonFault(err error) error {
	var (
		syntax *json.SyntaxError
		typed  *json.UnmarshalTypeError
	)
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return fault.Wrap(fault.Invalid, err, "the JSON of the body ends too early; is a brace or quote missing?")
	case errors.As(err, &syntax):
		return fault.Wrap(fault.Invalid, err, "the body is not valid JSON: %s at byte %d",
			strings.TrimPrefix(syntax.Error(), "json: "), syntax.Offset)
	case errors.As(err, &typed):
		where := "the body"
		if typed.Field != "" {
			where = fmt.Sprintf("the field %q", typed.Field)
		}
		return fault.Wrap(fault.Invalid, err, "%s must be %s, not %s", where, kindName(typed.Type), short(typed.Value))
	}
	if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		if plain, uerr := strconv.Unquote(name); uerr == nil {
			name = strconv.Quote(short(plain))
		}
		return fault.Wrap(fault.Invalid, err, "the body has the unknown field %s; remove it or check its spelling", name)
	}
	return fault.Wrap(fault.Invalid, err, "the body could not be understood")
}

func kindName(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Slice, reflect.Array:
		return "a list"
	case reflect.Struct, reflect.Map, reflect.Pointer:
		return "an object"
	case reflect.Float32, reflect.Float64:
		return "a number"
	}
	return "a whole number"
}

// short keeps a caller's text from filling the answer and the log.
func short(s string) string {
	const limit = 64
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[:limit], "") + "..."
}

// checked runs check on what decode accepted.
func checked(decode kithttp.DecodeRequestFunc, check Check) kithttp.DecodeRequestFunc {
	if check == nil {
		return decode
	}
	return func(ctx context.Context, r *http.Request) (any, error) {
		req, err := decode(ctx, r)
		if err != nil {
			return nil, err
		}
		if err := check(r); err != nil {
			return nil, err
		}
		return req, nil
	}
}
