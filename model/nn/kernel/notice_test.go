package kernel

import (
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"posefuse/internal/testenv"
)

func TestNoticeTellsWhatRunsAndWhy(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		testenv.LeaveTo(t, "amd64", "the texts below are those of amd64")
	}
	full := []path{{name: "avx512"}, {name: "avx2"}, {name: "portable"}}
	tiles := append([]path{{name: "amx", family: "avx512"}}, full...)
	refused := []path{{name: "avx512", lacks: "this CPU has AMX, but the system forbids it (no)"}, {name: "avx2"}, {name: "portable"}}
	small := []path{{name: "avxvnni", family: "avx2"}, {name: "avx2"}, {name: "portable"}}
	for _, c := range []struct {
		name, env string
		runs      []path
		path      string
		says      []string // empty: no notice
	}{
		{"best of all", "", full, "avx512", nil},
		{"best named", "avx512", full, "avx512", nil},
		{"slower forced", "avx2", full, "avx2", []string{"POSEFUSE_CPU=avx2 forces", "times slower", "than avx512"}},
		{"slowest forced", "portable", full, "portable", []string{"POSEFUSE_CPU=portable forces", "times slower", "than avx512"}},
		{"no AVX-512 is no news", "", full[1:], "avx2", nil},
		{"the best of a CPU with AVX-VNNI", "", small, "avxvnni", nil},
		{"the same floats forced", "avx2", small, "avx2", []string{"POSEFUSE_CPU=avx2 forces", "slower in low precision than avxvnni", "as fast in float32"}},
		{"portable forced there", "portable", small, "portable", []string{"POSEFUSE_CPU=portable forces", "times slower", "than avxvnni"}},
		{"the best of a CPU with AMX", "", tiles, "amx", nil},
		{"AVX-512 forced there", "avx512", tiles, "avx512", []string{"POSEFUSE_CPU=avx512 forces", "slower in low precision than amx", "as fast in float32"}},
		{"AVX2 forced there", "avx2", tiles, "avx2", []string{"POSEFUSE_CPU=avx2 forces", "times slower", "than amx"}},
		{"AMX forbidden", "", refused, "avx512", []string{"has AMX", "forbids it (no)"}},
		{"AMX forbidden and named", "amx", refused, "avx512", []string{"POSEFUSE_CPU=amx: this CPU does not run that path", "avx512 is used; this CPU has AMX", "forbids it (no)"}},
		{"AMX forbidden and not wanted", "avx512", refused, "avx512", nil},
		{"no AVX2", "", full[2:], "portable", []string{"lacks AVX2 with FMA", "portable path", "times slower", "than AVX2"}},
		{"no AVX2, portable named", "portable", full[2:], "portable", []string{"lacks AVX2 with FMA", "times slower"}},
		{"named but not there", "avx512", full[1:], "avx2", []string{"POSEFUSE_CPU=avx512: this CPU does not run that path", "avx2 is used"}},
		{"of another architecture", "neon", full, "avx512", []string{"POSEFUSE_CPU=neon: this CPU does not run that path", "avx512 is used"}},
		{"named but only portable", "avx2", full[2:], "portable", []string{"POSEFUSE_CPU=avx2: this CPU does not", "; this CPU lacks AVX2"}},
		{"unknown", "sse9", full, "avx512", []string{`POSEFUSE_CPU="sse9" is none of amx, avx512, avxvnni, avx2, i8mm, dotprod, neon, portable, so avx512 is used`}},
		{"case matters", "AVX2", full, "avx512", []string{`POSEFUSE_CPU="AVX2" is none of`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, said := choose(c.env, c.runs)
			if p.name != c.path {
				t.Errorf("path %s, want %s", p.name, c.path)
			}
			if (said == "") != (len(c.says) == 0) {
				t.Errorf("notice %q, want one about %q", said, c.says)
			}
			for _, want := range c.says {
				if !strings.Contains(said, want) {
					t.Errorf("notice %q lacks %q", said, want)
				}
			}
			if strings.HasSuffix(said, "; ") || strings.HasSuffix(said, "used;") {
				t.Errorf("notice %q ends in the middle", said)
			}
		})
	}
}

// The suite runs once for each path through the environment; this holds that
// the variable is obeyed, so that those runs test what they say.
func TestEnvironmentForcesThePath(t *testing.T) {
	want := os.Getenv("POSEFUSE_CPU")
	best := available()[0].name
	for _, p := range available() {
		if p.name == want {
			best = want
		}
	}
	t.Logf("POSEFUSE_CPU=%q runs %s, int8 %q, bf16 %q", want, active.name, LowPath(Int8), LowPath(BFloat16))
	if active.name != best {
		t.Errorf("POSEFUSE_CPU=%q runs %s, want %s", want, active.name, best)
	}
	if Path() != active.floats() || !slices.Contains([]string{"avx512", "avx2", "neon", "portable"}, Path()) {
		t.Errorf("float32 of %s is said to run on %q", active.name, Path())
	}
	if (Notice() == "") != (active.name == available()[0].name && (active.lacks == "" || want == active.name) && Path() != "portable" && (want == "" || want == active.name)) {
		t.Errorf("POSEFUSE_CPU=%q on %s: notice %q", want, active.name, Notice())
	}
}
