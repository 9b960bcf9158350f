package person

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestCloudProperties: whatever the points, the person's are some of them, in
// their order, finite and inside the region; another order of the same points
// gives the same ones; labels add up.
func TestCloudProperties(t *testing.T) {
	m := newTestRoom(1)
	m.rows, m.columns = 32, 400
	m.people = []*walker{newWalker(1, 3, 12, stands(0, 3))}
	room, _ := m.sweep(1)
	region := Box{MinM: [3]float64{-2, 1, 0}, MaxM: [3]float64{2, 4, 2}}
	kept := 0
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.OneOf(rapid.Float32Range(-7, 7), rapid.SampledFrom([]float32{
			float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1)), math.MaxFloat32, -math.MaxFloat32, 0, 2, 4, -2, 1, floorM,
		}))
		xyz := append(slices.Clone(room), rapid.SliceOfN(value, 0, 300).Draw(t, "more")...)
		n := len(xyz) / 3
		seed := rapid.Uint64().Draw(t, "seed")
		order := rand.New(rand.NewPCG(seed, 1)).Perm(n)
		var other []float32
		for _, i := range order {
			other = append(other, xyz[3*i:3*i+3]...)
		}
		a, b := NewFinder(Config{Region: &region}), NewFinder(Config{Region: &region})
		var got, again []float32
		for k := range int64(3) {
			got, again = a.Cloud(k*1e8+1e9, xyz, nil), b.Cloud(k*1e8+1e9, other, nil)
		}
		sum := 0
		for _, c := range a.Count() {
			sum += c
		}
		if sum != n || len(a.Labels()) != n || len(got) != 3*a.Count()[Person] {
			t.Fatalf("%d points, %d counted, %d labels, %d values of %d points", n, sum, len(a.Labels()), len(got), a.Count()[Person])
		}
		for i, v := range got {
			if lo, hi := region.MinM[i%3], region.MaxM[i%3]; !(float64(v) >= lo && float64(v) < hi) {
				t.Fatalf("value %v is outside %v to %v", v, lo, hi)
			}
		}
		for k, i := range order {
			p := xyz[3*i : 3*i+3]
			broken := p[0]-p[0] != 0 || p[1]-p[1] != 0 || p[2]-p[2] != 0
			if broken != (a.Labels()[i] == Broken) {
				t.Fatalf("point %v is labelled %v", p, a.Labels()[i])
			}
			if a.Labels()[i] != b.Labels()[k] {
				t.Fatalf("point %v is %v, in another order %v", p, a.Labels()[i], b.Labels()[k])
			}
		}
		ta, oka := a.Track(1.2e9)
		tb, okb := b.Track(1.2e9)
		if ta != tb || oka != okb || len(got) != len(again) {
			t.Fatalf("tracks %+v and %+v", ta, tb)
		}
		kept += len(got)
	})
	if kept == 0 {
		t.Error("nobody was ever found")
	}
}

// TestRadarProperties: indices ascend, and what they point at lies in the
// region, near the person.
func TestRadarProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := NewFinder(Config{})
		f.sawFeetThrice()
		value := rapid.OneOf(rapid.Float32Range(-4, 7), rapid.SampledFrom([]float32{float32(math.NaN()), float32(math.Inf(1)), 0, 3}))
		for k := range int64(4) {
			xyz := rapid.SliceOfN(value, 0, 240).Draw(t, "xyz")
			doppler := rapid.SliceOfN(value, len(xyz)/3, len(xyz)/3).Draw(t, "doppler")
			got := f.Radar(1.3e9+k*1e8, xyz, doppler, nil)
			if !slices.IsSorted(got) {
				t.Fatal(got)
			}
			for _, i := range got {
				at := [2]float64{float64(xyz[3*i]), float64(xyz[3*i+1])}
				if f.grid.column(at[0], at[1]) < 0 {
					t.Fatalf("%v is outside", at)
				}
			}
			if track, ok := f.Track(1.3e9 + k*1e8); ok && f.grid.column(track.PlaceM[0], track.PlaceM[1]) < 0 {
				t.Fatalf("track at %v", track.PlaceM)
			}
		}
	})
}

// sawFeetThrice starts a track by the camera alone at 0, 3 m.
func (f *Finder) sawFeetThrice() {
	w := newWalker(1, 3, 1, stands(0, 3))
	w.set(0)
	origin, joints, ankles := w.rays()
	for k := range int64(3) {
		f.Rays(1e9+k*1e8, origin, joints, ankles)
	}
}
