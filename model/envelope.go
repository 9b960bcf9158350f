package model

import (
	"fmt"
	"math"

	"posefuse/frame"
)

// Envelope is where a model holds: what eval --world measured of it in rooms
// that differ from the base, which is that of its training.
type Envelope struct {
	Data     string  `json:"data"`      // what the rooms were made of
	Frames   int     `json:"frames"`    // of each room
	BaseMM   float64 `json:"base_mm"`   // error of all sensors in the base, MPJPE, millimetres
	MaxRatio float64 `json:"max_ratio"` // error over the base's up to which the model counts as holding
	// Ranges are the values around the base's between which the model holds.
	Ranges map[frame.Quantity]Range `json:"ranges"`
	// Rooms are all that were measured, in their order, the base first.
	Rooms []RoomScore `json:"rooms"`
}

// Range is where a model holds in one quantity, in its unit, and the worst that
// was measured there.
type Range struct {
	Min   float64 `json:"min"`
	Max   float64 `json:"max"`
	MM    float64 `json:"mm"`
	Ratio float64 `json:"ratio"` // to the base's error
}

// RoomScore is the error in one room.
type RoomScore struct {
	Name  string  `json:"name"`
	MM    float64 `json:"mm"`    // MPJPE of all sensors, millimetres
	Ratio float64 `json:"ratio"` // to the base's
	// Differs are the quantities in which the room differs from the base.
	Differs map[frame.Quantity]float64 `json:"differs,omitempty"`
	// Else tells that it also differs in what is no quantity, such as furniture.
	Else bool `json:"else,omitempty"`
}

// validate refuses an envelope with which nothing can be compared.
func (e *Envelope) validate() error {
	if !(e.BaseMM > 0) || !(e.MaxRatio >= 1) {
		return fmt.Errorf("base_mm %v and max_ratio %v, want above 0 and at least 1", e.BaseMM, e.MaxRatio)
	}
	for q, r := range e.Ranges {
		if _, known := frame.Tolerances[q]; !known {
			return fmt.Errorf("ranges: %q is no quantity that this build knows", q)
		}
		if !(r.Min <= r.Max) || math.IsInf(r.Min, 0) || math.IsInf(r.Max, 0) {
			return fmt.Errorf("ranges: %s from %v to %v, want two numbers in order", q, r.Min, r.Max)
		}
	}
	return nil
}
