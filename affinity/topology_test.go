package affinity

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/cpuid/v2/topology"
	"pgregory.net/rapid"

	"github.com/velo-engine/velo/internal/hosttree"
)

// hostFiles reads a tree from testdata. Its file usable, which no host has, is the list of usable
// CPUs. The trees have the shape of real hosts, and only the files that a topology is read from.
func hostFiles(t testing.TB, name string) (files map[string]string, usable []int) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name+".txt"))
	if err != nil {
		t.Fatal(err)
	}
	if files, err = hosttree.Parse(string(text)); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if usable, err = ParseList(files["usable"]); err != nil {
		t.Fatal(err)
	}
	delete(files, "usable")
	return files, usable
}

func writeTree(t testing.TB, root string, files map[string]string) {
	t.Helper()
	for file, text := range files {
		path := filepath.Join(root, filepath.FromSlash(file))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

var hosts = map[string]Topology{}

// host is the topology of a tree in testdata.
func host(t testing.TB, name string) Topology {
	t.Helper()
	if top, ok := hosts[name]; ok {
		return top
	}
	files, usable := hostFiles(t, name)
	root := t.TempDir()
	writeTree(t, root, files)
	top, ok := ReadTopology(os.DirFS(root), usable)
	if !ok {
		t.Fatalf("%s: no topology", name)
	}
	hosts[name] = top
	return top
}

// layout writes all of a topology: a line for each group around a cache, cores as their threads in
// the order of SMT, and their capacity where it is not full.
func layout(top Topology) string {
	cores := map[int][]CPU{}
	for _, c := range top.CPUs {
		cores[c.Core] = append(cores[c.Core], c)
	}
	lines := map[string][]string{}
	var order []string
	for core := range len(cores) {
		threads := cores[core]
		slices.SortFunc(threads, func(a, b CPU) int { return cmp.Compare(a.SMT, b.SMT) })
		c := threads[0]
		key := fmt.Sprintf("package %d node %d llc %d:", c.Package, c.Node, c.LLC)
		if !slices.Contains(order, key) {
			order = append(order, key)
		}
		var ids []string
		for _, c := range threads {
			ids = append(ids, fmt.Sprint(c.ID))
		}
		word := strings.Join(ids, "+")
		if c.Capacity != FullCapacity {
			word += fmt.Sprintf("*%d", c.Capacity)
		}
		lines[key] = append(lines[key], word)
	}
	var b strings.Builder
	for _, key := range order {
		fmt.Fprintf(&b, "%s %s\n", key, strings.Join(lines[key], " "))
	}
	return b.String()
}

// Goal: the kernel's files are read right on each kind of host, and what is missing or odd
// degrades. Method: trees with the shape of real hosts, the whole topology spelled out.
func TestReadTopology(t *testing.T) {
	for _, c := range []struct{ name, line, layout string }{
		{"epyc", "32 cpus, 16 cores, 4 llcs, 4 nodes, 2 packages", `
package 0 node 0 llc 0: 0+16 1+17 2+18 3+19
package 0 node 1 llc 1: 4+20 5+21 6+22 7+23
package 1 node 2 llc 2: 8+24 9+25 10+26 11+27
package 1 node 3 llc 3: 12+28 13+29 14+30 15+31
`},
		{"xeon", "16 cpus, 8 cores, 2 llcs, 2 nodes, 2 packages", `
package 0 node 0 llc 0: 0+8 2+10 4+12 6+14
package 1 node 1 llc 1: 1+9 3+11 5+13 7+15
`},
		// An E core is 3.3 of 4.4 GHz, which is also what cpu_atom says at least.
		{"hybrid", "16 cpus, 12 cores, 1 llc, 1 node, 8 of the cores slower", `
package 0 node 0 llc 0: 0+1 2+3 4+5 6+7 8*768 9*768 10*768 11*768 12*768 13*768 14*768 15*768
`},
		{"vm", "2 cpus, 2 cores, 1 llc, 1 node", `
package 0 node 0 llc 0: 0 1
`},
		{"arm", "8 cpus, 8 cores, 1 llc, 1 node", `
package 0 node 0 llc 0: 0 1 2 3 4 5 6 7
`},
		{"biglittle", "8 cpus, 8 cores, 1 llc, 1 node, 7 of the cores slower", `
package 0 node 0 llc 0: 0*250 1*250 2*250 3*250 4*871 5*871 6*871 7
`},
		// Where the process has one thread of a core, that is the first, whatever the host calls
		// it.
		{"cpuset", "7 cpus, 6 cores, 2 llcs, 1 node", `
package 0 node 0 llc 0: 1 3 5
package 0 node 0 llc 1: 9 11 12+13
`},
		// 0 and 1 are siblings by their lists. 2 and 3 are by core_id: the list of 2 is not of 2. 4
		// is alone. 5 says that it shares a cache with 4, whose own has no CPUs; what both share is
		// for instructions.
		{"sparse", "6 cpus, 4 cores, 3 llcs, 2 nodes", `
package 0 node 0 llc 0: 0+1 2+3
package 0 node 1 llc 1: 4
package 0 node 1 llc 2: 5
`},
	} {
		top := host(t, c.name)
		if got := top.String(); got != c.line {
			t.Errorf("%s: %s, expected %s", c.name, got, c.line)
		}
		if got := layout(top); got != c.layout[1:] {
			t.Errorf("%s:\n%sexpected\n%s", c.name, got, c.layout[1:])
		}
		if err := valid(top); err != nil || top.Source != SourceSysfs {
			t.Errorf("%s: %s: %v", c.name, top.Source, err)
		}
	}
}

// Goal: the rules for cores and caches that none of the hosts shows. Method: four CPUs and a few
// files.
func TestReadFew(t *testing.T) {
	const cpu = "sys/devices/system/cpu/cpu"
	for name, c := range map[string]struct {
		files  map[string]string
		layout string
	}{
		"core_id is unique within a die": {map[string]string{
			cpu + "[0-3]/topology/core_id": "0", cpu + "[0-1]/topology/physical_package_id": "0",
			cpu + "[2-3]/topology/physical_package_id": "1",
			cpu + "[0,2-3]/topology/die_id":            "0", cpu + "1/topology/die_id": "1",
		}, "package 0 node 0 llc 0: 0 1\npackage 1 node 0 llc 1: 2+3\n"},
		"the new name of the siblings": {map[string]string{
			cpu + "[0-1]/topology/core_cpus_list": "0-1", cpu + "[2-3]/topology/core_cpus_list": "2-3",
			cpu + "[0-3]/topology/thread_siblings_list": "0-3",
		}, "package 0 node 0 llc 0: 0+1 2+3\n"},
		"the last level is not the last index": {map[string]string{
			cpu + "0/topology/core_id": "0", cpu + "[0-3]/cache/index0/level": "3",
			cpu + "[0-3]/cache/index0/shared_cpu_list": "0-3",
			cpu + "[0-3]/cache/index1/level":           "2", cpu + "[0-1]/cache/index1/shared_cpu_list": "0-1",
			cpu + "[2-3]/cache/index1/shared_cpu_list": "2-3",
		}, "package 0 node 0 llc 0: 0 1 2 3\n"},
		"a second level that cores share": {map[string]string{
			cpu + "0/topology/core_id":                 "0",
			cpu + "[0-3]/cache/index1/level":           "2",
			cpu + "[0-1]/cache/index1/shared_cpu_list": "0-1", cpu + "[2-3]/cache/index1/shared_cpu_list": "2-3",
		}, "package 0 node 0 llc 0: 0 1\npackage 0 node 0 llc 1: 2 3\n"},
	} {
		root, lines := t.TempDir(), ""
		for path, text := range c.files {
			lines += path + ": " + text + "\n"
		}
		files, err := hosttree.Parse(lines)
		if err != nil {
			t.Fatal(err)
		}
		writeTree(t, root, files)
		if top, ok := ReadTopology(os.DirFS(root), []int{0, 1, 2, 3}); !ok || layout(top) != c.layout {
			t.Errorf("%s: %v\n%sexpected\n%s", name, ok, layout(top), c.layout)
		}
	}
}

// Goal: a source that ranks cores is used where the better ones are silent. Method: the files of
// the hybrid host taken away in turn.
func TestCapacities(t *testing.T) {
	files, usable := hostFiles(t, "hybrid")
	remove := func(what string) {
		for f := range files {
			if strings.Contains(f, what) {
				delete(files, f)
			}
		}
	}
	remove("/topology/")
	remove("/cache/")
	check := func(what string, p, e int) {
		t.Helper()
		root := t.TempDir()
		writeTree(t, root, files)
		got := readCapacities(os.DirFS(root), usable)
		if want := slices.Concat(slices.Repeat([]int{p}, 8), slices.Repeat([]int{e}, 8)); !slices.Equal(got, want) {
			t.Errorf("%s: %v, expected %v", what, got, want)
		}
	}
	for i := range 8 {
		files[fmt.Sprintf("sys/devices/system/cpu/cpu%d/cpu_capacity", i+8)] = "600\n"
	}
	check("by cpu_capacity", 1024, 600)
	remove("cpu_capacity")
	check("by frequency and kind", 1024, 768)
	remove("cpuinfo_max_freq")
	check("by kind", 1024, 768)
	remove("cpu_atom")
	check("by nothing", 1024, 1024)
	files["sys/devices/system/cpu/cpu3/cpufreq/cpuinfo_max_freq"] = "1\n"
	check("by the frequency of one", 1024, 1024)
	for _, id := range usable {
		files[fmt.Sprintf("sys/devices/system/cpu/cpu%d/cpufreq/cpuinfo_max_freq", id)] = "0\n"
	}
	check("by frequencies of nothing", 1024, 1024)
}

// Goal: a favoured core of a turbo is no kind of its own, an efficient one is.
func TestClasses(t *testing.T) {
	got := classes([]CPU{
		{Capacity: 1000},
		{Capacity: 960},
		{Capacity: 875},
		{Capacity: 874},
		{Capacity: 770},
		{Capacity: 764},
		{Capacity: 0},
	})
	want := map[int]int{1000: 0, 960: 0, 875: 0, 874: 1, 770: 1, 764: 2, 0: 3}
	for capacity, class := range want {
		if got[capacity] != class {
			t.Errorf("capacity %d is of class %d, expected %d", capacity, got[capacity], class)
		}
	}
}

// valid says what is wrong with a topology: order, numbers, threads of a core.
func valid(top Topology) error {
	threads, cores, llcs := map[int]int{}, 0, 0
	for i, c := range top.CPUs {
		switch {
		case i > 0 && c.ID <= top.CPUs[i-1].ID:
			return fmt.Errorf("cpu %d behind %d", c.ID, top.CPUs[i-1].ID)
		case c.Core > cores || c.LLC > llcs || c.Core < 0 || c.LLC < 0:
			return fmt.Errorf("%+v: expected a core up to %d and an llc up to %d", c, cores, llcs)
		case c.SMT != threads[c.Core]:
			return fmt.Errorf("%+v: expected thread %d", c, threads[c.Core])
		case c.Package < 0 || c.Node < 0 || c.Capacity <= 0:
			return fmt.Errorf("%+v: below its range", c)
		}
		cores, llcs = max(cores, c.Core+1), max(llcs, c.LLC+1)
		threads[c.Core]++
	}
	return nil
}

// Goal: no tree makes the reader panic, lose or invent a CPU. Method: random files of a real host,
// each there, missing, or with some text that another might have.
func TestOddTrees(t *testing.T) {
	files, usable := hostFiles(t, "cpuset")
	var names []string
	for f := range files {
		names = append(names, f)
	}
	slices.Sort(names)
	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		n++
		tree := map[string]string{}
		for range rapid.IntRange(0, 25).Draw(rt, "files") {
			f := rapid.SampledFrom(names).Draw(rt, "file")
			tree[f] = rapid.SampledFrom([]string{
				files[f], files[f], "", "\n", "-1\n", "0\n", "3\n", "0-3\n", "3-0\n", "1-13\n", "0-4095\n",
				"99999999999999999999\n", "Instruction\n", "\x00\xff",
			}).Draw(rt, "text")
		}
		root := filepath.Join(t.TempDir(), fmt.Sprint(n))
		writeTree(t, root, tree)
		top, ok := ReadTopology(os.DirFS(root), usable)
		if err := valid(top); err != nil {
			rt.Fatal(err)
		}
		online, err := ParseList(strings.TrimSpace(tree["sys/devices/system/cpu/online"]))
		want := intersect(usable, online)
		if err != nil || len(want) == 0 {
			want = usable
		}
		var got []int
		for _, c := range top.CPUs {
			got = append(got, c.ID)
		}
		if !slices.Equal(got, want) {
			rt.Fatalf("cpus %v, expected %v", got, want)
		}
		if ok && !slices.ContainsFunc(slices.Collect(maps.Keys(tree)), func(f string) bool {
			return strings.Contains(f, "/topology/")
		}) {
			rt.Fatal("a topology from a tree without one")
		}
	})
	if _, ok := ReadTopology(os.DirFS(t.TempDir()), usable); ok {
		t.Error("a topology from an empty tree")
	}
}

