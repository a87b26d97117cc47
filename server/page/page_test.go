package page_test

import (
	"bytes"
	"fmt"
	"image/png"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/velo-engine/velo/server/page"
)

// Goal: the page is small, says what may be loaded, is not sent again if it has not changed, and
// every file that it names is there.
func TestHandler(t *testing.T) {
	total := 0
	ask := func(path, tag string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		r.Header.Set("If-None-Match", tag)
		w := httptest.NewRecorder()
		page.Handler().ServeHTTP(w, r)
		return w
	}
	for path, kind := range map[string]string{
		"/": "text/html", "/app.css": "text/css", "/uplot.css": "text/css", "/app.js": "text/javascript",
		"/parts.js": "text/javascript", "/editor.js": "text/javascript", "/uplot.js": "text/javascript",
		"/icon.svg": "image/svg",
	} {
		w := ask(path, "")
		total += w.Body.Len()
		h := w.Header()
		if w.Code != http.StatusOK || !strings.HasPrefix(h.Get("Content-Type"), kind) ||
			!strings.Contains(h.Get("Content-Security-Policy"), "script-src 'self'") {
			t.Errorf("%s: %d, %v", path, w.Code, h)
		}
		if again := ask(path, h.Get("ETag")); again.Code != http.StatusNotModified || again.Body.Len() > 0 {
			t.Errorf("%s again: %d", path, again.Code)
		}
	}
	if total > 150<<10 {
		t.Errorf("the page has %d bytes, at most 150 KiB are allowed", total)
	}
	for _, path := range []string{"/none.js", "/files/app.js", "/../page.go"} {
		if w := ask(path, ""); w.Code != http.StatusNotFound {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
	for _, word := range []string{"http://", "https://"} {
		if text := strings.ReplaceAll(ask("/app.js", "").Body.String()+ask("/", "").Body.String(),
			"http://www.w3.org/2000/svg", ""); strings.Contains(text, word) {
			t.Errorf("the page names another server: %s", word)
		}
	}
}

// Goal: every page works from the width of a phone to a wide screen, in dark and in light: nothing
// is wider than the window, no script fails, nothing is asked of another server, and something is
// drawn.
func TestEverySize(t *testing.T) {
	_, url := newAPI(t)
	b := open(t)
	for _, width := range []int{360, 800, 1600} {
		for _, dark := range []bool{false, true} {
			b.size(width, 900, dark)
			for _, to := range []struct{ path, until string }{
				{"jobs", "document.querySelectorAll('.job').length === 4 && " +
					"document.body.innerText.includes('bottleneck')"},
				{"jobs/volumes", "document.querySelector('.u-over') && document.querySelector('.u-legend') && " +
					"document.querySelector('tr.held') && document.querySelector('.strip button.failed')"},
				{"views", "document.querySelectorAll('tbody tr').length === 3"},
				{"editor", "document.body.innerText.includes('No faults.')"},
			} {
				b.visit(url + "/?every=300#/" + to.path)
				b.until(to.until)
				name := fmt.Sprintf("%s-%d-%v", strings.ReplaceAll(to.path, "/", "-"), width,
					map[bool]string{true: "dark", false: "light"}[dark])
				b.fits(name)
				picture, err := png.Decode(bytes.NewReader(b.shot(name)))
				if err != nil {
					t.Fatal(err)
				}
				r, _, _, _ := picture.At(2, picture.Bounds().Max.Y-2).RGBA()
				if is := r>>8 < 80; is != dark {
					t.Errorf("%s: the background is %d", name, r>>8)
				}
			}
		}
	}
	if title := b.text("document.title"); strings.Contains(title, "owned") {
		t.Errorf("a text was taken for markup: the title is %q", title)
	}
	if n := b.text("document.querySelectorAll('img[onerror]').length"); n != "0" {
		t.Errorf("%s pictures were made of texts", n)
	}
	b.clean(url)
}

// Goal: the list says of each job what it does and why it does not, and a job is stopped and
// started by keyboard; the focus stays where it is while numbers change.
func TestJobs(t *testing.T) {
	a, url := newAPI(t)
	b := open(t)
	b.size(1200, 900, false)
	b.visit(url + "/?every=300")
	b.until("document.querySelectorAll('.job').length === 4")
	text := b.text("document.getElementById('main').innerText")
	for _, want := range []string{
		"Partition 1 is the bottleneck: its thread worked 97 %", "sink alerts: connection refused",
		"3.0 GiB of 8.0 GiB",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("there is no %q in %s", want, text)
		}
	}
	b.until("document.querySelectorAll('.job svg.spark path').length > 0") // after some looks
	b.text("document.querySelector('[aria-label=\"Stop volumes\"]').focus()")
	b.key("Enter", 13, 0)
	b.call("Input.dispatchKeyEvent", map[string]any{"type": "char", "text": "\r"}, nil)
	b.until("document.querySelector('article[aria-label=volumes] .state').textContent === 'stopped'")
	b.text("document.querySelector('[aria-label=\"Start volumes\"]').click()")
	b.until("document.querySelector('article[aria-label=volumes] .state').textContent === 'running'")
	a.mu.Lock()
	did := slices.Clone(a.did)
	a.mu.Unlock()
	if !slices.Equal(did, []string{"stop volumes", "start volumes"}) {
		t.Errorf("it did %v", did)
	}
	b.text("document.querySelector('[aria-label=\"Pause volumes\"]').focus()")
	b.until("(window.looks = (window.looks || 0) + 1) > 60") // more than a second: it has refreshed
	if is := b.text("document.activeElement.getAttribute('aria-label')"); is != "Pause volumes" {
		t.Errorf("the focus has gone to %q", is)
	}
	// By Tab everything is reached, the skip link first.
	b.visit(url + "/?every=300")
	b.until("document.querySelectorAll('.job').length === 4")
	b.text("document.activeElement.blur()")
	var order []string
	for range 20 {
		b.key("Tab", 9, 0)
		order = append(order, b.text("document.activeElement.textContent.trim()"))
	}
	for _, want := range []string{"Skip to the content", "Jobs", "Views", "Editor", "Theme", "alerts", "Start"} {
		if !slices.Contains(order, want) {
			t.Errorf("Tab does not reach %q: %q", want, order)
		}
	}
	b.clean(url)
}

// Goal: the page of a job says which thread is the bottleneck, which split holds windows back,
// which saves have failed and why, and what was set aside.
func TestJob(t *testing.T) {
	a, url := newAPI(t)
	b := open(t)
	b.size(1200, 900, true)
	b.visit(url + "/?every=300#/jobs/volumes")
	b.until("document.querySelector('tr.held')")
	for _, c := range []struct{ of, want string }{
		{"document.querySelector('.neck.big').textContent", "Partition 1 is the bottleneck"},
		{"document.querySelector('tr.held').innerText", "kafka trades/1"},
		{"document.querySelector('tr.held').innerText", "11 min 0 s"},
		{"document.querySelector('tr.held').innerText", "holds windows back"},
		{"document.querySelectorAll('tr.held').length", "1"},
		{"document.querySelectorAll('.strip button').length", "40"},
		{"document.querySelectorAll('.strip button.failed').length", "2"},
		{"document.body.innerText", "12 records set aside"},
		{"document.body.innerText", "column size: \"x\" is no bigint"},
		{"document.body.innerText", "a partition is full 70 %"},
		{"document.body.innerText", "not yet"},
		{"document.body.innerText", "symbols.csv: no such file"},
		{"document.querySelector('.numbers .bad').innerText", "1 min 0 s ago"},
	} {
		if got := b.text(c.of); !strings.Contains(got, c.want) {
			t.Errorf("%s is %q, expected %q", c.of, got, c.want)
		}
	}
	b.text("(e => { e.focus(); e.click(); })(document.querySelector('.strip button.failed'))")
	b.until("(window.looks = (window.looks || 0) + 1) > 60") // more than a second: it has refreshed
	if !strings.Contains(b.text("document.body.innerText"), "no space left on device") {
		t.Error("a save that failed does not say why")
	}
	if b.text("document.activeElement.className") != "failed" {
		t.Error("the focus does not stay on the save")
	}
	a.mu.Lock()
	a.beside = true
	a.mu.Unlock()
	b.until("document.querySelector('.replacement')")
	if is := b.text("document.querySelector('.replacement').innerText"); !strings.HasPrefix(is,
		"A replacement is catching up, begun 1 h 0 min ago: ") || !strings.Contains(is, " to go. It takes over when") {
		t.Errorf("the page says of the replacement %q", is)
	}
	b.text("document.querySelector('[aria-label=\"Abort replacement volumes\"]').click()")
	b.until("!document.querySelector('.replacement')")
	if !slices.Contains(a.did, "abort volumes") {
		t.Errorf("it did %v", a.did)
	}
	b.text("[...document.querySelectorAll('button')].find(e => e.textContent === 'Edit').click()")
	b.until("document.querySelector('.code textarea').value.startsWith(\"SELECT '<img\")")
	b.visit(url + "/?every=300#/jobs/none")
	b.until("document.getElementById('alert').textContent.includes('no such job')")
	b.visit(url + "/?every=300#/jobs/volumes")
	b.until("document.querySelector('[aria-label=\"Delete volumes\"]')")
	b.text("document.querySelector('[aria-label=\"Delete volumes\"]').click()")
	b.until("document.querySelector('dialog[open]')")
	b.text("document.querySelector('dialog[open] button[value=yes]').click()")
	b.until("location.hash === '#/jobs' && document.querySelectorAll('.job').length === 3")
	if !slices.Contains(a.did, "delete volumes") {
		t.Errorf("it did %v", a.did)
	}
	b.clean(url)
}

// Goal: faults are underlined where they are while one types, also after letters that are several
// bytes; a record is tried; a job is applied, and what would be lost is asked about first.
func TestEditor(t *testing.T) {
	a, url := newAPI(t)
	b := open(t)
	b.size(1200, 900, false)
	b.visit(url + "/?every=300#/editor")
	b.until("document.body.innerText.includes('No faults.')")
	sql := `CREATE SOURCE trades (symbol text, size bigint) WITH (connector = 'push');
SELECT 'größer 🙂' AS t, symbol, size * 2 AS double FORM trades`
	b.text("(() => { const e = document.querySelector('.code textarea'); e.focus(); e.select(); })()")
	b.call("Input.insertText", map[string]any{"text": sql}, nil)
	b.until("document.querySelector('.code mark')")
	if mark := b.text("document.querySelector('.code mark').textContent"); mark != "FORM" {
		t.Errorf("%q is underlined", mark)
	}
	if fault := b.text("document.querySelector('.faults').innerText"); !strings.Contains(fault, "line 2, column ") ||
		!strings.Contains(fault, "expected FROM") {
		t.Errorf("the fault is %q", fault)
	}
	if b.text("[...document.querySelectorAll('button')].find(e => e.textContent === 'Try').disabled") != "true" {
		t.Error("a text with faults can be tried")
	}
	b.text("document.querySelector('.faults button').click()")
	if chosen := b.text("(e => e.value.slice(e.selectionStart, e.selectionEnd))(document.querySelector('.code " +
		"textarea'))"); chosen != "FORM" {
		t.Errorf("a click on the fault selects %q", chosen)
	}
	b.call("Input.insertText", map[string]any{"text": "FROM"}, nil)
	b.until("document.body.innerText.includes('No faults.')")
	b.text(`(() => { const e = document.querySelector('textarea.records'); e.value = 'AAPL,5\nMSFT,x\n'; e.dispatchEvent(new Event('input')); })()`)
	b.text("document.querySelector('.code textarea').focus()")
	b.key("Enter", 13, 2)
	b.until("document.body.innerText.includes('1 could not be read')")
	if text := b.text("document.querySelector('section[aria-label=Try]').innerText"); !strings.Contains(text, "AAPL") ||
		!strings.Contains(text, "10") {
		t.Errorf("the try shows %q", text)
	}
	b.shot("editor-tried")
	apply := func(name string) {
		b.text(`(() => { const e = document.querySelector('[aria-label="Name of the job"]'); e.value = '` + name +
			`'; e.dispatchEvent(new Event('input')); })()`)
		b.text("[...document.querySelectorAll('button')].find(e => e.textContent === 'Apply').click()")
	}
	apply("volumes")
	b.until("document.querySelector('dialog[open]') && " +
		"document.querySelector('dialog[open]').innerText.includes('the keys differ')")
	b.text("document.querySelector('dialog[open] button[value=no]').click()")
	b.until("!document.querySelector('dialog')")
	apply("doubles")
	b.until("location.hash === '#/jobs/doubles'")
	a.mu.Lock()
	defer a.mu.Unlock()
	want := []string{"put volumes dry-run=true", "put doubles dry-run=true", "put doubles"}
	if !slices.Equal(a.did, want) || !strings.HasSuffix(a.texts["doubles"], "FROM trades") {
		t.Errorf("it did %q with %q, expected %q", a.did, a.texts["doubles"], want)
	}
	b.clean(url)
}

// Goal: the rows of a view change while one looks, numbers that a browser cannot hold are shown as
// they are, and rows are filtered.
func TestViews(t *testing.T) {
	_, url := newAPI(t)
	b := open(t)
	b.size(1000, 800, false)
	b.visit(url + "/?every=300#/views")
	b.until("document.querySelector('tbody svg.spark path')") // it has been read twice
	text := b.text("document.querySelector('tbody').innerText")
	for _, want := range []string{"9007199254740993", "NULL", evil} {
		if !strings.Contains(text, want) {
			t.Errorf("there is no %s in %q", want, text)
		}
	}
	b.text("document.querySelector('input[type=search]').value = 'aapl'")
	b.until("document.querySelectorAll('tbody tr').length === 1")
	b.clean(url)
}

// Goal: a server that needs a token says so, and the page works after the token was typed. Its
// value is nowhere in the page, and gone with the tab.
func TestToken(t *testing.T) {
	a, url := newAPI(t)
	a.token = "0123456789abcdef"
	b := open(t)
	b.size(1000, 800, false)
	b.visit(url + "/?every=300")
	b.until("document.getElementById('alert').textContent.includes('a token is needed')")
	b.text("document.getElementById('token').click()")
	b.until("document.querySelector('dialog[open] input')")
	b.text("(() => { document.querySelector('dialog input').value = '0123456789abcdef'; " +
		"document.querySelector('dialog button').click(); })()")
	b.until("document.querySelectorAll('.job').length === 4 && !document.getElementById('alert').textContent")
	if html := b.text("document.documentElement.outerHTML"); strings.Contains(html, a.token) {
		t.Error("the token is in the page")
	}
	if kept := b.text("JSON.stringify(localStorage)"); strings.Contains(kept, a.token) {
		t.Error("the token is kept for longer than the tab")
	}
	b.clean(url)
}
