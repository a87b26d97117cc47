package perfreport

import (
	"bytes"
	"context"
	"image"
	"image/png"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// browsers are the names of headless browsers of one family: they take the same flags.
var browsers = []string{
	"chromium-headless-shell", "chrome-headless-shell", "headless_shell", "chromium", "chromium-browser",
	"google-chrome",
}

// A view is what a browser made of a page.
type view struct {
	picture  image.Image
	console  string // what the page logged, and errors of scripts
	requests int64  // that left the page
}

// look opens a page in a real browser. All that it asks the network for goes to a proxy that only
// counts.
func look(t *testing.T, browser, page string) view {
	t.Helper()
	dir := t.TempDir()
	file, shot := filepath.Join(dir, "page.html"), filepath.Join(dir, "page.png")
	if err := os.WriteFile(file, []byte(page), 0o644); err != nil {
		t.Fatal(err)
	}
	proxy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer proxy.Close()
	var v view
	var requests atomic.Int64
	go func() {
		for {
			c, err := proxy.Accept()
			if err != nil {
				return
			}
			requests.Add(1)
			c.Close()
		}
	}()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run",
		"--no-default-browser-check", "--enable-logging=stderr", "--window-size=1200,4000",
		"--user-data-dir="+filepath.Join(dir, "profile"), "--proxy-server=http://"+proxy.Addr().String(),
		"--proxy-bypass-list=<-loopback>", "--screenshot="+shot, "file://"+file)
	cmd.WaitDelay = 5 * time.Second
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s", browser, err, stderr.String())
	}
	for line := range strings.Lines(stderr.String()) {
		if strings.Contains(line, "CONSOLE") {
			v.console += line
		}
	}
	text, err := os.ReadFile(shot)
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	v.picture, err = png.Decode(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	v.requests = requests.Load()
	return v
}

// drawn is the part of the picture that is not of the color of its corner, and the number of
// colors.
func (v view) drawn() (part float64, colors int) {
	b := v.picture.Bounds()
	corner := v.picture.At(b.Max.X-1, b.Max.Y-1)
	seen := map[[3]uint32]bool{}
	n := 0
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			c := v.picture.At(x, y)
			if c != corner {
				n++
			}
			r, g, b, _ := c.RGBA()
			seen[[3]uint32{r >> 12, g >> 12, b >> 12}] = true
		}
	}
	return float64(n) / float64(b.Dx()*b.Dy()), len(seen)
}

// Goal: a real browser draws the page of results, no script fails, and nothing is asked of the
// network. Method: a screenshot, and a proxy that counts. Pages that are empty, that log an error
// and that ask for a picture show that the test can fail.
func TestPageInBrowser(t *testing.T) {
	browser := ""
	for _, name := range browsers {
		if path, err := exec.LookPath(name); err == nil {
			browser = path
			break
		}
	}
	if browser == "" {
		t.Skipf("none of %s is installed: the page is not looked at in a browser", strings.Join(browsers, ", "))
	}
	var page bytes.Buffer
	if err := HTML(&page, Sections(results(t))); err != nil {
		t.Fatal(err)
	}
	v := look(t, browser, page.String())
	if part, colors := v.drawn(); part < 0.02 || colors < 8 {
		t.Errorf("%.1f %% of the page are drawn, in %d colors", 100*part, colors)
	}
	if v.console != "" || v.requests > 0 {
		t.Errorf("%d requests leave the page; its console has %q", v.requests, v.console)
	}

	v = look(t, browser, "<!doctype html><title>x</title>")
	if part, colors := v.drawn(); part > 0 || colors > 1 {
		t.Errorf("an empty page: %.1f %% are drawn, in %d colors", 100*part, colors)
	}
	v = look(t, browser, `<!doctype html><script>throw new Error("failed")</script>
<img src="http://velo.invalid/x.png">`)
	if v.requests == 0 || !strings.Contains(v.console, "failed") {
		t.Errorf("a bad page: %d requests, console %q", v.requests, v.console)
	}
}
