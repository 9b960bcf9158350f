package world

import (
	"fmt"
	"math"

	"posefuse/recording"
	"posefuse/recording/sim"
)

// notApplicable returns which keys of a row no recording can be changed by, each
// with why, "" if all can. What was recorded was seen from one side, by people who
// are as tall as they are.
func (r *Row) notApplicable(base *Row) string {
	w, b := &r.World, &base.World
	for _, c := range []struct {
		key, why string
		differs  bool
	}{
		{"preset", "errors of simulated sensors", r.Preset != base.Preset},
		{"world.person.turn_deg", "nobody saw the other side", w.Person.TurnDeg != b.Person.TurnDeg},
		{"world.person.height_m", "the people are as tall as they are", w.Person.HeightM != b.Person.HeightM},
		{"world.person.seated", "the people stand as they stood", w.Person.Seated != b.Person.Seated},
		{"world.lidar.beams", "the person was seen by the beams there were", w.LiDAR.Beams != b.LiDAR.Beams},
		{"world.room", "a cropped cloud keeps its own walls; add lidar.whole_sweep", !w.LiDAR.WholeSweep && !sameShell(&w.Room, &b.Room)},
		{"world.misplaced", "the sensors stood where they stood", w.Misplaced.Fixed},
		{"world.camera.late_ms", wholeFrames, !isWholeFrames(w.Camera.LateMS)},
		{"world.lidar.late_ms", wholeFrames, !isWholeFrames(w.LiDAR.LateMS)},
		{"world.radar.late_ms", wholeFrames, !isWholeFrames(w.Radar.LateMS)},
		{"world.camera.rate_hz", noFaster, w.Camera.RateHz > framesPerS},
		{"world.lidar.rate_hz", noFaster, w.LiDAR.RateHz > framesPerS},
		{"world.radar.rate_hz", noFaster, w.Radar.RateHz > framesPerS},
	} {
		if c.differs {
			return c.key + ": " + c.why
		}
	}
	for _, d := range r.Degradations {
		if d.Kind != sim.ModalityMissing {
			return fmt.Sprintf("degradations: %s: made of simulated bodies and sensors", d.Kind)
		}
	}
	return ""
}

const (
	framesPerS  = 1000.0 / recording.FramePeriodMS
	wholeFrames = "there is a frame every 100 ms and none between"
	noFaster    = "recorded ten times a second"
)

func isWholeFrames(ms float64) bool { return math.Mod(ms, recording.FramePeriodMS) == 0 }

// sameShell reports whether two rooms have the same walls.
func sameShell(a, b *sim.RoomWorld) bool {
	return a.AheadM == b.AheadM && a.BehindM == b.BehindM && a.SideM == b.SideM && a.CeilingM == b.CeilingM
}
