package main

import (
	"fmt"
	"os"
)

// dumpFilter says what of a process's memory the kernel writes into a core
// dump; see core(5).
const dumpFilter = "/proc/self/coredump_filter"

// keepMemoryOutOfDumps lets a core dump of this program, and of those it
// starts, hold none of its memory: there are pictures in it.
func keepMemoryOutOfDumps() error {
	if err := os.WriteFile(dumpFilter, []byte("0"), 0); err != nil {
		return fmt.Errorf("a core dump could hold pictures of the camera: %w; switch core dumps off (ulimit -c 0)", err)
	}
	return nil
}
