package person

import (
	"fmt"
	"testing"

	"posefuse/internal/testenv"
)

// finderAt returns a finder that has learned a room, and the next sweep.
func finderAt(rows int) (*Finder, []float32) {
	m := newTestRoom(5)
	m.rows = rows
	m.furnish(chair(0.2, 3.6)...)
	m.people = []*walker{newWalker(1, 4, 12, stands(0, 3))}
	f := NewFinder(Config{LiDARAtM: [3]float64{0, 0, 0.95}})
	var dst []float32
	for k := range 60 {
		xyz, _ := m.sweep(float64(k))
		dst = f.Cloud(int64(k+1)*500e6, xyz, dst[:0])
	}
	xyz, _ := m.sweep(60)
	return f, xyz
}

// BenchmarkFinder takes sweeps of a learned room and, "new", of a room where
// nothing is background yet.
func BenchmarkFinder(b *testing.B) {
	for _, rows := range []int{32, 128} {
		f, xyz := finderAt(rows)
		dst := make([]float32, 0, len(xyz))
		b.Run(fmt.Sprintf("points=%d", len(xyz)/3), func(b *testing.B) {
			atNS := int64(40e9)
			for b.Loop() {
				atNS += 100e6
				dst = f.Cloud(atNS, xyz, dst[:0])
			}
		})
		b.Run(fmt.Sprintf("points=%d/new", len(xyz)/3), func(b *testing.B) {
			n := NewFinder(Config{LiDARAtM: [3]float64{0, 0, 0.95}})
			for b.Loop() {
				dst = n.Cloud(1e9, xyz, dst[:0])
			}
		})
	}
}

func TestFinderAllocatesNothing(t *testing.T) {
	f, xyz := finderAt(32)
	dst := make([]float32, 0, len(xyz))
	radar, doppler, found := xyz[:3*60], make([]float32, 60), make([]int, 0, 60)
	w := newWalker(1, 4, 12, stands(0, 3))
	w.set(1)
	origin, joints, ankles := w.rays()
	atNS := int64(40e9)
	step := func() {
		atNS += 100e6
		dst = f.Cloud(atNS, xyz, dst[:0])
		f.Rays(atNS, origin, joints, ankles)
		found = f.Radar(atNS, radar, doppler, found[:0])
	}
	step()
	if n := testenv.AllocsPerRun(20, step); n > 0 {
		t.Errorf("%v allocations a sweep", n)
	}
	if len(dst) == 0 {
		t.Error("nobody found")
	}
}
