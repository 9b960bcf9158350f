//go:build !linux

package kernel

import "errors"

// permitTiles refuses: only Linux is known to be asked for AMX's tiles.
func permitTiles() error { return errors.New("not asked for on this system") }
