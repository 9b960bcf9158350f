package sim

import "posefuse/recording"

// Clips of MM-Fi's kind begin in the middle of a movement; a daemon sees a new
// person stand before they move.
var (
	_ recording.Stander = (*Dataset)(nil)
	_ recording.Stander = (*Rooms)(nil)
)

// recordedAtRest is a recorded person at rest: somebody of their size whose bones
// are the recorded ones.
type recordedAtRest struct {
	*ProceduralMotion
	body recordedBody
}

// At implements Motion.
func (m *recordedAtRest) At(tS float64) Skeleton {
	sk := m.ProceduralMotion.At(tS)
	m.body.fit(&sk)
	return sk
}

// standing returns the person of a movement at rest, for 4.5 s, and how many frames
// that is.
func standing(seed uint64, m Motion) (Motion, int) {
	body := m.Subject()
	still := NewSet(seed, m.Key(), 0, MotionOptions{Body: &body})
	if recorded, ok := m.(*MocapMotion); ok {
		return &recordedAtRest{still, recorded.body}, still.Frames()
	}
	return still, still.Frames()
}

// Standing returns the person of a clip who stands quietly where it is recorded.
func (d *Dataset) Standing(k recording.Key) (recording.Clip, error) {
	cfg := d.cfg
	m, frames := standing(cfg.Seed, d.motion(k))
	cfg.FramesPerClip, cfg.Degradations = frames, nil
	return NewClip(cfg, m)
}

// Standing returns the person of a clip at rest in its room, standing, or sitting
// where they sit in the clip.
func (d *Rooms) Standing(k recording.Key) (recording.Clip, error) {
	cfg, moving, err := d.room(k)
	if err != nil {
		return nil, err
	}
	m, frames := standing(cfg.Seed, moving)
	cfg.FramesPerClip, cfg.Degradations = frames, nil
	return NewClip(cfg, m)
}
