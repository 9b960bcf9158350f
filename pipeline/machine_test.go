package pipeline

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// told is what a test's operating system says.
type told struct {
	open, files, resident, bytes uint64
	known, synced                bool
	looks                        int
}

func (s *told) descriptors() (open, limit uint64, ok bool) {
	s.looks++
	return s.open, s.files, s.known
}
func (s *told) memory() (resident, limit uint64, ok bool) { return s.resident, s.bytes, s.known }
func (s *told) synchronised() (synced, known bool)        { return s.synced, s.known }

func TestMachineHealth(t *testing.T) {
	for name, c := range map[string]struct {
		sys    told
		codes  string
		says   string
		synced bool
	}{
		"well":            {told{open: 79, files: 100, resident: 89 << 20, bytes: 100 << 20, known: true, synced: true}, "ok ok", "89 of 100 MiB", true},
		"descriptors":     {told{open: 80, files: 100, resident: 1, bytes: 100, known: true}, "few_left ok", "LimitNOFILE", false},
		"memory":          {told{open: 1, files: 100, resident: 90 << 20, bytes: 100 << 20, known: true, synced: true}, "ok little_left", "GOMEMLIMIT", true},
		"nobody tells":    {told{open: 80, files: 1}, "ok ok", "not to be told", true},
		"no limit at all": {told{open: 1, files: math.MaxUint64, resident: 1 << 40, bytes: math.MaxUint64, known: true, synced: true}, "ok ok", "1 of", true},
	} {
		t.Run(name, func(t *testing.T) {
			m := machine{sys: &c.sys}
			parts, synced := m.look(1)
			if got := parts[0].Code + " " + parts[1].Code; got != c.codes || synced != c.synced || !strings.Contains(parts[0].Text+parts[1].Text, c.says) {
				t.Errorf("%+v, synchronised %v", parts, synced)
			}
			for _, p := range parts {
				if (p.Code == "ok") != (p.Severity == severityOK) || p.Part == "" {
					t.Errorf("%+v", p)
				}
			}
			m.look(int64(machinePeriod))
			if m.look(int64(machinePeriod) + 1); c.sys.looks != 2 {
				t.Errorf("%d looks, want one and another after the period", c.sys.looks)
			}
		})
	}
}

// TestLinuxTells asks the machine that the test runs on.
func TestLinuxTells(t *testing.T) {
	var sys linux
	open, limit, ok := sys.descriptors()
	if !ok || open < 3 || limit < open {
		t.Errorf("descriptors %d of %d, %v", open, limit, ok)
	}
	resident, bytes, ok := sys.memory()
	if !ok || resident < 1<<20 || bytes < resident {
		t.Errorf("memory %d of %d, %v", resident, bytes, ok)
	}
}

func TestGroupLimit(t *testing.T) {
	root := t.TempDir()
	for name, text := range map[string]string{"a/memory.high": "300\n", "a/memory.max": "200\n", "b/memory.high": "max\n", "b/memory.max": "max\n", "c/memory.high": "100\n"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for groups, want := range map[string]uint64{
		"0::/a\n": 200, "0::/b\n": math.MaxUint64, "4:memory:/a\n0::/c\n": 100, "4:memory:/a\n": math.MaxUint64, "0::/nowhere\n": math.MaxUint64, "": math.MaxUint64,
	} {
		if got := groupLimit(root, groups); got != want {
			t.Errorf("%q: %d, want %d", groups, got, want)
		}
	}
}
