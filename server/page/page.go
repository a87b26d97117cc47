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

	"github.com/velo-engine/velo/internal/uplot"
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

// A Page answers GET and HEAD of / and of the files of the page.
type Page struct{ all map[string]file }

type file struct {
	data []byte
	tag  string
}

// Handler makes the page.
func Handler() *Page {
	all := map[string]file{}
	for name := range types {
		data := contentOf(name)
		sum := sha256.Sum256(data)
		all[name] = file{data, `"` + hex.EncodeToString(sum[:8]) + `"`}
	}
	return &Page{all}
}

// contentOf is what a file of the page has.
func contentOf(name string) []byte {
	switch name {
	case "uplot.js":
		return uplot.Script
	case "uplot.css":
		return uplot.Style
	}
	data, err := fs.ReadFile(files, path.Join("files", name))
	if err != nil {
		panic(err) // it is embedded
	}
	return data
}

// nameOf is the file of a path.
func nameOf(path string) string {
	name := path[min(1, len(path)):]
	if name == "" {
		return "index.html"
	}
	return name
}

// Has says whether the page has a file of that path.
func (p *Page) Has(path string) bool {
	_, ok := p.all[nameOf(path)]
	return ok
}

// ServeHTTP answers.
func (p *Page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := nameOf(r.URL.Path)
	f, ok := p.all[name]
	if !ok {
		http.NotFound(w, r)
		return
	}
	h := w.Header()
	h.Set("Content-Type", types[name])
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-cache") // a new release is seen at once; the tag saves the bytes
	h.Set("ETag", f.tag)
	http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(f.data))
}
