package doctor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/velo-engine/velo/affinity"
	"github.com/velo-engine/velo/internal/hosttree"
)

// examine examines a tree of testdata, and the same a second later.
func examine(t *testing.T, name string) Report {
	t.Helper()
	file := filepath.Join("testdata", name+".txt")
	before, err := hosttree.Read(file)
	if err != nil {
		t.Fatal(err)
	}
	after, err := hosttree.Read(file, filepath.Join("testdata", name+".after.txt"))
	if err != nil {
		t.Fatal(err)
	}
	usable, err := UsableOf(before)
	if err != nil {
		t.Fatal(err)
	}
	return Examine(before, usable, TakeSample(before), TakeSample(after))
}

// Goal: each kind of host gets the findings that it should, and no other. Method: recorded trees;
// of each finding its level and words that must be in what was found and in what mends it.
func TestExamine(t *testing.T) {
	for name, want := range map[string]map[string][3]string{
		"quiet": {},
		"laptop": {
			"busy":     {LevelSpoils, "Web Content (1) (60 %)", "ps -eo"},
			"governor": {LevelSpoils, "powersave on cpus 0-7", "cpupower frequency-set -g performance"},
			"turbo": {
				LevelSpoils, "turbo is on",
				"echo 1 | sudo tee /sys/devices/system/cpu/intel_pstate/no_turbo",
			},
			"clock":        {LevelSpoils, "hpet", "tsc=reliable"},
			"cores-differ": {LevelSpoils, "4 of 8", "taskset -c 0-3"},
			"swap":         {LevelSpoils, "1.3 GiB are swapped out", "swapoff"},
			"huge-pages":   {LevelSpoils, "off", "echo madvise"},
			"idle-states":  {LevelNote, "C10", "idle-set -D"},
			"smt":          {LevelNote, "2 cores", "taskset -c 0,2,4-7"},
			"isolation":    {LevelNote, "0-7 are neither", "isolcpus=0-7"},
			"perf":         {LevelNote, "is 4", "perf_event_paranoid=1"},
			"mitigations":  {LevelNote, "spectre_v2", "mitigations=off"},
		},
		"service": {
			"hypervisor": {LevelSpoils, "c7g.xlarge", "bare metal"},
			"quota":      {LevelSpoils, "2.00 of 4", "CPUQuota"},
			"memory": {
				LevelNote, "2.0 GiB (/sys/fs/cgroup/memory/system.slice/velo.service/memory.limit_in_bytes)",
				"MemoryMax",
			},
			"swap": {LevelNote, "1.0 GiB", "swapoff"},
		},
		"cloud": {
			"hypervisor": {LevelSpoils, "m6i.2xlarge", "bare metal"},
			"steal":      {LevelSpoils, "2.00 %", "host"},
			"quota":      {LevelSpoils, "1.50 of 4", "CPUQuota=400%"},
			"kernel-threads": {
				LevelSpoils, "ksoftirqd/0 (4.0 %)",
				"echo f0 | sudo tee /sys/devices/virtual/workqueue/cpumask",
			},
			"interrupts": {
				LevelSpoils, "irq 27 (PCI-MSI 524288-edge ens5-Tx-Rx-0) 8000 a second on cpus 0",
				"echo 4-7 | sudo tee /proc/irq/27/smp_affinity_list",
			},
			"clock": {LevelSpoils, "xen", "echo tsc"},
			"memory": {
				LevelSpoils, "256 MiB (/sys/fs/cgroup/kubepods.slice/pod1.slice/memory.max)",
				"MemoryMax",
			},
			"free-page-reporting": {LevelSpoils, "(virtio1)", "echo virtio1"},
			"numa-balancing":      {LevelSpoils, "moves pages", "numa_balancing=0"},
			"max-map-count":       {LevelSpoils, "8192", "vm.max_map_count="},
			"isolation":           {LevelNote, "CPUs 6 are isolated", "taskset -c 6"},
			"offline":             {LevelNote, "8-9", "cpu8/online"},
			"perf":                {LevelNote, "is 2", "perf_event_paranoid=1"},
		},
	} {
		r := examine(t, name)
		left := maps.Clone(want)
		for _, f := range r.Findings {
			w, ok := left[f.ID]
			switch {
			case !ok:
				t.Errorf("%s: unexpected: %+v", name, f)
			case f.Level != w[0] || !strings.Contains(f.Found, w[1]) || !strings.Contains(f.Mend, w[2]) ||
				f.Spoils == "":
				t.Errorf("%s: %+v, expected %q", name, f, w)
			}
			delete(left, f.ID)
		}
		for id := range left {
			t.Errorf("%s: no finding %s", name, id)
		}
		if r.Spoiled() != (len(want) > 0) || len(r.Spoilers()) > 0 != r.Spoiled() {
			t.Errorf("%s: spoiled: %v, %q", name, r.Spoiled(), r.Spoilers())
		}
		var text bytes.Buffer
		r.Print(&text)
		for _, f := range r.Findings {
			if !strings.Contains(text.String(), f.Found) || !strings.Contains(text.String(), f.Mend) {
				t.Errorf("%s: the text does not have %+v:\n%s", name, f, text.String())
			}
		}
		if b, err := json.Marshal(r); err != nil || !json.Valid(b) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Goal: what a host is comes out of its files, and why CPUs may not be used.
func TestMachine(t *testing.T) {
	q := examine(t, "quiet").Machine
	if q.CPU != "AMD EPYC 9124 16-Core Processor" || q.Hypervisor != "" || q.Cores != 7 || len(q.LLCs) != 2 ||
		q.Turbo != "off" ||
		q.THP != "madvise" || q.Memory != 131072000<<10 || q.Governors["performance"] != "1-7" ||
		q.MaxMapCount != 1048576 {
		t.Errorf("%+v", q)
	}
	if len(q.Excluded) != 1 || !slices.Equal(q.Excluded[0].CPUs, []int{0}) ||
		!strings.Contains(q.Excluded[0].Why, "affinity mask") {
		t.Errorf("%+v", q.Excluded)
	}
	c := examine(t, "cloud").Machine
	var why []string
	for _, x := range c.Excluded {
		why = append(why, affinity.FormatList(x.CPUs)+" "+x.Why)
	}
	for i, want := range []string{"8-9 offline", "4-5 not in the cpuset", "6 isolated", "7 not in the affinity mask"} {
		if len(why) != 4 || !strings.HasPrefix(why[i], want) {
			t.Errorf("%q, expected %s", why, want)
		}
	}
	if c.Quota != 1.5 || c.Memory != 256<<20 || len(c.Nodes) != 2 || c.StealSinceBoot != 0.02 ||
		c.KernelThreads["ksoftirqd/0"] != 0.04 {
		t.Errorf("%+v", c)
	}
	s := examine(t, "service").Machine
	if s.CPU != "implementer 0x41 part 0xd40" || s.Quota != 2 || s.Memory != 2<<30 || s.StealSinceBoot != 0 ||
		s.PerfParanoid != 1 {
		t.Errorf("%+v", s)
	}
	metal := fstest.MapFS{
		"sys/class/dmi/id/sys_vendor":   {Data: []byte("Amazon EC2")},
		"sys/class/dmi/id/product_name": {Data: []byte("c7g.metal")},
	}
	if got := hypervisor(metal); got != "" {
		t.Errorf("a metal instance is taken for a virtual machine: %s", got)
	}
	// The trees from which topologies are read have nothing else, and nothing is guessed from that.
	for _, name := range []string{"epyc", "hybrid", "arm"} {
		tree, err := hosttree.Read(filepath.Join("../../affinity/testdata", name+".txt"))
		if err != nil {
			t.Fatal(err)
		}
		usable, err := affinity.ParseList(line(tree, "usable"))
		if err != nil {
			t.Fatal(err)
		}
		s := TakeSample(tree)
		for _, f := range Examine(tree, usable, s, s).Findings {
			if !slices.Contains([]string{"smt", "cores-differ", "isolation", "offline"}, f.ID) {
				t.Errorf("%s: %+v", name, f)
			}
		}
	}
	if _, err := UsableOf(fstest.MapFS{}); err == nil {
		t.Error("usable CPUs of nothing")
	}
	if r := Examine(fstest.MapFS{}, nil, Sample{}, Sample{}); len(r.Findings) != 0 {
		t.Errorf("findings about nothing: %+v", r.Findings)
	}
}

// Goal: rubbish in the counters is no finding and no panic.
func TestRubbish(t *testing.T) {
	tree := fstest.MapFS{}
	for name, text := range map[string]string{
		"proc/stat":       "cpu0\ncpux 1 2 3 4 5 6 7 8 9\ncpu1 a b c d e f g h\n",
		"proc/interrupts": "CPU0 CPU1\n42: 1\n\nx\n",
		"proc/7/stat":     "7 (x", "proc/8/stat": "8 (y) S 1", "proc/self/stat": "", "proc/9/schedstat": "1",
	} {
		tree[name] = &fstest.MapFile{Data: []byte(text)}
	}
	s := TakeSample(tree)
	if r := Examine(tree, []int{0, 1}, s, s); r.Spoiled() {
		t.Errorf("%+v", r.Findings)
	}
}

// Goal: the running system is examined, and the watch can be ended.
func TestLive(t *testing.T) {
	r, err := Live(t.Context(), 20*time.Millisecond)
	if err != nil || len(r.Machine.Usable) == 0 {
		t.Fatal(err, r.Machine)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Live(ctx, time.Hour); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
