package kernel

import (
	"math"
	"strings"
	"testing"
	"testing/fstest"
)

// The limit is the least of the process's cgroup and those above, of either
// version, and what is not there or not a number limits nothing.
func TestCPULimit(t *testing.T) {
	inf := math.Inf(1)
	for _, c := range []struct {
		name  string
		files map[string]string
		want  float64
	}{
		{"no cgroups", nil, inf},
		{"none set", map[string]string{"proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/cpu.max": "max 100000\n"}, inf},
		{"half a core", map[string]string{"proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/cpu.max": "50000 100000\n"}, 0.5},
		{"of the slice above", map[string]string{"proc/self/cgroup": "0::/s/a\n", "sys/fs/cgroup/s/a/cpu.max": "400000 100000\n", "sys/fs/cgroup/s/cpu.max": "150000 100000"}, 1.5},
		{"in a container", map[string]string{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "200000 100000\n"}, 2},
		{"outside of what it sees", map[string]string{"proc/self/cgroup": "0::/../a\n", "sys/fs/cgroup/cpu.max": "200000 100000\n"}, 2},
		{"version 1", map[string]string{"proc/self/cgroup": "5:memory:/m\n4:cpu,cpuacct:/d/x\n", "sys/fs/cgroup/cpu/d/x/cpu.cfs_quota_us": "250000\n", "sys/fs/cgroup/cpu/d/x/cpu.cfs_period_us": "100000\n"}, 2.5},
		{"version 1 without a limit", map[string]string{"proc/self/cgroup": "4:cpu:/\n", "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n"}, inf},
		{"version 1 without a period", map[string]string{"proc/self/cgroup": "4:cpu:/\n", "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "5\n"}, inf},
		{"rubbish", map[string]string{"proc/self/cgroup": "x\n0::/a\n:::\n", "sys/fs/cgroup/a/cpu.max": "50000 0\n"}, inf},
		{"only a quota", map[string]string{"proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/cpu.max": "50000\n"}, inf},
	} {
		root := fstest.MapFS{}
		for name, content := range c.files {
			root[name] = &fstest.MapFile{Data: []byte(content)}
		}
		if got := cpuLimit(root); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// What the operator is told: which limit, what is left, how many threads.
func TestCoresNotice(t *testing.T) {
	for _, c := range []struct {
		name, online, max string
		cpus              int
		want              string // its end; empty: nothing is said
	}{
		{"all of it", "0-3\n", "max 100000", 4, ""},
		{"a limit above the CPUs", "0-3\n", "800000 100000", 4, ""},
		{"half a core", "0-3\n", "50000 100000", 4, "0.5 of 4 CPUs, so 1 thread computes"},
		{"one and a half", "0-63\n", "150000 100000", 64, "1.5 of 64 CPUs, so 2 threads compute"},
		{"two of eight", "0-3,8-11\n", "max 100000", 2, "2 of 8 CPUs (affinity: CPUAffinity of systemd, taskset, a cpuset), so 2 threads compute"},
		{"both, the limit less", "0-7\n", "100000 100000", 2, "1 of 8 CPUs, so 1 thread computes"},
		{"one CPU", "0\n", "max 100000", 1, ""},
		{"rubbish", "0-\n", "max 100000", 1, ""},
		{"backwards", "3-0\n", "max 100000", 1, ""},
		{"nothing to read", "", "", 1, ""},
	} {
		root := fstest.MapFS{"proc/self/cgroup": {Data: []byte("0::/a\n")}}
		if c.online != "" {
			root["sys/devices/system/cpu/online"] = &fstest.MapFile{Data: []byte(c.online)}
		}
		if c.max != "" {
			root["sys/fs/cgroup/a/cpu.max"] = &fstest.MapFile{Data: []byte(c.max)}
		}
		if got := coresNotice(c.cpus, root); (c.want == "") != (got == "") || !strings.HasSuffix(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestCoresUnderALimit(t *testing.T) {
	for _, c := range []struct {
		cpus  int
		limit float64
		want  int
	}{{2, math.Inf(1), 2}, {2, 0.5, 1}, {64, 1.5, 2}, {64, 64, 64}, {1, 3, 1}, {4, 0.001, 1}} {
		if got := fewer(c.cpus, c.limit); got != c.want {
			t.Errorf("%d CPUs, limit %v: %d cores, want %d", c.cpus, c.limit, got, c.want)
		}
	}
	if n := Cores(); n < 1 {
		t.Errorf("%d cores", n)
	}
}
