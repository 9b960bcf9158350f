package kernel

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strings"
)

// path is one set of micro-kernels.
type path struct {
	name   string
	family string // whose float32 kernels these are, if another's; see Path
	mr, nr int    // largest tile of a product; narrow panels of B are nr/2 wide
	wide   func(k int, a, b, c *float32, ldc, acc int)
	narrow func(k int, a, b, c *float32, ldc, acc int)
	tiles  *tileSet                                         // kernels of products; nil: A and B are packed for wide and narrow
	vec    *vectorSet                                       // nil: plain Go
	axpy   func(n int, alpha float32, x, y *float32)        // n a multiple of 8; may be nil
	adam   func(n int, w, g, m, v *float32, c *[8]float32)  // n a multiple of 8; may be nil
	points *pointKernels                                    // neighbour search; may be nil
	conv   conv                                             // convolution; lanes 0: portable
	finish func(n int, bias, y *float32, low, high float32) // epilogue of a row, n a multiple of 4; may be nil
	depth  depthwise                                        // depthwise convolution; lanes 0: portable
	low    [BFloat16 + 1]lowKernels
	lacks  string // why this path lacks what its CPU has; "": it does not
}

// floats returns the name of the path's float32 kernels.
func (p *path) floats() string { return cmp.Or(p.family, p.name) }

// portable is plain Go, for every CPU.
var portable = path{name: "portable", mr: portableMR, nr: portableNR, wide: microportable2x4, narrow: microportable2x2}

// pathNames lists every path of every architecture, best first.
var pathNames = []string{"amx", "avx512", "avxvnni", "avx2", "i8mm", "dotprod", "neon", "portable"}

var active, notice = choose(os.Getenv(EnvCPU), available())

// Path returns the name of the CPU path in use for float32: "avx512", "avx2",
// "neon" or "portable". Results of one path are the same on every machine.
func Path() string { return active.floats() }

// LowPath returns the name of the instructions that compute the format, or ""
// if the path in use has none.
func LowPath(f LowFormat) string { return lowNames[active.low[f]] }

// choose returns the path named, or the best one if the name is empty or not
// among those this CPU runs, and the text of Notice.
func choose(name string, runs []path) (path, string) {
	for _, p := range runs {
		if p.name == name {
			return p, slowdownNotice(true, p, runs[0])
		}
	}
	best := runs[0]
	said := cmp.Or(slowdownNotice(false, best, best), best.lacks)
	switch {
	case name == "":
		return best, said
	case slices.Contains(pathNames, name):
		said = fmt.Sprintf("POSEFUSE_CPU=%s: this CPU does not run that path, so %s is used; %s", name, best.name, said)
	default:
		said = fmt.Sprintf("POSEFUSE_CPU=%q is none of %s, so %s is used; %s", name, strings.Join(pathNames, ", "), best.name, said)
	}
	return best, strings.TrimSuffix(said, "; ")
}
