package kernel

import (
	"fmt"
	"io/fs"
	"math"
	"os"
	paths "path"
	"runtime"
	"strconv"
	"strings"
	"sync"
)

// Cores returns how many threads are worth having: the CPUs that the process may
// run on, or fewer if its cgroup limits its processor time, the limit rounded up.
func Cores() int { return cores() }

var cores = sync.OnceValue(func() int { return fewer(runtime.NumCPU(), cpuLimit(os.DirFS("/"))) })

// CoresNotice returns one sentence for the operator if fewer CPUs compute than the
// machine has, and why; "" if all do.
func CoresNotice() string { return coresNotice(runtime.NumCPU(), os.DirFS("/")) }

func coresNotice(cpus int, root fs.FS) string {
	limit, online := cpuLimit(root), onlineCPUs(root)
	n := fewer(cpus, limit)
	threads := "1 thread computes"
	if n > 1 {
		threads = strconv.Itoa(n) + " threads compute"
	}
	switch {
	case limit < float64(cpus):
		return fmt.Sprintf("the cgroup (CPUQuota of systemd, --cpus of a container) allows this program %.3g of %d CPUs, so %s", limit, max(cpus, online), threads)
	case cpus < online:
		return fmt.Sprintf("this program may run on %d of %d CPUs (affinity: CPUAffinity of systemd, taskset, a cpuset), so %s", cpus, online, threads)
	}
	return ""
}

// onlineCPUs returns how many CPUs the machine runs, 0 if that cannot be read. The
// file has a list such as "0-3,8".
func onlineCPUs(root fs.FS) int {
	b, err := fs.ReadFile(root, "sys/devices/system/cpu/online")
	if err != nil {
		return 0
	}
	n := 0
	for part := range strings.SplitSeq(strings.TrimSpace(string(b)), ",") {
		from, to, isRange := strings.Cut(part, "-")
		if !isRange {
			to = from
		}
		a, err := strconv.Atoi(from)
		z, failure := strconv.Atoi(to)
		if err != nil || failure != nil || z < a {
			return 0
		}
		n += z - a + 1
	}
	return n
}

func fewer(cpus int, limit float64) int {
	if limit < float64(cpus) {
		return max(int(math.Ceil(limit)), 1)
	}
	return max(cpus, 1)
}

// cpuLimit returns the processor time per time that the cgroups of this process
// and those above them allow, infinite without a limit. What cannot be read
// limits nothing. See cgroups(7) and the kernel's admin-guide/cgroup-v2.rst.
func cpuLimit(root fs.FS) float64 {
	limit := math.Inf(1)
	of, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return limit
	}
	for line := range strings.Lines(string(of)) {
		_, rest, _ := strings.Cut(strings.TrimSpace(line), ":")
		controllers, group, ok := strings.Cut(rest, ":")
		if !ok {
			continue
		}
		mount, read := "sys/fs/cgroup", limitV2
		if controllers != "" {
			if !strings.Contains(","+controllers+",", ",cpu,") {
				continue
			}
			mount, read = "sys/fs/cgroup/cpu", limitV1
		}
		// In a container the group may be the root of what it sees.
		for at := paths.Clean("/" + group); ; at = paths.Dir(at) {
			if v, ok := read(root, paths.Join(mount, at)); ok {
				limit = min(limit, v)
			}
			if at == "/" {
				break
			}
		}
	}
	return limit
}

// limitV2 reads "max 100000" or "50000 100000".
func limitV2(root fs.FS, folder string) (float64, bool) {
	b, err := fs.ReadFile(root, paths.Join(folder, "cpu.max"))
	if err != nil {
		return 0, false
	}
	quota, period, _ := strings.Cut(strings.TrimSpace(string(b)), " ")
	return ratio(quota, period)
}

func limitV1(root fs.FS, folder string) (float64, bool) {
	quota, err := fs.ReadFile(root, paths.Join(folder, "cpu.cfs_quota_us"))
	if err != nil {
		return 0, false
	}
	period, err := fs.ReadFile(root, paths.Join(folder, "cpu.cfs_period_us"))
	if err != nil {
		return 0, false
	}
	return ratio(strings.TrimSpace(string(quota)), strings.TrimSpace(string(period)))
}

// ratio returns quota by period, both in microseconds, if they are a limit.
func ratio(quota, period string) (float64, bool) {
	q, err := strconv.ParseInt(quota, 10, 64)
	if err != nil || q <= 0 { // "max", -1
		return 0, false
	}
	p, err := strconv.ParseInt(period, 10, 64)
	if err != nil || p <= 0 {
		return 0, false
	}
	return float64(q) / float64(p), true
}
