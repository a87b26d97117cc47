package page_test

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// browsers are the names of headless browsers of one family: they take the same flags.
var browsers = []string{
	"chromium-headless-shell", "chrome-headless-shell", "headless_shell", "chromium", "chromium-browser",
	"google-chrome",
}

// patience is how long a test waits for the page.
const patience = time.Minute

// A browser is a headless browser with one tab, driven by the DevTools protocol over two pipes.
type browser struct {
	t       *testing.T
	session string
	to      io.Writer

	mu      sync.Mutex
	id      int
	waiting map[int]chan answer
	console []string // errors of scripts, and what was logged as an error
	asked   []string // URLs of all requests
}

type answer struct {
	Result json.RawMessage
	Error  *struct{ Message string }
}

// open starts a browser, or skips the test if there is none.
func open(t *testing.T) *browser {
	t.Helper()
	if testing.Short() {
		t.Skip("a browser takes a while")
	}
	if runtime.GOOS == "windows" {
		t.Skip("pipes are passed to the browser in the way of unix")
	}
	path := ""
	for _, name := range browsers {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		t.Skipf("none of %s is installed: the page is not looked at in a browser", strings.Join(browsers, ", "))
	}
	profile, err := os.MkdirTemp("", "velo-page")
	if err != nil {
		t.Fatal(err)
	}
	in, to, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	from, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
		"--disable-component-update", "--disable-sync", "--no-first-run", "--no-default-browser-check",
		"--remote-debugging-pipe", "--user-data-dir="+profile, "about:blank")
	cmd.ExtraFiles = []*os.File{in, out} // 3 and 4
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	in.Close()
	out.Close()
	b := &browser{t: t, to: to, waiting: map[int]chan answer{}}
	go b.listen(from)
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		to.Close()
		from.Close()
		// Processes of the browser may write for a moment longer.
		for range 50 {
			if os.RemoveAll(profile) == nil {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
	})
	var target struct{ TargetID string }
	b.call("Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var attached struct{ SessionID string }
	b.call("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached)
	b.session = attached.SessionID
	for _, domain := range []string{"Page", "Runtime", "Log", "Network"} {
		b.call(domain+".enable", nil, nil)
	}
	return b
}

// listen takes what the browser says.
func (b *browser) listen(from io.Reader) {
	r := bufio.NewReaderSize(from, 1<<20)
	for {
		text, err := r.ReadBytes(0)
		if err != nil {
			return
		}
		var m struct {
			ID     int
			Method string
			Params json.RawMessage
			answer
		}
		if json.Unmarshal(bytes.TrimRight(text, "\x00"), &m) != nil {
			continue
		}
		b.mu.Lock()
		if c := b.waiting[m.ID]; c != nil && m.ID > 0 {
			delete(b.waiting, m.ID)
			c <- m.answer
		}
		b.note(m.Method, m.Params)
		b.mu.Unlock()
	}
}

// note keeps what tests look at.
func (b *browser) note(method string, params json.RawMessage) {
	switch method {
	case "Runtime.exceptionThrown":
		b.console = append(b.console, string(params))
	case "Runtime.consoleAPICalled", "Log.entryAdded":
		var e struct {
			Type  string
			Entry struct{ Level, Text, URL string }
		}
		_ = json.Unmarshal(params, &e)
		// The browser logs each answer that is an error, and pages expect some.
		if e.Type == "error" || e.Entry.Level == "error" &&
			!strings.Contains(e.Entry.Text, "the server responded with a status") {
			b.console = append(b.console, string(params))
		}
	case "Network.requestWillBeSent":
		var e struct{ Request struct{ URL string } }
		_ = json.Unmarshal(params, &e)
		b.asked = append(b.asked, e.Request.URL)
	}
}

// call calls a method of the protocol.
func (b *browser) call(method string, params, result any) {
	b.t.Helper()
	b.mu.Lock()
	b.id++
	id, c := b.id, make(chan answer, 1)
	b.waiting[id] = c
	b.mu.Unlock()
	m := map[string]any{"id": id, "method": method}
	if params != nil {
		m["params"] = params
	}
	if b.session != "" {
		m["sessionId"] = b.session
	}
	text, err := json.Marshal(m)
	if err == nil {
		_, err = b.to.Write(append(text, 0))
	}
	if err != nil {
		b.t.Fatal(err)
	}
	select {
	case a := <-c:
		if a.Error != nil {
			b.t.Fatalf("%s: %s", method, a.Error.Message)
		}
		if result != nil {
			if err := json.Unmarshal(a.Result, result); err != nil {
				b.t.Fatal(err)
			}
		}
	case <-time.After(patience):
		b.t.Fatalf("%s: the browser has not answered", method)
	}
}

// eval evaluates an expression in the page.
func (b *browser) eval(expression string, to any) error {
	b.t.Helper()
	var r struct {
		Result           struct{ Value json.RawMessage }
		ExceptionDetails *struct {
			Text      string
			Exception struct{ Description string }
		}
	}
	b.call("Runtime.evaluate", map[string]any{
		"expression": expression, "returnByValue": true, "awaitPromise": true, "userGesture": true,
	}, &r)
	if e := r.ExceptionDetails; e != nil {
		return errors.New(e.Text + " " + e.Exception.Description)
	}
	if to == nil || len(r.Result.Value) == 0 {
		return nil
	}
	return json.Unmarshal(r.Result.Value, to)
}

// text evaluates an expression whose value is a text, or nothing.
func (b *browser) text(expression string) (s string) {
	b.t.Helper()
	if err := b.eval("String(("+expression+") ?? '')", &s); err != nil {
		b.t.Fatalf("%s: %v", expression, err)
	}
	return s
}

// until waits until an expression is true.
func (b *browser) until(expression string) {
	b.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		var is bool
		err := b.eval("Boolean("+expression+")", &is)
		if err == nil && is {
			return
		}
		if time.Now().After(deadline) {
			b.t.Fatalf("it never comes: %s (%v)\nthe page has: %s\nerrors: %v", expression, err,
				b.text("document.body.innerText"), b.console)
		}
	}
}

