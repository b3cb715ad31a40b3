package openapi

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"

	"github.com/kitmesh/kitmesh/services/fault"
)

// Validator validates what goes over the wire by the gateway's document.
type Validator struct {
	doc    *openapi3.T
	router routers.Router // finds the operation behind an answer; only of a strict one
}

// NewValidator returns the validator for production. kin-openapi compiles the
// JSON Schema 2020-12 of a 3.1 document anew for every request; the schemas of
// requests stay within what 3.0 and 3.1 have in common, so they are validated
// by its built-in validator, which does not. TestValidatorsAgree holds the two
// against each other.
func NewValidator() (*Validator, error) {
	doc, err := Load()
	if err != nil {
		return nil, err
	}
	doc.OpenAPI = "3.0.4"
	return &Validator{doc: doc}, nil
}

// NewStrictValidator validates to the letter of the document, by JSON Schema
// 2020-12 and at its price, and takes no field in an answer that the document
// does not name. For tests.
func NewStrictValidator() (*Validator, error) {
	doc, err := Load()
	if err != nil {
		return nil, err
	}
	for _, ref := range doc.Components.Schemas {
		if ref.Value.Type.Is(openapi3.TypeObject) {
			ref.Value.AdditionalProperties = openapi3.BoolSchema{Has: new(false)}
		}
	}
	router, err := legacy.NewRouter(doc)
	if err != nil {
		return nil, fmt.Errorf("openapi: route by the gateway's document: %w", err)
	}
	return &Validator{doc: doc, router: router}, nil
}

// Request returns fault.Invalid with a sentence when r, which http.ServeMux has
// matched, is not what the document describes, and nil for a pattern that the
// document does not know. The body can be read once more afterwards.
func (v *Validator) Request(r *http.Request) error {
	input, body, err := v.input(r)
	if input == nil || err != nil {
		return err
	}
	err = openapi3filter.ValidateRequest(r.Context(), input)
	r.Body = io.NopCloser(bytes.NewReader(body))
	if err != nil {
		return fault.Wrap(fault.Invalid, err, "%s", sentence(err))
	}
	return nil
}

// Response returns an error when the answer to r is not what the document
// describes. A path that the document does not know may only be answered with
// a redirect or 404, an operation that it does not know with 405.
func (v *Validator) Response(r *http.Request, status int, header http.Header, body io.ReadCloser) error {
	probe := r.Clone(r.Context())
	if r.Method == http.MethodHead {
		probe.Method = http.MethodGet
	}
	route, params, err := v.router.FindRoute(probe)
	switch {
	case sameRouteError(err, routers.ErrMethodNotAllowed) && status == http.StatusMethodNotAllowed:
		return nil
	case sameRouteError(err, routers.ErrPathNotFound) && (status == http.StatusNotFound || status/100 == 3):
		return nil
	case err != nil:
		return fmt.Errorf("openapi: the document does not describe %s %s: %w", r.Method, r.URL.Path, err)
	}
	return openapi3filter.ValidateResponse(r.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: r, PathParams: params, Route: route},
		Status:                 status,
		Header:                 header,
		Body:                   body,
		Options:                &openapi3filter.Options{IncludeResponseStatus: true},
	})
}

// sameRouteError compares the text: the router makes a new error each time,
// which errors.Is does not recognise.
func sameRouteError(err, want error) bool { return err != nil && err.Error() == want.Error() }

// input describes r for kin-openapi: the operation is found by the matched
// pattern, which is the path of the document.
func (v *Validator) input(r *http.Request) (*openapi3filter.RequestValidationInput, []byte, error) {
	_, path, _ := strings.Cut(r.Pattern, " ")
	item := v.doc.Paths.Value(path)
	if item == nil {
		return nil, nil, nil
	}
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	operation := item.GetOperation(method)
	if operation == nil {
		return nil, nil, nil
	}
	params := map[string]string{}
	for _, p := range operation.Parameters {
		if p.Value.In == openapi3.ParameterInPath {
			params[p.Value.Name] = r.PathValue(p.Value.Name)
		}
	}
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, nil, fmt.Errorf("openapi: read the body: %w", err)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	return &openapi3filter.RequestValidationInput{
		Request:    r,
		PathParams: params,
		Route:      &routers.Route{Spec: v.doc, Path: path, PathItem: item, Method: method, Operation: operation},
		Options: &openapi3filter.Options{
			SkipSettingDefaults: true,
			AuthenticationFunc:  openapi3filter.NoopAuthenticationFunc,
		},
	}, body, nil
}

// sentence says in the caller's words what kin-openapi complains about.
func sentence(err error) string {
	var request *openapi3filter.RequestError
	if !errors.As(err, &request) {
		return "the request is not what /openapi.yaml describes"
	}
	var schema *openapi3.SchemaError
	isSchema := errors.As(err, &schema)
	if p := request.Parameter; p != nil {
		name := place(p)
		switch {
		case errors.Is(err, openapi3filter.ErrInvalidRequired), errors.Is(err, openapi3filter.ErrInvalidEmptyValue):
			return fmt.Sprintf("%s is missing. %s", name, p.Description)
		case isSchema:
			return fmt.Sprintf("%s %s. %s", name, complaint(schema), p.Description)
		}
		return fmt.Sprintf("%s cannot be read. %s", name, p.Description)
	}
	if !isSchema {
		return "the body is not what /openapi.yaml describes"
	}
	path := strings.Join(schema.JSONPointer(), ".")
	switch {
	case schema.SchemaField == "required":
		return fmt.Sprintf("the field %q is missing from the body", path)
	case path == "":
		return "the body " + complaint(schema)
	}
	return fmt.Sprintf("the field %q %s", path, complaint(schema))
}

func place(p *openapi3.Parameter) string {
	switch p.In {
	case openapi3.ParameterInPath:
		return fmt.Sprintf("the %s in the path", p.Name)
	case openapi3.ParameterInQuery:
		return fmt.Sprintf("the query parameter %s", p.Name)
	}
	return fmt.Sprintf("the header %s", p.Name)
}

// complaint is the second half of a sentence about the offending value. The
// JSON Schema 2020-12 validator names the schema around it or none, hence
// the checks.
func complaint(err *openapi3.SchemaError) string {
	s := err.Schema
	if s == nil {
		return "is not allowed: " + err.Reason
	}
	switch field := err.SchemaField; {
	case field == "minimum" && s.Min != nil:
		return fmt.Sprintf("must be at least %v", *s.Min)
	case field == "maximum" && s.Max != nil:
		return fmt.Sprintf("must be at most %v", *s.Max)
	case field == "minLength" && s.MinLength == 1:
		return "must not be empty"
	case field == "minLength":
		return fmt.Sprintf("must have at least %d characters", s.MinLength)
	case field == "maxLength" && s.MaxLength != nil:
		return fmt.Sprintf("must have at most %d characters", *s.MaxLength)
	case field == "minItems" && s.MinItems == 1:
		return "must not be empty"
	case field == "minItems":
		return fmt.Sprintf("must have at least %d entries", s.MinItems)
	case field == "maxItems" && s.MaxItems != nil:
		return fmt.Sprintf("must have at most %d entries", *s.MaxItems)
	case field == "pattern":
		return fmt.Sprintf("must match %s", s.Pattern)
	case field == "type" && s.Type != nil:
		return fmt.Sprintf("must be of type %s", strings.Join(s.Type.Slice(), " or "))
	}
	return "is not allowed: " + err.Reason
}
