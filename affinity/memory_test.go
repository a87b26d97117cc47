package affinity

import (
	"os"
	"path/filepath"
	"testing"
)

// Goal: the memory that a process may use is the least limit of its control group and of those above it, whatever the version
// and wherever the group lies. Method: trees of /proc and /sys as such hosts have them.
func TestMemory(t *testing.T) {
	const meminfo = "MemTotal:       16777216 kB\nMemFree: 1 kB\n"
	for what, c := range map[string]struct {
		files map[string]string
		want  int
	}{
		"nothing is known": {nil, 4 << 30},
		"the machine":      {map[string]string{"proc/meminfo": meminfo}, 16 << 30},
		"a container": {map[string]string{
			"proc/meminfo": meminfo, "proc/self/cgroup": "0::/system.slice/docker-1.scope\n",
			"sys/fs/cgroup/memory.max": "268435456\n",
		}, 256 << 20},
		"MemoryMax of a service": {map[string]string{
			"proc/meminfo": meminfo, "proc/self/cgroup": "0::/system.slice/velo.service\n",
			"sys/fs/cgroup/system.slice/velo.service/memory.max": "268435456\n",
		}, 256 << 20},
		"a limit above the group": {map[string]string{
			"proc/meminfo": meminfo, "proc/self/cgroup": "0::/a/b/c\n", "sys/fs/cgroup/a/b/c/memory.max": "max\n",
			"sys/fs/cgroup/a/b/memory.max": "1073741824\n", "sys/fs/cgroup/a/memory.max": "2147483648\n",
		}, 1 << 30},
		"no limit": {map[string]string{
			"proc/meminfo": meminfo, "proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/memory.max": "max\n",
		}, 16 << 30},
		"version 1": {map[string]string{
			"proc/meminfo": meminfo, "proc/self/cgroup": "5:cpu,cpuacct:/x\n3:memory:/user/1\n1:name=systemd:/y\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes":        "9223372036854771712\n",
			"sys/fs/cgroup/memory/user/1/memory.limit_in_bytes": "536870912\n",
		}, 512 << 20},
		"version 1, the mount is the group": {map[string]string{
			"proc/meminfo": meminfo, "proc/self/cgroup": "3:memory:/docker/1\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "536870912\n",
		}, 512 << 20},
		"both versions": {map[string]string{
			"proc/meminfo": meminfo, "proc/self/cgroup": "3:memory:/v1\n0::/v2\n",
			"sys/fs/cgroup/memory/v1/memory.limit_in_bytes": "2147483648\n",
			"sys/fs/cgroup/unified/v2/memory.max":           "1073741824\n",
		}, 1 << 30},
		"a hierarchy that is mounted elsewhere": {map[string]string{
			"proc/meminfo": meminfo, "proc/self/cgroup": "0::/user.slice/velo\n",
			"proc/self/mountinfo": "29 23 0:26 / /dev/cg\\040two rw,nosuid shared:4 - cgroup2 " +
				"cgroup2 rw\n",
			"dev/cg two/user.slice/velo/memory.max": "268435456\n",
		}, 256 << 20},
		"a part of a hierarchy is mounted": {map[string]string{
			"proc/meminfo": meminfo, "proc/self/cgroup": "4:memory:/docker/1/inner\n",
			"proc/self/mountinfo": "35 31 0:32 /docker/1 /sys/fs/cgroup/memory rw - " +
				"cgroup cgroup rw,memory\n",
			"sys/fs/cgroup/memory/inner/memory.limit_in_bytes": "268435456\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes":       "536870912\n",
		}, 256 << 20},
		"a namespace, the path goes up": {map[string]string{
			"proc/meminfo": meminfo, "proc/self/cgroup": "0::/../other\n",
			"proc/self/mountinfo":      "29 23 0:26 /../.. /sys/fs/cgroup rw - cgroup2 cgroup rw\n",
			"sys/fs/cgroup/memory.max": "268435456\n",
		}, 256 << 20},
		"controllers mounted together": {map[string]string{
			"proc/meminfo": meminfo, "proc/self/cgroup": "4:cpu,memory:/a\n",
			"proc/self/mountinfo": "35 31 0:32 / /sys/fs/cgroup/cpu,memory rw - cgroup " +
				"cgroup rw,cpu,memory\n",
			"sys/fs/cgroup/cpu,memory/a/memory.limit_in_bytes": "268435456\n",
		}, 256 << 20},
		"version 1, a limit above what is mounted": {map[string]string{
			"proc/meminfo": meminfo, "proc/self/cgroup": "3:memory:/docker/1\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
			"sys/fs/cgroup/memory/memory.stat": "cache 0\nhierarchical_memory_limit " +
				"268435456\nhierarchical_memsw_limit 9223372036854771712\n",
		}, 256 << 20},
		"MemoryHigh of a service": {map[string]string{
			"proc/meminfo": meminfo, "proc/self/cgroup": "0::/s\n", "sys/fs/cgroup/s/memory.max": "max\n",
			"sys/fs/cgroup/s/memory.high": "268435456\n",
		}, 256 << 20},
		"rubbish": {map[string]string{
			"proc/meminfo": meminfo, "proc/self/cgroup": "what\n0::\n\n",
			"sys/fs/cgroup/memory.max": "-1\n",
		}, 16 << 30},
	} {
		root := t.TempDir()
		for name, text := range c.files {
			path := filepath.Join(root, name)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if got, _ := MemoryOf(os.DirFS(root)); got != c.want {
			t.Errorf("%s: %d, expected %d", what, got, c.want)
		}
	}
}
