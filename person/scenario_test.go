package person

import (
	"math"
	"testing"

	"posefuse/internal/testenv"
	"posefuse/recording/sim"
)

// seated bends a standing skeleton onto a seat 0.48 m high.
type seated struct{ sim.Motion }

func (s seated) At(tS float64) sim.Skeleton {
	sk := s.Motion.At(tS)
	const seatM = 0.52
	thighM := s.Subject().Segments.Thigh
	down := sk[0][1] - seatM
	for j := range sk {
		switch j {
		case 2, 5: // knees
			sk[j] = sim.Vec{sk[j-1][0], seatM, sk[j-1][2] - thighM}
		case 3, 6: // ankles
			sk[j] = sim.Vec{sk[j-1][0], 0.09, sk[j-1][2]}
		default:
			sk[j][1] -= down
		}
	}
	return sk
}

// walks is a place that moves on a line and then stays.
func walks(from, to [2]float64, startS, speedMPS float64) func(float64) ([2]float64, bool) {
	length := math.Sqrt(distance2(from, to))
	return func(tS float64) ([2]float64, bool) {
		u := min(max((tS-startS)*speedMPS/length, 0), 1)
		return [2]float64{from[0] + u*(to[0]-from[0]), from[1] + u*(to[1]-from[1])}, tS >= startS
	}
}

// TestPatientWhoSitsStillStays: ten minutes on a chair without stirring, come
// in on foot, or seen by the camera, or there when the daemon starts.
func TestPatientWhoSitsStillStays(t *testing.T) {
	testenv.SlowRace(t)
	for name, c := range map[string]struct {
		place  func(float64) ([2]float64, bool)
		camera bool
		fromS  float64
	}{
		"walked in":                {walks([2]float64{-2, 3}, [2]float64{0, 3}, 22, 0.7), false, 26},
		"there from the beginning": {stands(0, 3), true, 0},
	} {
		t.Run(name, func(t *testing.T) {
			m := newTestRoom(8)
			m.rows, m.columns = 24, 512
			m.furnish(chair(0, 3.05)...)
			w := newWalker(3, 14, 1, c.place)
			w.motion, w.still = seated{w.motion}, true
			m.people = []*walker{w}
			f := NewFinder(Config{LiDARAtM: [3]float64{0, 0, 0.95}})
			var all, last share
			m.run(f, 0, c.fromS, c.camera)
			for tS := c.fromS; tS < c.fromS+604; tS += 0.5 {
				s := m.run(f, tS, tS+0.1, c.camera)
				all.add(s)
				if tS > c.fromS+564 {
					last.add(s)
				}
			}
			t.Logf("kept %.1f %%, in the last 40 s %.1f %%; background %.1f %%; without %d of %d", 100*all.recall(), 100*last.recall(), 100*last.background(), all.without, all.sweeps)
			if all.without > 0 || last.recall() < 0.8 {
				t.Errorf("sweeps without the patient: %d of %d; kept %.1f %% after ten minutes", all.without, all.sweeps, 100*last.recall())
			}
		})
	}
}

// TestPatientLeavesAndReturns: lost within a second, found at once.
func TestPatientLeavesAndReturns(t *testing.T) {
	m := newTestRoom(4)
	m.rows, m.columns = 24, 512
	m.furnish(chair(0.8, 3.5)...)
	there := func(tS float64) ([2]float64, bool) { return [2]float64{0, 3}, tS < 30 || tS >= 60 }
	m.people = []*walker{newWalker(3, 2, 12, there)}
	f := NewFinder(Config{LiDARAtM: [3]float64{0, 0, 0.95}})
	m.run(f, 0, 30, false)
	if _, ok := f.Track(30.9e9); !ok {
		t.Fatal("nobody found")
	}
	s := m.run(f, 30, 31, false)
	if _, ok := f.Track(32e9); ok || s.kept > 0 {
		t.Errorf("left a second ago: a track %v, %d points", ok, s.kept)
	}
	if s = m.run(f, 31, 60, false); s.kept > 0 {
		t.Errorf("nobody there: %d points", s.kept)
	}
	if s = m.run(f, 60, 60.5, false); s.without > 1 {
		t.Errorf("back again: %d of %d sweeps without", s.without, s.sweeps)
	}
	if s = m.run(f, 60.5, 65, false); s.recall() < 0.95 || s.background() > 0.02 {
		t.Errorf("back again: kept %.1f %%, background %.1f %%", 100*s.recall(), 100*s.background())
	}
}

