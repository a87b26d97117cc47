package page_test

import (
	"bufio"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// serve runs velo serve, and returns where it answers.
func serve(t *testing.T) (url string) {
	t.Helper()
	dir := t.TempDir()
	velo := filepath.Join(dir, "velo")
	if out, err := exec.Command("go", "build", "-o", velo, "../../cmd/velo").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	cmd := exec.Command(velo, "serve", "--state", filepath.Join(dir, "state"), "--listen", "127.0.0.1:0", "--cores",
		"2",
		"--checkpoint", "1s")
	said, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		done := make(chan struct{})
		go func() { _ = cmd.Wait(); close(done) }()
		select {
		case <-done:
		case <-time.After(patience):
			_ = cmd.Process.Kill()
			t.Error("velo serve does not end")
		}
	})
	lines := bufio.NewScanner(said)
	for lines.Scan() {
		if m := regexp.MustCompile(`http://127\.0\.0\.1:\d+`).FindString(lines.Text()); m != "" {
			go func() { // so that the pipe does not fill
				for lines.Scan() {
					t.Log(lines.Text())
				}
			}()
			return m
		}
	}
	t.Fatal("velo serve does not say where it answers")
	return ""
}

// Goal: the page works with the server itself: a job is written, tried, applied, fed, watched,
// paused and deleted, and nothing fails on the way. /metrics has it. Method: velo serve and a
// browser.
func TestRealServer(t *testing.T) {
	b := open(t)
	url := serve(t)
	b.size(1400, 1000, false)
	b.visit(url + "/?every=300")
	b.until("document.body.innerText.includes('There are no jobs')")
	b.visit(url + "/?every=300#/editor")
	b.until("document.body.innerText.includes('No faults.')")
	b.text("document.querySelector('.code textarea').focus()")
	b.key("Enter", 13, 2)
	b.until("document.querySelector('section[aria-label=Try] tbody') && " +
		"document.querySelector('section[aria-label=Try]').innerText.includes('AAPL')")
	b.text(`(() => { const e = document.querySelector('[aria-label="Name of the job"]'); e.value = 'trades'; e.dispatchEvent(new Event('input')); })()`)
	b.text("[...document.querySelectorAll('button')].find(e => e.textContent === 'Apply').click()")
	b.until("location.hash === '#/jobs/trades' && document.querySelector('.state').textContent === 'running'")
	push := func() {
		body := strings.Repeat(`{"symbol":"AAPL","price":1.5,"size":10,"at":"2026-03-02T09:30:00Z"}`+"\n", 1000) +
			`{"symbol":"AAPL","size":"x"}` + "\n"
		r, err := http.Post(url+"/v1/sources/trades/records", "application/x-ndjson", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(r.Body)
		r.Body.Close()
		if r.StatusCode != http.StatusOK {
			t.Fatalf("%d: %s", r.StatusCode, text)
		}
	}
	push()
	// An idle source that is pushed to is no bottleneck.
	b.until("document.querySelector('.neck.big').textContent.includes('Nothing arrives: the last record came ')")
	b.until("document.querySelector('.strip button')")
	b.until("document.querySelector('.u-over')")
	b.shot("real-job")
	b.visit(url + "/?every=300#/views/volumes")
	b.until("document.querySelector('tbody').innerText.includes('10000')")
	push()
	b.until("document.querySelector('tbody').innerText.includes('20000')")
	b.shot("real-view")
	r, err := http.Get(url + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	text, _ := io.ReadAll(r.Body)
	r.Body.Close()
	for _, want := range []string{
		`velo_job_state{job_name="trades",state="running"} 1`,
		`velo_records_total{job_name="trades",engine="",plan="volumes",reader="0",outcome="routed"} 2000`,
	} {
		if !strings.Contains(string(text), want+"\n") {
			t.Errorf("there is no %s in\n%s", want, text)
		}
	}
	b.visit(url + "/?every=300")
	b.until("document.querySelector('[aria-label=\"Pause trades\"]')")
	b.text("document.querySelector('[aria-label=\"Pause trades\"]').click()")
	b.until("document.querySelector('.state').textContent === 'paused'")
	b.text("document.querySelector('[aria-label=\"Resume trades\"]').click()")
	b.until("document.querySelector('.state').textContent === 'running'")
	b.visit(url + "/?every=300#/jobs/trades")
	b.until("document.querySelector('[aria-label=\"Delete trades\"]')")
	b.text("document.querySelector('[aria-label=\"Delete trades\"]').click()")
	b.until("document.querySelector('dialog[open]')")
	b.text("document.querySelector('dialog[open] button[value=yes]').click()")
	b.until("document.body.innerText.includes('There are no jobs')")
	b.clean(url)
}
