package kernel

import (
	"sync"

	"golang.org/x/sys/cpu"
)

// amxSupport says what of AMX this process may use. The CPU having it is not
// enough: the system hands out the tiles, 8 KB a thread, only to those that ask.
type amxSupport struct {
	int8, bf16 bool
	refused    error // why the system forbids what the CPU has; nil if it does not
}

// amx asks for the tiles, once; the answer holds for every thread.
var amx = sync.OnceValue(func() amxSupport {
	return askAMX(cpu.X86.HasAMXTile && cpu.X86.HasAMXInt8, cpu.X86.HasAMXTile && cpu.X86.HasAMXBF16, permitTiles)
})

func askAMX(hasInt8, hasBF16 bool, permit func() error) amxSupport {
	if !hasInt8 && !hasBF16 {
		return amxSupport{}
	}
	if err := permit(); err != nil {
		return amxSupport{refused: err}
	}
	return amxSupport{int8: hasInt8, bf16: hasBF16}
}