// visit opens a page and waits until it has asked for its data.
func (b *browser) visit(url string) {
	b.t.Helper()
	b.call("Page.navigate", map[string]any{"url": "about:blank"}, nil)
	b.call("Page.navigate", map[string]any{"url": url}, nil)
	b.until("document.getElementById('main') && document.getElementById('main').dataset.ready")
}

// size makes the window that wide, and the system dark or light.
func (b *browser) size(width, height int, dark bool) {
	b.t.Helper()
	b.call("Emulation.setDeviceMetricsOverride", map[string]any{
		"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500,
	}, nil)
	scheme := "light"
	if dark {
		scheme = "dark"
	}
	b.call("Emulation.setEmulatedMedia", map[string]any{
		"features": []map[string]string{{"name": "prefers-color-scheme", "value": scheme}},
	}, nil)
}

// key presses a key.
func (b *browser) key(key string, code int, modifiers int) {
	b.t.Helper()
	for _, kind := range []string{"rawKeyDown", "keyUp"} {
		b.call("Input.dispatchKeyEvent", map[string]any{
			"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code, "modifiers": modifiers,
		}, nil)
	}
}

// shot takes a picture of the whole page. VELO_SHOTS=DIR keeps it for people to look at.
func (b *browser) shot(name string) []byte {
	b.t.Helper()
	var r struct{ Data string }
	b.call("Page.captureScreenshot", map[string]any{"captureBeyondViewport": true}, &r)
	data, err := base64.StdEncoding.DecodeString(r.Data)
	if err != nil {
		b.t.Fatal(err)
	}
	if dir := os.Getenv("VELO_SHOTS"); dir != "" {
		if err := os.WriteFile(filepath.Join(dir, name+".png"), data, 0o644); err != nil {
			b.t.Fatal(err)
		}
	}
	return data
}

// clean reports errors of scripts, and requests to other servers than the page's own.
func (b *browser) clean(server string) {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, text := range b.console {
		b.t.Errorf("the console has: %s", text)
	}
	for _, url := range b.asked {
		if !strings.HasPrefix(url, server) && !strings.HasPrefix(url, "about:") && !strings.HasPrefix(url, "data:") {
			b.t.Errorf("a request leaves for %s", url)
		}
	}
	b.console, b.asked = nil, nil
}

// fits says that nothing is wider than the window.
func (b *browser) fits(where string) {
	b.t.Helper()
	over := b.text(`(() => {
  const wide = document.documentElement.scrollWidth > innerWidth;
  return wide ? [...document.querySelectorAll('main *')].filter(e => e.getBoundingClientRect().right > innerWidth + 1 && !e.closest('.scroll, .strip'))
    .slice(0, 3).map(e => e.outerHTML.slice(0, 120)).join('\n') || 'something' : '';
})()`)
	if over != "" {
		b.t.Errorf("%s: wider than the window: %s", where, over)
	}
}
