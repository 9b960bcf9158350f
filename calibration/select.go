package calibration

import "math"

// Selector takes from a camera's running pictures those that tell something: the
// board held still, and not as in a picture taken before.
type Selector struct {
	Views []View // taken

	last View
}

const (
	stillShare = 0.004 // of the picture's width that a corner may move between two pictures
	newShare   = 0.05  // and must between two that are taken
)

// Offer takes a view or leaves it.
func (s *Selector) Offer(v View) (taken bool) {
	still := apart(&v, &s.last) <= stillShare*float64(v.Width)
	s.last = v
	if !still {
		return false
	}
	for i := range s.Views {
		if apart(&v, &s.Views[i]) < newShare*float64(v.Width) {
			return false
		}
	}
	s.Views = append(s.Views, v)
	return true
}

// apart returns how far the corners that two views share are apart, on average,
// pixels; infinite if they share less than half.
func apart(a, b *View) float64 {
	at := map[cell]*Point{}
	for i := range b.Points {
		at[cell{b.Points[i].Column, b.Points[i].Row}] = &b.Points[i]
	}
	sum, n := 0.0, 0
	for i := range a.Points {
		if q, ok := at[cell{a.Points[i].Column, a.Points[i].Row}]; ok {
			sum, n = sum+math.Hypot(a.Points[i].X-q.X, a.Points[i].Y-q.Y), n+1
		}
	}
	if n == 0 || 2*n < len(a.Points) {
		return math.Inf(1)
	}
	return sum / float64(n)
}
