//go:build !amd64 && !arm64

package kernel

func (d *lowTile) sum(f LowFormat, acc *[lowPixels * lowLanes]int32) { d.sumPortable(f, acc[:]) }

func (r *lowRows) run(to LowFormat, fromInt bool) { r.runPortable(to, fromInt) }

func (d *lowBlockSum) sum(f LowFormat, acc []int32) { d.sumPortable(f, acc) }
