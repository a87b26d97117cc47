package doctor

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
)

// Goal: what spoils a run while it runs is said, and what does not is not. Method: a tree whose counters are changed between start and
// end.
func TestWatch(t *testing.T) {
	tree := func(user, idle, steal, own, khz, throttled int) fstest.MapFS {
		files := map[string]string{
			"proc/stat": fmt.Sprintf("cpu0 %d 0 0 %d 0 0 0 %d 0 0\ncpu1 %d 0 0 %d 0 0 0 %d 0 0\n", user, idle,
				steal, user, idle, steal),
			"proc/self/stat": fmt.Sprintf("7 (a b) c) R 1 1 1 0 -1 0 0 0 0 0 %d 10 0 0 20 0 1 0 1 1 1", own),
			"sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq":             fmt.Sprint(khz),
			"sys/devices/system/cpu/cpu1/cpufreq/scaling_cur_freq":             "3000000",
			"sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count": fmt.Sprint(throttled),
		}
		fs := fstest.MapFS{}
		for name, text := range files {
			fs[name] = &fstest.MapFile{Data: []byte(text)}
		}
		return fs
	}
	for name, c := range map[string]struct {
		after fstest.MapFS
		want  []string
	}{
		"two busy threads": {tree(200, 100, 0, 310, 3000000, 5), nil},
		"stolen":           {tree(180, 100, 20, 270, 3000000, 5), []string{"steal: the host took 20.0 %"}},
		"others":           {tree(200, 100, 0, 160, 3000000, 5), []string{"load: others took 74.0 %"}},
		"another frequency": {
			tree(200, 100, 0, 310, 2500000, 5),
			[]string{"frequency: the CPUs ran at 2.50 to 3.00 GHz"},
		},
		"too hot": {
			tree(200, 100, 0, 310, 3000000, 7),
			[]string{"heat: the CPUs were slowed down 2 times"},
		},
		"too short to say":      {tree(102, 100, 1, 100, 3000000, 5), nil},
		"counters that go back": {tree(50, 50, 0, 50, 3000000, 5), nil},
		"all at once": {
			tree(200, 100, 50, 110, 2500000, 6),
			[]string{"steal", "load", "frequency", "heat"},
		},
		"nothing is known afterwards": {fstest.MapFS{}, nil},
	} {
		w := &Watch{root: tree(100, 100, 0, 110, 3000000, 5), usable: []int{0, 1}}
		w.before = w.read()
		w.root = c.after
		got := w.judge(w.read(), w.lookAtClocks(clocks{}))
		if len(got) != len(c.want) {
			t.Errorf("%s: %q, expected %q", name, got, c.want)
			continue
		}
		for i, want := range c.want {
			if !strings.HasPrefix(got[i], want) {
				t.Errorf("%s: %q, expected %q", name, got, c.want)
			}
		}
	}
	w := StartWatch(fstest.MapFS{}, nil)
	if got := w.Stop(); len(got) != 0 {
		t.Errorf("%q", got)
	}
}
