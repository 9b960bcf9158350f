package kernel

import (
	"fmt"
	"runtime"
)

// EnvCPU is the environment variable that forces a path.
const EnvCPU = "POSEFUSE_CPU"

// cost is the time of one inference on one core relative to AVX-512, for the
// edge network and for the paper's. Measured with the benchmarks of package
// model under POSEFUSE_CPU (docs/performance.md). NEON is not in the table: no
// arm64 machine was there to measure.
type cost struct{ edge, paper float64 }

var costs = map[string]cost{
	"avx512":   {1, 1},
	"avx2":     {1.3, 1.2},
	"portable": {10, 13},
}

// Notice returns one sentence for the operator if the path in use is slower
// than it need be or not the one POSEFUSE_CPU names, and "" if all is well:
// which path runs, why, and how much slower inference is to be expected. A
// program that serves logs it once at its start.
func Notice() string { return notice }

// slowdownNotice says how a path compares with the best of this CPU, or, if it
// is the best and still plain Go, with AVX2.
func slowdownNotice(forced bool, p, best path) string {
	path := p.floats()
	switch {
	case forced && path != best.floats():
		return fmt.Sprintf("POSEFUSE_CPU=%s forces that path, %s than %s, which this CPU runs", p.name, slower(path, best.floats()), best.name)
	case forced && p.name != best.name:
		return fmt.Sprintf("POSEFUSE_CPU=%s forces that path, slower in low precision than %s, which this CPU runs, and as fast in float32", p.name, best.name)
	case path != "portable":
		return ""
	case runtime.GOARCH == "amd64":
		return "this CPU lacks AVX2 with FMA, so the portable path is used, " + slower(path, "avx2") + " than AVX2"
	default:
		return "there are no kernels for " + runtime.GOARCH + ", so the portable path is used, several times slower than AVX2 or NEON"
	}
}

func slower(path, than string) string {
	p, ok := costs[path]
	q, known := costs[than]
	if !ok || !known {
		return "slower (by how much was not measured on " + runtime.GOARCH + ")"
	}
	return fmt.Sprintf("about %.2g times slower on the edge network and %.2g times on the paper's", p.edge/q.edge, p.paper/q.paper)
}
