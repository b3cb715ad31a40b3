package zipkin

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"strings"
)

const (
	maxBody     = 10 << 20 // bytes of a request as sent; Zipkin's own bound
	maxInflated = 32 << 20 // bytes of a request after gunzip
	maxBodies   = 4        // requests that are read and decoded at a time
)

var errTooLarge = statusError{http.StatusRequestEntityTooLarge, "spans exceed 10 MiB, or 32 MiB inflated: report fewer at a time"}

// collect takes spans: all of a request, or none and the reason.
func (a *API) collect(w http.ResponseWriter, r *http.Request) {
	select { // bounds memory; who has to wait is slowed down, not refused
	case a.intake <- struct{}{}:
		defer func() { <-a.intake }()
	case <-r.Context().Done():
		return
	}
	a.metrics.messages.Add(1)
	body, err := readBody(w, r)
	a.metrics.bytes.Add(int64(len(body)))
	if err == nil {
		err = a.take(body, r.Header.Get("Content-Type"))
	}
	if err != nil {
		a.metrics.dropped.Add(1)
		a.fail(w, err)
		return
	}
	w.WriteHeader(http.StatusAccepted)
}

// take decodes and stores a body.
func (a *API) take(body []byte, contentType string) error {
	if len(body) == 0 || string(body) == "[]" {
		return nil
	}
	media, _, _ := strings.Cut(contentType, ";")
	proto := strings.TrimSpace(media) == "application/x-protobuf"
	name, decode := "JSON_V2", decodeJSON
	if proto {
		name, decode = "PROTO3", decodeProto3
	}
	if !looksLikeList(body) {
		return errors.New("Expected a " + name + " encoded list\n")
	}
	if !proto && looksLikeV1(body) {
		return errors.New("Expected a JSON_V2 encoded list, but received: JSON_V1\n") //nolint:revive,staticcheck // Zipkin's own words
	}
	b := a.store.batch()
	if err := decode(body, b.add); err != nil {
		return err
	}
	a.metrics.spans.Add(int64(len(b.spans)))
	a.store.accept(b)
	return nil
}

// looksLikeList is how Zipkin tells lists of any of its formats from the rest.
func looksLikeList(body []byte) bool {
	switch body[0] {
	case '[', 11, 12:
		return true
	case 10:
		return len(body) > 1 && body[1] != 0
	}
	return false
}

// readBody reads a request's body within its bounds and inflates it.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	var sent bytes.Buffer
	if r.ContentLength > 0 && r.ContentLength <= maxBody {
		sent.Grow(int(r.ContentLength) + bytes.MinRead)
	}
	if _, err := sent.ReadFrom(http.MaxBytesReader(w, r.Body, maxBody)); err != nil {
		if _, large := errors.AsType[*http.MaxBytesError](err); large {
			return nil, errTooLarge
		}
		return nil, statusError{http.StatusBadRequest, "Cannot read spans"}
	}
	if sent.Len() == 0 || !strings.Contains(r.Header.Get("Content-Encoding"), "gzip") {
		return sent.Bytes(), nil
	}
	zipped, err := gzip.NewReader(&sent)
	if err != nil {
		return nil, statusError{http.StatusBadRequest, "Cannot gunzip spans"}
	}
	var inflated bytes.Buffer
	_, err = inflated.ReadFrom(io.LimitReader(zipped, maxInflated+1))
	switch {
	case inflated.Len() > maxInflated:
		return nil, errTooLarge
	case err != nil:
		return nil, statusError{http.StatusBadRequest, "Cannot gunzip spans"}
	}
	return inflated.Bytes(), nil
}
