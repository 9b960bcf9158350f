package session

import (
	"fmt"
	"slices"

	"posefuse/recording"
)

// Truth is what somebody measured beside a session: the joints at a room time, in
// the camera's frame, metres; false where nothing was measured.
type Truth func(captureNS int64) (recording.Pose, bool)

// SetTruth gives the session in dir joints. Of its frames only those at whose time
// something was measured remain.
func (d *Dataset) SetTruth(dir string, truth Truth) error {
	for k, at := range d.dirs {
		if at == dir {
			if d.truth == nil {
				d.truth = map[recording.Key]Truth{}
			}
			d.truth[k] = truth
			return nil
		}
	}
	return fmt.Errorf("sessions: %s is none of them", dir)
}

// measured leaves the frames whose joints are known.
func (c *Clip) measured() error {
	if c.truth == nil {
		return nil
	}
	c.ticks = slices.DeleteFunc(c.ticks, func(ns int64) bool {
		_, ok := c.truth(ns)
		return !ok
	})
	if len(c.ticks) == 0 {
		return fmt.Errorf("%s: nothing was measured at the time of any of its frames", c.dir)
	}
	return nil
}
