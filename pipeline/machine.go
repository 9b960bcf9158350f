package pipeline

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"posefuse/message"
)

// What is left of a machine's resources before a part says so.
const (
	descriptorsShare = 0.8 // of the limit
	memoryShare      = 0.9 // of the smallest limit
	machinePeriod    = 5 * time.Second
)

// machine looks at what the operating system gives the daemon: descriptors,
// memory, a clock that something keeps right. It looks each machinePeriod; in
// between it repeats what it saw.
type machine struct {
	mu     sync.Mutex
	lookNS int64 // room clock of the newest look; 0: none
	parts  []message.PartHealth
	synced bool // as the kernel or systemd says; true where nobody says

	sys system
}

// system is what machine reads; tests have their own.
type system interface {
	descriptors() (open, limit uint64, ok bool)
	memory() (resident, limit uint64, ok bool) // bytes
	synchronised() (synced, known bool)
}

// look returns the parts, and whether the wall clock is kept right.
func (m *machine) look(nowNS int64) (parts []message.PartHealth, synced bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.lookNS != 0 && nowNS-m.lookNS < int64(machinePeriod) {
		return m.parts, m.synced
	}
	if m.sys == nil {
		m.sys = linux{}
	}
	m.lookNS = nowNS
	m.parts = []message.PartHealth{m.descriptorHealth(), m.memoryHealth()}
	synced, known := m.sys.synchronised()
	m.synced = synced || !known
	return m.parts, m.synced
}

func (m *machine) descriptorHealth() message.PartHealth {
	h := message.PartHealth{Part: "descriptors", Code: "ok", Text: "not to be told on this machine", Severity: severityOK}
	open, limit, ok := m.sys.descriptors()
	if !ok {
		return h
	}
	h.Text = fmt.Sprintf("%d of %d open", open, limit)
	if float64(open) >= descriptorsShare*float64(limit) {
		h.Code, h.Severity = "few_left", severityWarning
		h.Text += "; without any left nobody new can connect and a sensor that was lost does not come back: raise LimitNOFILE (systemctl edit posefuse), or lower bus.max_connections"
	}
	return h
}

func (m *machine) memoryHealth() message.PartHealth {
	h := message.PartHealth{Part: "memory", Code: "ok", Text: "not to be told on this machine", Severity: severityOK}
	resident, limit, ok := m.sys.memory()
	if !ok {
		return h
	}
	const mib = 1 << 20
	h.Text = fmt.Sprintf("%d of %d MiB in use", resident/mib, limit/mib)
	if float64(resident) >= memoryShare*float64(limit) {
		h.Code, h.Severity = "little_left", severityWarning
		h.Text += "; at the limit the daemon becomes slow and is then ended: take a smaller model, or raise MemoryHigh, MemoryMax and GOMEMLIMIT together (systemctl edit posefuse)"
	}
	return h
}

// linux reads /proc, the control group and the kernel's clock.
type linux struct{}

func (linux) descriptors() (open, limit uint64, ok bool) {
	names, err := os.ReadDir("/proc/self/fd")
	var r unix.Rlimit
	if err != nil || unix.Getrlimit(unix.RLIMIT_NOFILE, &r) != nil {
		return 0, 0, false
	}
	return uint64(len(names)), r.Cur, true
}

func (linux) memory() (resident, limit uint64, ok bool) {
	text, err := os.ReadFile("/proc/self/statm")
	fields := strings.Fields(string(text))
	if err != nil || len(fields) < 2 {
		return 0, 0, false
	}
	pages, err := strconv.ParseUint(fields[1], 10, 64)
	if err != nil {
		return 0, 0, false
	}
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) != nil {
		return 0, 0, false
	}
	limit = uint64(info.Totalram) * uint64(info.Unit) //nolint:unconvert // 32 bits on other machines
	if goLimit := debug.SetMemoryLimit(-1); goLimit < math.MaxInt64 {
		limit = min(limit, uint64(goLimit))
	}
	if group, err := os.ReadFile("/proc/self/cgroup"); err == nil {
		limit = min(limit, groupLimit("/sys/fs/cgroup", string(group)))
	}
	return pages * uint64(os.Getpagesize()), limit, true
}

// groupLimit returns the smaller of memory.high and memory.max of the control
// group that /proc/self/cgroup names, bytes; without one the largest number.
func groupLimit(root, groups string) uint64 {
	limit := uint64(math.MaxUint64)
	for line := range strings.Lines(groups) {
		path, unified := strings.CutPrefix(strings.TrimSpace(line), "0::")
		if !unified {
			continue
		}
		for _, name := range []string{"memory.high", "memory.max"} {
			text, err := os.ReadFile(filepath.Join(root, path, name))
			if n, parseErr := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64); err == nil && parseErr == nil {
				limit = min(limit, n)
			}
		}
	}
	return limit
}

// timesyncd is where systemd's own NTP client tells that it has the time; the
// service must not ask the kernel (ProtectClock).
const timesyncd = "/run/systemd/timesync"

func (linux) synchronised() (synced, known bool) {
	var t unix.Timex
	if _, err := unix.Adjtimex(&t); err == nil {
		return t.Status&unix.STA_UNSYNC == 0, true
	}
	if _, err := os.Stat(timesyncd); err != nil {
		return false, false
	}
	_, err := os.Stat(timesyncd + "/synchronized")
	return err == nil, true
}
