package person

import "math"

// spot is a place of the person and the view from there.
type spot struct {
	at      [2]float64 // room, metres
	found   bool
	foundNS int64 // when it was found
	movedNS int64 // when it last followed
	view    view
}

// move follows a place: slowly, so that steps and lunges stay movements, but at
// first and where the person has plainly gone elsewhere at once. Near where the
// arrangement has people anyway nothing is moved: the network has learnt how they
// vary there, and its own idea of the distance is better than the track's. It
// reports whether the place is a new one.
func (p *spot) move(s *Stage, at [2]float64) (anew bool) {
	home := s.home()
	within := homeM
	if p.found && p.at == home {
		within = leaveHomeM
	}
	if s.arrangement.Anywhere {
		within = 0
	}
	if math.Hypot(at[0]-home[0], at[1]-home[1]) < within {
		at = home
	}
	if anew = !p.found || math.Hypot(at[0]-p.at[0], at[1]-p.at[1]) >= jumpM; !anew {
		// At first the mean of what was told, later a slow follower.
		share := 0.0
		if d := float64(s.atNS - p.movedNS); d > 0 {
			share = max(1-math.Exp(-d/followNS), d/(float64(s.atNS-p.foundNS)+d))
		}
		for i := range at {
			at[i] = p.at[i] + share*(at[i]-p.at[i])
		}
		if within > 0 && math.Hypot(at[0]-home[0], at[1]-home[1]) < 0.005 {
			at = home
		}
	} else {
		p.foundNS = s.atNS
	}
	p.found, p.movedNS = true, s.atNS
	p.at, p.view = at, newView(&s.rig, &s.arrangement, at)
	return anew
}

const (
	followNS   = 4.95e9 // a lunge of half a metre and a second moves it by a few centimetres
	jumpM      = 0.8
	homeM      = 0.20
	leaveHomeM = 0.50 // a long lunge
)

// home returns where people stand in the arrangement, before this room's camera.
func (s *Stage) home() [2]float64 {
	t := &s.rig.RoomFromCamera
	x, y := t.R[0][2], t.R[1][2]
	l := math.Hypot(x, y)
	if l < 0.1 {
		x, y, l = 0, 1, 1 // it looks at the floor
	}
	d := s.arrangement.DistanceM / l
	return [2]float64{t.T[0] + d*x, t.T[1] + d*y}
}
