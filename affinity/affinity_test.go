package affinity

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Goal: lists are read and written as the kernel does, and what is not a list is refused with its place.
func TestList(t *testing.T) {
	for in, want := range map[string][]int{
		"": nil, "0": {0}, "0-3": {0, 1, 2, 3}, "0-1,8,10-11\n": {0, 1, 8, 10, 11}, "3,1,1": {1, 3},
	} {
		got, err := ParseList(in)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("ParseList(%q) = %v, %v, expected %v", in, got, err, want)
		}
		if again, err := ParseList(FormatList(got)); err != nil || !slices.Equal(again, got) {
			t.Errorf("FormatList(%v) = %q, which reads as %v, %v", got, FormatList(got), again, err)
		}
	}
	for _, in := range []string{"a", "1-", "-1", "3-1", "1,,2", "0-99999"} {
		if got, err := ParseList(in); err == nil {
			t.Errorf("ParseList(%q) = %v, expected an error", in, got)
		}
	}
	if got := FormatList([]int{0, 1, 2, 5, 7, 8}); got != "0-2,5,7-8" {
		t.Errorf("FormatList: %q", got)
	}
}

// Goal: the quota is read from either version of control groups. Method: trees as real hosts have them.
func TestQuota(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		want  float64
	}{
		"none":         {nil, 0},
		"v2":           {map[string]string{"cpu.max": "150000 100000\n"}, 1.5},
		"v2 unlimited": {map[string]string{"cpu.max": "max 100000\n"}, 0},
		"v1": {
			map[string]string{"cpu/cpu.cfs_quota_us": "50000\n", "cpu/cpu.cfs_period_us": "100000\n"},
			0.5,
		},
		"v1 unlimited": {map[string]string{"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 0},
		"nonsense":     {map[string]string{"cpu.max": "much\n"}, 0},
		"v2, a group of its own below one with more": {map[string]string{
			"../../../proc/self/cgroup": "0::/a/b\n", "a/cpu.max": "400000 100000\n", "a/b/cpu.max": "200000 100000\n",
		}, 2},
		"v2, a group of its own below one with less": {map[string]string{
			"../../../proc/self/cgroup": "0::/a/b\n", "a/cpu.max": "50000 100000\n", "a/b/cpu.max": "200000 100000\n",
		}, 0.5},
		"v1, a group of its own": {map[string]string{
			"../../../proc/self/cgroup": "2:cpu,cpuacct:/a\n", "cpu/a/cpu.cfs_quota_us": "50000\n",
			"cpu/a/cpu.cfs_period_us": "100000\n",
		}, 0.5},
	} {
		root := t.TempDir()
		for file, text := range c.files {
			path := filepath.Join(root, "sys/fs/cgroup", file)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got, ok := QuotaOf(os.DirFS(root)); got != c.want || ok != (c.want > 0) {
			t.Errorf("%s: %v, %v, expected %v", name, got, ok, c.want)
		}
	}
}

// Goal: the host line names what matters, and a spoilt host is called that. Method: a tree with a slow governor, SMT and load.
func TestDescribe(t *testing.T) {
	h := Describe()
	if h.GoVersion == "" || len(h.CPUs) == 0 || !strings.Contains(h.String(), h.GoVersion) {
		t.Fatalf("%+v", h)
	}
	root := t.TempDir()
	for file, text := range map[string]string{
		"sys/devices/system/cpu/cpu0/cpufreq/scaling_governor":      "powersave\n",
		"sys/devices/system/cpu/cpu0/topology/thread_siblings_list": "0-1\n",
		"sys/kernel/mm/transparent_hugepage/enabled":                "always madvise [never]\n",
		"proc/loadavg": "3.10 1.0 1.0 1/100 1\n",
	} {
		path := filepath.Join(root, file)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got := strings.Join(warnings(&Host{CPUs: []int{0}, Quota: 0.5}, os.DirFS(root)), "\n")
	for _, want := range []string{
		"powersave", "cpus 0-1 share", "load of 3.1", "huge pages", "grants 0.50",
		"one usable cpu",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no warning says %q in:\n%s", want, got)
		}
	}
}
