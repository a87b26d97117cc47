package page_test

import (
	"fmt"
	"strings"
	"testing"
)

// Goal: the page holds with much to show: 50 jobs, names of 63 letters, a failure of many lines, a
// job that has read nothing. Nothing is wider than the window, and each name can be read. Method:
// as in TestEverySize, at the width of a phone and of a wide screen, dark and light.
func TestExtremes(t *testing.T) {
	a, url := newAPI(t)
	a.mu.Lock()
	long := strings.Repeat("abcdefghij", 6) + "xyz"
	a.more = append(a.more, long, "a-"+strings.Repeat("very-", 12)+"x", "nothing")
	for i := range 43 { // with the 4 that are there and these 3
		a.more = append(a.more, fmt.Sprintf("job-%02d", i))
	}
	for _, name := range a.more {
		a.states[name] = "running"
	}
	a.states[long], a.states["nothing"] = "failed", "running"
	a.mu.Unlock()
	b := open(t)
	for _, width := range []int{360, 1600} {
		for _, dark := range []bool{false, true} {
			b.size(width, 900, dark)
			for _, to := range []struct{ path, until string }{
				{"jobs", "document.querySelectorAll('.job').length === 50"},
				{"jobs/" + long, "document.body.innerText.includes('connection refused')"},
				{"jobs/nothing", "document.querySelector('.numbers')"},
				{"editor", "document.body.innerText.includes('No faults.')"},
			} {
				b.visit(url + "/?every=300#/" + to.path)
				b.until(to.until)
				name := fmt.Sprintf("extremes-%.12s-%d-%v", strings.ReplaceAll(to.path, "/", "-"), width,
					map[bool]string{true: "dark", false: "light"}[dark])
				b.fits(name)
				b.shot(name)
			}
			b.visit(url + "/?every=300#/jobs")
			b.until("document.querySelectorAll('.job').length === 50")
			if cut := b.text("[...document.querySelectorAll('.job .name')].filter(e => e.scrollWidth > e.clientWidth + 1 " +
				"&& e.clientWidth).map(e => e.textContent).join()"); cut != "" {
				t.Errorf("%d: the names %s are cut off", width, cut)
			}
		}
	}
	b.clean(url)
}
