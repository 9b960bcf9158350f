package person

import (
	"testing"

	"posefuse/sensors/modality"
)

// TestCompany: a therapist who walks past is company, and is said where they are;
// a patient who is alone, or beside whom a chair is moved, has none.
func TestCompany(t *testing.T) {
	newRoom := func() (*testRoom, *Finder) {
		m := newTestRoom(12)
		m.rows, m.columns = 32, 512
		m.people = []*walker{newWalker(3, 2, 12, stands(0, 3))}
		return m, NewFinder(Config{LiDARAtM: [3]float64{0, 0, 0.95}})
	}
	count := func(m *testRoom, f *Finder, fromS, toS float64) (n int) {
		for tS := fromS; tS < toS-0.05; tS += 0.1 {
			m.run(f, tS, tS+0.1, false)
			track, _ := f.Track(int64(tS*1e9) + 1e9)
			if !track.Company {
				continue
			}
			n++
			if len(m.people) > 1 && distance2(track.CompanyM, m.people[1].pelvisM()) > 1.2*1.2 { // said for two seconds
				t.Errorf("after %.1f s company is said at %.2f m, the therapist is at %.2f", tS, track.CompanyM, m.people[1].pelvisM())
			}
		}
		return n
	}
	m, f := newRoom()
	if n := count(m, f, 0, 12); n > 0 {
		t.Errorf("alone, but company in %d sweeps", n)
	}
	m.furnish(chair(1.2, 3.2)...)
	if n := count(m, f, 12, 20); n > 0 {
		t.Errorf("a chair is company in %d sweeps", n)
	}
	m, f = newRoom()
	m.people = append(m.people, newWalker(4, 17, 1, walks([2]float64{-2, 2.2}, [2]float64{2, 2.2}, 6, 0.8)))
	if n := count(m, f, 0, 6); n > 0 {
		t.Errorf("company in %d sweeps before anybody came", n)
	}
	if n := count(m, f, 6, 11); n < 25 {
		t.Errorf("company in %d of 50 sweeps with a therapist", n)
	}
}

// TestPresence: more evidence is never less presence, each is a probability, and
// what a pose is given for is likely.
func TestPresence(t *testing.T) {
	for _, took := range []modality.Set{modality.Of(modality.LiDAR), modality.Of(modality.LiDAR) | modality.Of(modality.Radar), modality.All} {
		before := 0.0
		for _, sure := range []float64{0, sureShape, sureShape + sureStirred, sureShape + sureStirred + sureSeen} {
			p := Presence(Track{Sure: sure}, sure > 0, false, took)
			if !(p > before && p < 1) {
				t.Errorf("%s: presence %.3f with Sure %.1f, %.3f with less", took, p, sure, before)
			}
			before = p
		}
	}
	if a, b := Presence(Track{}, false, true, modality.All), Presence(Track{}, false, false, modality.All); a < 0.5 || b > 0.05 {
		t.Errorf("presence %.2f of who is seen at an unknown distance, %.2f of nobody", a, b)
	}
}