// Goal: what cpuid finds becomes the same topology, and what cannot be is refused. Method: systems
// made by hand.
func TestFromSystem(t *testing.T) {
	core := func(id int, kind topology.CoreType, threads ...int) (c topology.Core) {
		c = topology.Core{ID: id, Type: kind}
		for _, i := range threads {
			c.Threads = append(c.Threads, topology.Thread{ID: i, APICID: uint32(100 + i)})
		}
		return c
	}
	make4 := func() *topology.System {
		return &topology.System{Scanned: true, Online: 4, Packages: []topology.Package{
			{Groups: []topology.Group{{Cores: []topology.Core{core(0, topology.Performance, 0, 2)}}}},
			{Groups: []topology.Group{
				{Cores: []topology.Core{core(1, topology.Efficiency, 1)}},
				{Cores: []topology.Core{core(2, topology.LPEfficiency, 3)}},
			}},
		}}
	}
	top, ok := fromSystem(make4(), []int{2, 3, 5, 7})
	want := "package 0 node 0 llc 0: 2+5\npackage 1 node 1 llc 1: 3*768\npackage 1 node 1 llc 2: 7*576\n"
	if got := layout(top); !ok || got != want || top.Source != SourceCPUID {
		t.Errorf("%v from %s:\n%sexpected\n%s", ok, top.Source, got, want)
	}
	if err := valid(top); err != nil {
		t.Error(err)
	}
	for name, spoil := range map[string]func(*topology.System){
		"extrapolated":         func(s *topology.System) { s.Scanned = false },
		"a CPU did not answer": func(s *topology.System) { s.Packages[0].Groups[0].Cores[0].Threads = nil },
		"one answered for all": func(s *topology.System) { s.Packages[0].Groups[0].Cores[0].Threads[0].APICID = 101 },
		"an index twice":       func(s *topology.System) { s.Packages[0].Groups[0].Cores[0].Threads[0].ID = 1 },
		"an index too high":    func(s *topology.System) { s.Packages[0].Groups[0].Cores[0].Threads[0].ID = 4 },
	} {
		s := make4()
		spoil(s)
		if top, ok := fromSystem(s, []int{2, 3, 5, 7}); ok {
			t.Errorf("%s: accepted as %s", name, top)
		}
	}
	if _, ok := fromSystem(nil, nil); ok {
		t.Error("nothing: accepted")
	}
}

// Goal: the host that the test runs on is read, by each source, without a trace on the masks of the
// threads.
func TestDiscover(t *testing.T) {
	usable, err := Usable()
	if err != nil {
		t.Fatal(err)
	}
	top, err := Discover()
	if err != nil {
		t.Fatal(err)
	}
	sources := []Topology{top, flatTopology(usable)}
	if scanned, ok := scanTopology(usable); ok {
		sources = append(sources, scanned)
	}
	for _, top := range sources {
		t.Logf("%s: %s", top.Source, top)
		if err := valid(top); err != nil {
			t.Errorf("%s: %v", top.Source, err)
		}
		if len(top.CPUs) != len(usable) {
			t.Errorf("%s: %d cpus, %d are usable", top.Source, len(top.CPUs), len(usable))
		}
	}
	if masks, err := ThreadMasks(); err == nil {
		for tid, mask := range masks {
			if !slices.Equal(mask, usable) {
				t.Errorf("thread %d has mask %v, expected %v", tid, mask, usable)
			}
		}
	}
	if got := (Topology{}).String(); got != "no cpus known" {
		t.Error(got)
	}
	if got := flatTopology([]int{4}).String(); got != "1 cpu, layout unknown" {
		t.Error(got)
	}
}
