package world

import (
	"math"
	"sync"

	"posefuse/recording"
	"posefuse/recording/sim"
	"posefuse/sensors/modality"
)

// furnish adds to frame i what the simulator sees of the row's room: every return
// of a whole sweep or its furniture, and the radar's static clutter. Recorded
// points hide what lies behind them.
func (c *recordedClip) furnish(i int, which modality.Set, f *recording.Frame) error {
	s := furnishing.Get().(*furnishings)
	defer furnishing.Put(s)
	if err := c.room.Surroundings(i, &s.around); err != nil {
		return err
	}
	if which.Has(modality.LiDAR) {
		s.nearest.of(f.LiDAR)
		for p := s.around.LiDAR; len(p) >= 3; p = p[3:] {
			if !s.nearest.hides(p) {
				f.LiDAR = append(f.LiDAR, p[:3]...)
			}
		}
	}
	if which.Has(modality.Radar) {
		f.MmWave = append(f.MmWave, s.around.Radar...)
	}
	return nil
}

// furnishings is what one goroutine needs to furnish a frame.
type furnishings struct {
	around  sim.Surroundings
	nearest nearest
}

var furnishing = sync.Pool{New: func() any { return new(furnishings) }}

// Directions are told apart by twice a beam's and a column's distance, so that a
// person's points leave no gaps between them.
const (
	azimuths   = 512
	elevations = 128 // over half a turn
)

// nearest is the distance of the nearest point per direction, metres; 0 is none.
type nearest [azimuths * elevations]float32

func (n *nearest) of(points []float64) {
	clear(n[:])
	for p := points; len(p) >= 3; p = p[3:] {
		k, r := direction(p)
		if n[k] == 0 || r < n[k] {
			n[k] = r
		}
	}
}

// hides reports whether a point lies behind those given.
func (n *nearest) hides(p []float64) bool {
	k, r := direction(p)
	return n[k] != 0 && r > n[k]+0.05
}

// direction returns the number of a point's direction and how far it is.
func direction(p []float64) (k int, r float32) {
	flat := math.Hypot(p[0], p[1])
	az := int((math.Atan2(p[1], p[0])/(2*math.Pi) + 0.5) * azimuths)
	el := int((math.Atan2(p[2], flat)/math.Pi + 0.5) * elevations)
	return min(az, azimuths-1)*elevations + min(el, elevations-1), float32(math.Hypot(flat, p[2]))
}
