// Package openapitest holds handlers to the gateway's OpenAPI document, for
// tests.
package openapitest

import (
	"bytes"
	"io"
	"net/http"
	"testing"

	"github.com/kitmesh/kitmesh/transports/openapi"
)

// Strict returns next with every one of its responses validated: an operation,
// status, header or field that the document does not describe fails the test,
// as does a path the document does not know unless next answers it with 404.
func Strict(t testing.TB, next http.Handler) http.Handler {
	t.Helper()
	v, err := openapi.NewStrictValidator()
	if err != nil {
		t.Fatal(err)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tee := &tee{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(tee, r)
		err := v.Response(r, tee.status, w.Header(), io.NopCloser(&tee.body))
		if err != nil {
			t.Errorf("%s %s answers %d: %v\n%s", r.Method, r.URL.Path, tee.status, err, tee.sent)
		}
	})
}

// tee keeps what goes out.
type tee struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
	sent   []byte
}

// WriteHeader implements http.ResponseWriter.
func (t *tee) WriteHeader(status int) {
	t.status = status
	t.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (t *tee) Write(b []byte) (int, error) {
	t.body.Write(b)
	t.sent = append(t.sent, b...)
	return t.ResponseWriter.Write(b)
}

// Unwrap gives http.ResponseController the writer below.
func (t *tee) Unwrap() http.ResponseWriter { return t.ResponseWriter }
