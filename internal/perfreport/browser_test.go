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
func look(t *testing.T, browser, page string, window ...string) view {
	t.Helper()
	if len(window) == 0 {
		window = []string{"--window-size=1200,5000"}
	}
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
	args := append([]string{
		"--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run",
		"--no-default-browser-check", "--enable-logging=stderr",
		"--user-data-dir=" + filepath.Join(dir, "profile"), "--proxy-server=http://" + proxy.Addr().String(),
		"--proxy-bypass-list=<-loopback>", "--screenshot=" + shot,
	}, window...)
	cmd := exec.CommandContext(ctx, browser, append(args, "file://"+file)...)
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

// probe is a script that looks at what the scripts of the page have drawn, and logs a line of it.
const probe = `<script>addEventListener('load', () => {
  const drawn = [...document.querySelectorAll('canvas')].map(c => {
    const of = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
    const colors = new Set();
    let n = 0;
    for (let i = 0; i < of.length; i += 4) {
      if (of[i + 3] > 128) { n++; colors.add(of[i] >> 4 << 8 | of[i + 1] >> 4 << 4 | of[i + 2] >> 4); }
    }
    return n > 1000 && colors.size > 2 ? 'drawn' : 'blank';
  });
  const labels = [...document.querySelectorAll('svg text')].filter(t => t.getBoundingClientRect().width > 0);
  const wide = document.documentElement.scrollWidth - innerWidth;
  console.log('PROBE ' + drawn.join(' ') + '; ' + (wide > 0 ? 'wider than the window' : 'fits') + '; ' + labels.length + ' labels');
})</script>`

// Goal: a real browser draws the page of results, on a phone and on a wide screen, light and dark:
// the canvas of each chart of lines is not blank, nothing is wider than the window, no script fails,
// and nothing is asked of the network. Method: a screenshot, a script that looks at the canvases, and
// a proxy that counts. Pages that are empty, whose chart is blank, that log an error and that ask for
// a picture show that the test can fail. VELO_SHOTS is a folder to keep the screenshots in.
func TestPageInBrowser(t *testing.T) {
	browser := ""
	for _, name := range browsers {
		path, err := exec.LookPath(name)
		if err == nil {
			browser = path
			break
		}
	}
	if browser == "" {
		t.Skipf("none of %s is installed: the page is not looked at in a browser", strings.Join(browsers, ", "))
	}
	var b bytes.Buffer
	err := HTML(&b, Sections(results(t)))
	if err != nil {
		t.Fatal(err)
	}
	page := b.String()
	probed := strings.Replace(page, "</body>", probe+"</body>", 1)
	for name, window := range map[string][]string{
		"wide": {"--window-size=1200,5000"}, "phone": {"--window-size=390,6000"},
		"wide-dark":  {"--window-size=1200,5000", "--blink-settings=preferredColorScheme=0"},
		"phone-dark": {"--window-size=390,6000", "--blink-settings=preferredColorScheme=0"},
	} {
		v := look(t, browser, probed, window...)
		if part, colors := v.drawn(); part < 0.02 || colors < 8 {
			t.Errorf("%s: %.1f %% of the page are drawn, in %d colors", name, 100*part, colors)
		}
		if !strings.Contains(v.console, "PROBE drawn drawn drawn; fits") || strings.Count(v.console, "CONSOLE") != 1 {
			t.Errorf("%s: the console has %q", name, v.console)
		}
		if v.requests > 0 {
			t.Errorf("%s: %d requests leave the page", name, v.requests)
		}
		dark := 0
		for i := range 100 {
			r, _, _, _ := v.picture.At(3*i, v.picture.Bounds().Max.Y-1-i).RGBA()
			if r < 0x4000 {
				dark++
			}
		}
		if isDark := strings.HasSuffix(name, "dark"); (dark > 50) != isDark {
			t.Errorf("%s: %d of 100 pixels of the ground are dark", name, dark)
		}
		keep(t, name, v.picture)
	}

	blank := strings.Replace(probed, "drawAll();\ndark", "document.querySelectorAll('.plot').forEach(b => "+
		"b.append(document.createElement('canvas')));\ndark", 1)
	if v := look(t, browser, blank); !strings.Contains(v.console, "PROBE blank blank") {
		t.Errorf("a page whose charts are blank: console %q", v.console)
	}
	v := look(t, browser, strings.Replace(probed, "new uPlot(", "new noPlot(", 1))
	if strings.Count(v.console, "CONSOLE") < 2 {
		t.Errorf("a page whose script fails: console %q", v.console)
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

// keep writes a screenshot into the folder VELO_SHOTS, if there is one.
func keep(t *testing.T, name string, picture image.Image) {
	dir := os.Getenv("VELO_SHOTS")
	if dir == "" {
		return
	}
	f, err := os.Create(filepath.Join(dir, name+".png"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	err = png.Encode(f, picture)
	if err != nil {
		t.Error(err)
	}
}
