package kernel

import (
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// What arch_prctl(2) is asked for: the state of AMX's tiles, component 18 of
// those that XSAVE saves. Linux 5.16 and later know the request.
const (
	archReqXcompPerm  = 0x1023
	xfeatureXTileData = 18
)

// permitTiles asks Linux to let the process use AMX's tiles. A signal's frame
// then holds them too, some 11 KB, which Go's signal stacks of 32 KB hold.
func permitTiles() error {
	_, _, errno := syscall.RawSyscall(unix.SYS_ARCH_PRCTL, archReqXcompPerm, xfeatureXTileData, 0)
	if errno != 0 {
		return fmt.Errorf("arch_prctl(ARCH_REQ_XCOMP_PERM, XTILEDATA): %w", errno)
	}
	return nil
}