// TestFurnitureMoves: a chair put elsewhere is new, then background within a
// minute; where it stood, a person is whole again within a minute.
func TestFurnitureMoves(t *testing.T) {
	testenv.SlowRace(t)
	m := newTestRoom(6)
	m.rows, m.columns = 24, 512
	m.furnish(chair(1, 3)...)
	m.people = []*walker{newWalker(3, 2, 7, stands(-0.6, 2.8))}
	f := NewFinder(Config{LiDARAtM: [3]float64{0, 0, 0.95}})
	m.run(f, 0, 30, false)
	// In both places, above the floor's cells.
	at := func(x, y float64) (n int) {
		for c := range f.full {
			p := f.grid.middleM(c)
			if math.Abs(p[0]-x) < 0.3 && math.Abs(p[1]-y) < 0.3 {
				for k := 2; k < zCells; k++ {
					n += int(f.back.mask[c] >> k & 1)
				}
			}
		}
		return n
	}
	if at(1, 3) < 10 {
		t.Fatalf("the chair is %d voxels of background", at(1, 3))
	}
	m.furnish(chair(0.4, 3.9)...)
	s := m.run(f, 30, 30.5, false)
	if n := f.Count(); n[Other] < 20 || s.background() > 0.05 {
		t.Errorf("chair just moved: %d new points, %.1f %% of the person's points are not theirs", n[Other], 100*s.background())
	}
	m.run(f, 30.5, 90, false)
	if at(0.4, 3.9) < 10 || at(1, 3) > 0 {
		t.Errorf("a minute later: %d voxels of background where the chair is, %d where it was", at(0.4, 3.9), at(1, 3))
	}
}

// TestVisitorDoesNotTakeOver: a therapist crosses before, behind and beside the
// patient, who is followed all the time.
func TestVisitorDoesNotTakeOver(t *testing.T) {
	testenv.SlowRace(t)
	for name, c := range map[string]struct{ from, to [2]float64 }{
		"before": {[2]float64{-2, 2.2}, [2]float64{2, 2.2}},
		"behind": {[2]float64{2, 3.8}, [2]float64{-2, 3.8}},
		"to":     {[2]float64{2.2, 3.1}, [2]float64{0.75, 3.1}},
	} {
		for _, camera := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				m := newTestRoom(12)
				m.people = []*walker{newWalker(3, 2, 12, stands(0, 3)), newWalker(4, 17, 1, walks(c.from, c.to, 5, 0.8))}
				f := NewFinder(Config{LiDARAtM: [3]float64{0, 0, 0.95}})
				m.run(f, 0, 5, camera)
				var all share
				for k := range 70 {
					tS := 5 + float64(k)/10
					all.add(m.run(f, tS, tS+0.1, camera))
					track, ok := f.Track(int64(tS*1e9) + 1e9)
					if !ok || distance2(track.PlaceM, m.people[0].pelvisM()) > 0.35*0.35 {
						t.Fatalf("after %.1f s the track is at %.2f m (%v), the patient at %.2f, the therapist at %.2f", tS, track.PlaceM, ok, m.people[0].pelvisM(), m.people[1].pelvisM())
					}
				}
				t.Logf("camera %v: kept %.1f %%, others among them %.1f %%, without %d of %d", camera, 100*all.recall(), 100*all.background(), all.without, all.sweeps)
				if all.recall() < 0.85 || all.background() > 0.12 {
					t.Errorf("kept %.1f %%, others among them %.1f %%", 100*all.recall(), 100*all.background())
				}
			})
		}
	}
}

// TestNobodyThere: furniture is nobody; what has a person's shape is given up
// after two minutes, and never sure.
func TestNobodyThere(t *testing.T) {
	m := newTestRoom(2)
	m.rows, m.columns = 24, 512
	m.furnish(append(chair(0.5, 3), testBox{sim.Vec{-2, 0, 2}, sim.Vec{-1, 0.5, 4}}, testBox{sim.Vec{1.6, 0, 4}, sim.Vec{2.6, 1.9, 4.6}})...)
	m.people = []*walker{{placeM: func(float64) ([2]float64, bool) { return [2]float64{}, false }}}
	f := NewFinder(Config{LiDARAtM: [3]float64{0, 0, 0.95}})
	if s := m.run(f, 0, 30, false); s.kept > 0 {
		t.Errorf("%d points of a person", s.kept)
	}
	coatStand := testBox{sim.Vec{-0.3, 0, 3}, sim.Vec{0, 1.7, 3.3}}
	m.furnish(append(m.boxes, coatStand)...)
	found := false
	for tS := 30.0; tS < 190; tS += 0.5 {
		s := m.run(f, tS, tS+0.1, false)
		track, ok := f.Track(int64(tS*1e9) + 1e9)
		found = found || ok
		if tS > 31.5 && ok && track.Sure > 0.35 || tS > 155 && (ok || s.kept > 0) {
			t.Fatalf("after %.1f s a coat stand is a person: %+v, %d points", tS-30, track, s.kept)
		}
	}
	t.Logf("taken for a person at first: %v", found)
}
