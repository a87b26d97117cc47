package affinity

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// tree unpacks testdata/name.txt: lines "path: content" of files below /sys, where a path may have one range of numbers, {0-7}, and then
// stands for as many files; in the content, # is the number.
func tree(t testing.TB, name string) (root string, cpus []int) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name+".txt"))
	if err != nil {
		t.Fatal(err)
	}
	root = t.TempDir()
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		path, content, _ := strings.Cut(line, ": ")
		if path == "usable" {
			if cpus, err = ParseList(content); err != nil {
				t.Fatal(err)
			}
			continue
		}
		numbers := []int{-1}
		before, after := path, ""
		if open := strings.IndexByte(path, '{'); open >= 0 {
			end := strings.IndexByte(path, '}')
			if numbers, err = ParseList(path[open+1 : end]); err != nil {
				t.Fatal(err)
			}
			before, after = path[:open], path[end+1:]
		}
		for _, n := range numbers {
			file, value := path, content
			if n >= 0 {
				file, value = before+fmt.Sprint(n)+after, strings.ReplaceAll(content, "#", fmt.Sprint(n))
			}
			file = filepath.Join(root, "sys/devices/system", file)
			if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, []byte(value+"\n"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	return root, cpus
}

// hosts are the recorded trees, what they are, and where two kinds of jobs are placed on them: readers, partitions, cores, and then for
// each runner its agents and CPU.
var hosts = []struct {
	name, want string
	complete   bool
	jobs       map[[3]int]string
}{
	{"vm", "2 cpus, 2 cores, 1 last-level cache, 1 node", true, map[[3]int]string{
		{1, 1, 1}: "r0 p0 @1; spare 0",
		{1, 1, 2}: "r0 @0, p0 @1; spare -1",
		{2, 2, 2}: "r0 p0 @1, r1 p1 @0; spare -1",
		{3, 3, 3}: "r0 p0 @1, r1 p1 @0, r2 p2 @1; spare -1",
	}},
	{"epyc", "32 cpus, 16 cores, 4 last-level caches, 2 nodes", true, map[[3]int]string{
		// All in the last cache while it has cores, then in the other cache of the node, then in the other node.
		{4, 4, 4}: "r0 p0 @15, r1 p1 @14, r2 p2 @13, r3 p3 @12; spare 0",
		{6, 6, 6}: "r0 p0 @15, r1 p1 @14, r2 p2 @13, r3 p3 @12, r4 p4 @11, r5 p5 @10; spare 0",
		// Partitions first, readers near them.
		{2, 2, 4}: "r0 @13, r1 @12, p0 @15, p1 @14; spare 0",
		// Second threads when every core is taken.
		{17, 17, 17}: "r0 p0 @15, r1 p1 @14, r2 p2 @13, r3 p3 @12, r4 p4 @11, r5 p5 @10, r6 p6 @9, r7 p7 @8, r8 p8 @7, r9 p9 @6, r10 p10 @5, r11 p11 @4, " +
			"r12 p12 @3, r13 p13 @2, r14 p14 @1, r15 p15 @0, r16 p16 @31; spare 16",
	}},
	{"xeon", "16 cpus, 8 cores, 2 last-level caches, 2 nodes", true, map[[3]int]string{
		{4, 4, 4}: "r0 p0 @7, r1 p1 @5, r2 p2 @3, r3 p3 @1; spare 0",
		{5, 5, 5}: "r0 p0 @7, r1 p1 @5, r2 p2 @3, r3 p3 @1, r4 p4 @6; spare 0",
	}},
	{"hybrid", "12 cpus, 8 cores, 1 last-level cache, 1 node", true, map[[3]int]string{
		// Four fast cores with two threads each, four slow ones.
		{4, 4, 4}: "r0 p0 @6, r1 p1 @4, r2 p2 @2, r3 p3 @0; spare 8",
		{5, 5, 5}: "r0 p0 @6, r1 p1 @4, r2 p2 @2, r3 p3 @0, r4 p4 @11; spare 8",
		{9, 9, 9}: "r0 p0 @6, r1 p1 @4, r2 p2 @2, r3 p3 @0, r4 p4 @11, r5 p5 @10, r6 p6 @9, r7 p7 @8, r8 p8 @7; spare 1",
	}},
	{"arm", "4 cpus, 4 cores, 1 last-level cache, 1 node", false, map[[3]int]string{
		{1, 2, 3}: "r0 @1, p0 @3, p1 @2; spare 0",
	}},
	{"cpuset", "3 cpus, 2 cores, 2 last-level caches, 1 node", true, map[[3]int]string{
		// 2 and 18 are threads of one core, 9 is in another cache: a core of its own is worth more than the cache.
		{2, 2, 2}: "r0 p0 @9, r1 p1 @2; spare 18",
		{3, 3, 3}: "r0 p0 @9, r1 p1 @2, r2 p2 @18; spare -1",
	}},
	{"bare", "2 cpus, 2 cores, 1 last-level cache, 1 node", false, map[[3]int]string{
		{1, 1, 2}: "r0 @0, p0 @1; spare -1",
	}},
}

// describe writes a placement as hosts has it.
func describe(p Placement) string {
	var seats []string
	for _, s := range p.Seats {
		var words []string
		for _, r := range s.Readers {
			words = append(words, fmt.Sprintf("r%d", r))
		}
		for _, q := range s.Partitions {
			words = append(words, fmt.Sprintf("p%d", q))
		}
		seats = append(seats, fmt.Sprintf("%s @%d", strings.Join(words, " "), s.CPU))
	}
	return fmt.Sprintf("%s; spare %d", strings.Join(seats, ", "), p.Housekeeping)
}

// Goal: what the kernel says of real hosts is understood, and jobs are placed on them as they should be.
func TestHosts(t *testing.T) {
	for _, h := range hosts {
		root, cpus := tree(t, h.name)
		topology, complete := readTopology(root, cpus)
		if got := topology.String(); got != h.want || complete != h.complete {
			t.Errorf("%s: %s, complete %v; expected %s, %v\n%+v", h.name, got, complete, h.want, h.complete, topology.CPUs)
		}
		for job, want := range h.jobs {
			if got := describe(Place(topology, nil, job[0], job[1], job[2])); got != want {
				t.Errorf("%s, %d readers, %d partitions, %d cores:\ngot      %s\nexpected %s", h.name, job[0], job[1], job[2], got, want)
			}
		}
	}
}

// Goal: a second engine takes what the first has left.
func TestBusy(t *testing.T) {
	root, cpus := tree(t, "epyc")
	topology, _ := readTopology(root, cpus)
	got := describe(Place(topology, map[int]int{15: 1, 14: 1, 13: 1}, 2, 2, 2))
	if want := "r0 p0 @11, r1 p1 @10; spare 0"; got != want {
		t.Errorf("got %s, expected %s", got, want)
	}
}

// Goal: agents are dealt so that each has a runner, or so that reader i meets partition i.
func TestDeal(t *testing.T) {
	for _, c := range []struct {
		readers, partitions, cores int
		want                       string
	}{
		{1, 1, 1, "r0 p0"},
		{1, 1, 2, "r0, p0"},
		{1, 1, 8, "r0, p0"},
		{2, 2, 2, "r0 p0, r1 p1"},
		{2, 2, 4, "r0, r1, p0, p1"},
		{2, 2, 3, "r0 p0, r1 p1"},
		{3, 1, 2, "r0 r2 p0, r1"},
		{1, 4, 2, "r0 p0 p2, p1 p3"},
		{0, 1, 0, "p0"},
	} {
		got := describe(Place(Topology{}, nil, c.readers, c.partitions, c.cores))
		got = strings.ReplaceAll(strings.TrimSuffix(got, "; spare -1"), " @-1", "")
		if got != c.want {
			t.Errorf("%d readers, %d partitions on %d cores: %s, expected %s", c.readers, c.partitions, c.cores, got, c.want)
		}
	}
}

// Goal: for any machine and any job, each agent has one seat, no CPU gets a second runner while one is free, no second thread of a core a
// runner while a core is free, and the same comes out again.
func TestPlaceProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var topology Topology
		n := rapid.IntRange(1, 40).Draw(t, "cpus")
		threads := rapid.IntRange(1, 2).Draw(t, "threads")
		perCache := rapid.IntRange(1, 8).Draw(t, "perCache")
		for id := range n {
			core := id / threads
			topology.CPUs = append(topology.CPUs, CPU{
				ID: id, Core: core, SMT: id % threads, LLC: core / perCache, Node: core / perCache / 2, Speed: rapid.SampledFrom([]int{0, 1000, 2000}).Draw(t, "speed"),
			})
		}
		readers, partitions := rapid.IntRange(1, 20).Draw(t, "readers"), rapid.IntRange(1, 20).Draw(t, "partitions")
		cores := rapid.IntRange(1, 45).Draw(t, "cores")
		p := Place(topology, nil, readers, partitions, cores)
		if got := describe(Place(topology, nil, readers, partitions, cores)); got != describe(p) {
			t.Fatalf("first %s, then %s", describe(p), got)
		}
		var rs, ps []int
		onCPU, onCore := map[int]int{}, map[int]int{}
		for _, s := range p.Seats {
			rs, ps = append(rs, s.Readers...), append(ps, s.Partitions...)
			onCPU[s.CPU]++
			onCore[topology.CPUs[s.CPU].Core]++
		}
		slices.Sort(rs)
		slices.Sort(ps)
		for i := range rs {
			if rs[i] != i || len(rs) != readers {
				t.Fatalf("readers %v", rs)
			}
		}
		for i := range ps {
			if ps[i] != i || len(ps) != partitions {
				t.Fatalf("partitions %v", ps)
			}
		}
		if len(p.Seats) > cores || len(p.Seats) > 1 && len(p.Seats) > readers+partitions {
			t.Fatalf("%d runners for %d cores", len(p.Seats), cores)
		}
		for _, c := range topology.CPUs {
			if onCPU[c.ID] > 1 && len(onCPU) < n {
				t.Fatalf("cpu %d has %d runners and others none: %s", c.ID, onCPU[c.ID], describe(p))
			}
			if onCore[c.Core] > 1 && len(onCore) < (n+threads-1)/threads {
				t.Fatalf("core %d has %d runners and others none: %s", c.Core, onCore[c.Core], describe(p))
			}
		}
		if spare := p.Housekeeping; (spare < 0) != (len(onCPU) == n) || spare >= 0 && onCPU[spare] > 0 {
			t.Fatalf("spare cpu %d: %s", spare, describe(p))
		}
	})
}

// Goal: this host's own topology has the CPUs that may be used.
func TestDiscover(t *testing.T) {
	cpus, err := Usable()
	if err != nil {
		t.Skip(err)
	}
	topology, err := Discover()
	if err != nil {
		t.Fatal(err)
	}
	var got []int
	for _, c := range topology.CPUs {
		got = append(got, c.ID)
	}
	if !slices.Equal(got, cpus) {
		t.Fatalf("cpus %v, expected %v", got, cpus)
	}
	t.Log(topology)
}
