package timesync

import (
	"posefuse/sensors"
	"posefuse/sensors/modality"
)

// State tells how a modality took part in a tick.
type State string

// States of a Slot.
const (
	Fused State = "fused" // the slot holds the sensor's sample or window
	Late  State = "late"  // the sensor lives, but its sample did not come within the hold
	Gap   State = "gap"   // the sensor went on without a sample near this tick
	Stale State = "stale" // nothing usable from the sensor for longer than Config.Stale, or ever
	Off   State = "off"   // no such sensor is configured
)

// Lengths of the windows of a Slot.
const (
	CameraWindow = 81 // keypoint sets, one per tick period, ending at the tick
	CSIWindow    = 10 // packets around the tick
)

// Tick is one time-aligned set of samples. The aligner reuses it: the Tick and
// the Windows in it are valid until the function given to Run returns; copy
// what must live longer. The samples pointed to are immutable and may be kept.
type Tick struct {
	Seq         uint64 // from 1, +1 per tick
	TimeNS      int64  // the instant the set stands for, room clock; strictly increasing
	ReadyNS     int64  // when the set was given out, room clock, at most TimeNS + hold (plus scheduling)
	ReferenceNS int64  // phase error: capture time of the reference sensor minus TimeNS, median; 0 without one
	Slots       [modality.Count]Slot
}

// Slot is what one modality gives to a tick.
type Slot struct {
	State  State
	Sample *sensors.Sample // nearest to the tick; nil unless State is Fused. With CSI the packet nearest to the tick
	// Window is empty unless State is Fused and the modality has a window.
	// Camera: exactly CameraWindow keypoint sets, oldest first, the last one
	// is Sample; a hole repeats the entry before it, and what lies before the
	// oldest usable entry repeats that entry, as the edge padding of offline
	// evaluation does. CSI: exactly CSIWindow packets in time order.
	Window     []*sensors.Sample
	Filled     int   // entries of Window that repeat another for want of a sample
	SkewNS     int64 // capture time of Sample minus TimeNS (minus the sensor's Centre)
	LastByteNS int64 // receive time of the newest sample used, room clock
}

// Fused reports whether modality m takes part in the tick.
func (t *Tick) Fused(m modality.Kind) bool { return t.Slots[m].State == Fused }

// LastByteNS returns the receive time of the newest sample of the tick, 0 if
// no modality is fused.
func (t *Tick) LastByteNS() int64 {
	var last int64
	for i := range t.Slots {
		if t.Slots[i].State == Fused {
			last = max(last, t.Slots[i].LastByteNS)
		}
	}
	return last
}
