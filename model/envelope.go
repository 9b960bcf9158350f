package model

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"

	"posefuse/frame"
)

// Envelope is where a model holds: what eval --world measured of it in rooms
// that differ from the base, which is that of its training.
type Envelope struct {
	Data     string  `json:"data"`      // what the rooms were made of
	Frames   int     `json:"frames"`    // of each room
	BaseMM   float64 `json:"base_mm"`   // error of all sensors in the base, MPJPE, millimetres
	MaxRatio float64 `json:"max_ratio"` // error over the base's up to which the model counts as holding
	// Base is the base's room in numbers.
	Base frame.Measures `json:"base"`
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
	// RawMM is the error without the person found, each sensor's values given as
	// they come; 0 if nobody measured it.
	RawMM float64 `json:"raw_mm,omitempty"`
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
	if len(e.Rooms) == 0 {
		return errors.New("rooms: none, want the base at least")
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

// Excess is a value of a room that lies outside the range in which a model holds.
type Excess struct {
	Quantity frame.Quantity
	Value    float64
	Range    Range
	// Beyond is the nearest room that was measured beyond the range's end and
	// differs in nothing else; nil if there is none.
	Beyond *RoomScore
}

// Outside returns the values of a room outside their ranges, by quantity. What the
// room does not say, or the envelope, is left out.
func (e *Envelope) Outside(room frame.Measures) []Excess {
	var out []Excess
	for _, q := range slices.Sorted(maps.Keys(room)) {
		v := room[q]
		r, known := e.Ranges[q]
		if !known || v >= r.Min-frame.Tolerances[q] && v <= r.Max+frame.Tolerances[q] || e.vouched(room, q) {
			continue
		}
		x := Excess{Quantity: q, Value: v, Range: r}
		for i := range e.Rooms {
			at, ok := e.Rooms[i].Differs[q]
			if !ok || e.Rooms[i].Else || len(e.Rooms[i].Differs) > 1 || (at < r.Min) != (v < r.Min) || at >= r.Min && at <= r.Max {
				continue
			}
			if x.Beyond == nil || math.Abs(at-v) < math.Abs(x.Beyond.Differs[q]-v) {
				x.Beyond = &e.Rooms[i]
			}
		}
		out = append(out, x)
	}
	return out
}

// Far returns how far the value lies outside the range, in the quantity's unit.
func (x Excess) Far() float64 { return max(x.Range.Min-x.Value, x.Value-x.Range.Max) }

// vouched reports whether a room was measured in which the model holds and whose
// sensor, or person, of the quantity stands like this one: a camera may be high if
// it looks down.
func (e *Envelope) vouched(room frame.Measures, q frame.Quantity) bool {
	for i := range e.Rooms {
		r := &e.Rooms[i]
		like := r.Ratio <= e.MaxRatio
		for p, v := range room {
			if p.Of() != q.Of() || !like {
				continue
			}
			at, differs := r.Differs[p]
			if !differs {
				at = e.Base[p]
			}
			like = math.Abs(at-v) <= frame.Tolerances[p]
		}
		if like {
			return true
		}
	}
	return false
}

// String says what is outside, and what that costs as far as somebody measured it.
func (x Excess) String() string {
	s := fmt.Sprintf("%s is %.4g, and the model holds from %.4g to %.4g (at most %.0f mm there)", x.Quantity, x.Value, x.Range.Min, x.Range.Max, x.Range.MM)
	if x.Range.Min == x.Range.Max {
		s = fmt.Sprintf("%s is %.4g, and the model was measured at %.4g only (%.0f mm)", x.Quantity, x.Value, x.Range.Min, x.Range.MM)
	}
	if x.Beyond == nil {
		return s + "; what another value costs nobody measured"
	}
	return s + fmt.Sprintf("; at %.4g it was %.0f mm, %.2g times that of its own arrangement", x.Beyond.Differs[x.Quantity], x.Beyond.MM, x.Beyond.Ratio)
}

// SetEnvelope writes an envelope into the card of the checkpoint in dir, which is
// that of the weights with the hash sha256.
func SetEnvelope(dir, sha256 string, e *Envelope) error {
	return amend(dir, sha256, func(card *Card) error {
		card.Envelope = e
		return card.validateRoom()
	})
}
