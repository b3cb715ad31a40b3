package zipkin

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"fmt"
	"mime"
	"net/http"
	"path"
	"strings"
	"time"
)

// The page is plain files: what the browser gets is what is in this folder.
//
//go:embed ui
var uiFiles embed.FS

// uiPolicy lets the page load nothing but itself and ask nobody but its origin.
const uiPolicy = "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"

// UI serves the page below /zipkin/. It needs Zipkin's API on the same origin,
// this package's or the real one's. Search, traces and dependencies are views
// of one page, at the paths that Zipkin's own UI uses.
func UI() http.Handler {
	mux := http.NewServeMux()
	index := uiFile("index.html")
	mux.HandleFunc("GET /zipkin/{$}", index)
	mux.HandleFunc("GET /zipkin/traces/{id}", index)
	mux.HandleFunc("GET /zipkin/dependency", index)
	mux.HandleFunc("GET /zipkin/{file}", func(w http.ResponseWriter, r *http.Request) {
		uiFile(r.PathValue("file"))(w, r)
	})
	mux.HandleFunc("GET /zipkin/config.json", func(w http.ResponseWriter, _ *http.Request) {
		_ = writeJSON(w, map[string]any{ // for tools that expect Zipkin's own UI; the client is gone if this fails
			"environment": "", "queryLimit": 10, "defaultLookback": 900_000, "searchEnabled": true,
			"dependency": map[string]any{"enabled": true, "lowErrorRate": 0.5, "highErrorRate": 0.75},
		})
	})
	toPage := http.RedirectHandler("/zipkin/", http.StatusFound)
	mux.Handle("GET /{$}", toPage)
	mux.Handle("GET /zipkin", toPage)
	return mux
}

// uiFile serves one file; browsers ask again each time and mostly learn that
// they have it already.
func uiFile(name string) http.HandlerFunc {
	body, err := uiFiles.ReadFile(path.Join("ui", path.Base(name)))
	if err != nil {
		return http.NotFound
	}
	tag := fmt.Sprintf(`"%x"`, sha256.Sum256(body))[:18] + `"`
	return func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Type", contentType(name))
		h.Set("Content-Security-Policy", uiPolicy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cache-Control", "no-cache")
		h.Set("ETag", tag)
		http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(body))
	}
}

// contentType does not depend on what the machine thinks of file names.
func contentType(name string) string {
	switch ext := path.Ext(name); ext {
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css", ".html":
		return "text/" + strings.TrimPrefix(ext, ".") + "; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	default:
		return mime.TypeByExtension(ext)
	}
}
