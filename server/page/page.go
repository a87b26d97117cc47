package page

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"net/http"
	"path"
	"time"
)

//go:embed files
var files embed.FS

// types are the files that there are, with their types.
var types = map[string]string{
	"index.html": "text/html; charset=utf-8",
	"app.css":    "text/css; charset=utf-8", "uplot.css": "text/css; charset=utf-8",
	"app.js": "text/javascript; charset=utf-8", "parts.js": "text/javascript; charset=utf-8",
	"editor.js": "text/javascript; charset=utf-8", "uplot.js": "text/javascript; charset=utf-8",
	"icon.svg": "image/svg+xml",
}

// policy lets the page load what it has and talk to its own server, and nothing else.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// Handler answers GET and HEAD of / and of the files of the page.
func Handler() http.Handler {
	type file struct {
		data []byte
		tag  string
	}
	all := map[string]file{}
	for name := range types {
		data, err := fs.ReadFile(files, path.Join("files", name))
		if err != nil {
			panic(err) // it is embedded
		}
		sum := sha256.Sum256(data)
		all[name] = file{data, `"` + hex.EncodeToString(sum[:8]) + `"`}
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := r.URL.Path[min(1, len(r.URL.Path)):]
		if name == "" {
			name = "index.html"
		}
		f, ok := all[name]
		h := w.Header()
		if !ok {
			http.NotFound(w, r)
			return
		}
		h.Set("Content-Type", types[name])
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-cache") // a new release is seen at once; the tag saves the bytes
		h.Set("ETag", f.tag)
		http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(f.data))
	})
}
