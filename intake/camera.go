package intake

import (
	"posefuse/model"
	"posefuse/person"
	"posefuse/sensors"
)

// MaxGapMS is the longest gap between two sets of keypoints that a window reaches
// back over, unless the daemon is told otherwise.
const MaxGapMS = 500

// Camera prepares a window of keypoints for the network, each set as it was
// prepared when it was new: a set that cannot be used takes the place of the one
// before, those before the first that can take its place. It reports false if
// none can be used, or none of the last second.
func (p *Intake) Camera(dst []float32, window []*sensors.Sample) bool {
	if len(window) != model.CameraWindow {
		return false
	}
	if p.stage == nil {
		return rawWindow(dst, window)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	before, now := p.window[0], p.window[1][:0]
	at, first := 0, -1 // of the window before; the first usable set
	for i, w := range window {
		s := set{sample: w}
		switch j := find(before, at, w); {
		case i > 0 && now[i-1].sample == w: // a hole repeats the set before
			s = now[i-1]
		case j >= 0:
			s, at = before[j], j+1
		default:
			if s.known = p.keypoints(s.values[:p.perSet], w); !s.known && i > 0 {
				s.values, s.known = now[i-1].values, now[i-1].known
			}
		}
		if first < 0 && s.known {
			first = i
		}
		now = append(now, s)
	}
	p.window[0], p.window[1] = now, before
	if first < 0 {
		return false
	}
	for since := p.stage.KeypointsSinceNS(); first < len(now)-1 && window[first].CaptureNS < since; {
		first++
	}
	for i := range now {
		if i < first { // nobody was known to be there yet, or somebody else was
			now[i].values, now[i].known = now[first].values, true
		}
		copy(dst[i*p.perSet:], now[i].values[:p.perSet])
	}
	return p.held(window[len(window)-1].CaptureNS)
}

// find returns the index of a sample's set at from or after it, or -1.
func find(sets []set, from int, s *sensors.Sample) int {
	for j := from; j < len(sets); j++ {
		if sets[j].sample == s {
			return j
		}
	}
	return -1
}

// Keypoints prepares one set for windows that the caller makes, as many values as
// a set has for the network. usable is false if dst was left as it is; takesPart is
// false if the camera has shown nothing usable for a second.
func (p *Intake) Keypoints(dst []float32, s *sensors.Sample) (usable, takesPart bool) {
	if p.stage == nil {
		ok := rawSet(dst, s.Keypoints)
		return ok, ok
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	usable = p.keypoints(dst, s)
	return usable, p.held(s.CaptureNS)
}

func (p *Intake) keypoints(dst []float32, s *sensors.Sample) bool {
	k := s.Keypoints
	if k == nil || k.Width <= 0 || k.Height <= 0 || !p.stage.Keypoints(s.CaptureNS, k, dst) {
		return false
	}
	p.usedNS, p.used = s.CaptureNS, true
	return true
}

// KeypointsSinceNS returns the time of the first set that shows who is there now,
// as they stand now: a window does not reach back beyond it.
func (p *Intake) KeypointsSinceNS() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stage.KeypointsSinceNS()
}

// held reports whether a usable set is not too old at an instant, and of who is
// there now, where they stand now.
func (p *Intake) held(atNS int64) bool {
	return p.used && p.usedNS >= p.stage.KeypointsSinceNS() && atNS-p.usedNS <= person.HoldNS
}

func rawWindow(dst []float32, window []*sensors.Sample) bool {
	for i, w := range window {
		if !rawSet(dst[i*model.KeypointValues:(i+1)*model.KeypointValues], w.Keypoints) {
			return false
		}
	}
	return true
}

// rawSet prepares a set as the camera sees it.
func rawSet(dst []float32, k *sensors.Keypoints) bool {
	if k == nil || k.Width <= 0 || k.Height <= 0 {
		return false
	}
	model.PrepKeypoints(dst, &k.XY, float64(k.Width), float64(k.Height))
	return true
}
