package sim

import (
	"fmt"

	"posefuse/recording"
)

// Programme is a data set of one person who exercises: sets, one after the
// other.
type Programme struct {
	Subject int
	Sets    []ProgrammeSet
	Seed    uint64
	World   *World // nil for MM-Fi's
}

// ProgrammeSet is some repetitions of one activity.
type ProgrammeSet struct{ Activity, Reps int }

var _ recording.Dataset = Programme{}

// Keys lists the sets in order.
func (p Programme) Keys() []recording.Key {
	var keys []recording.Key
	for _, s := range p.Sets {
		keys = append(keys, recording.Key{Subject: p.Subject, Activity: s.Activity})
	}
	return keys
}

// Open simulates the sensors for one set.
func (p Programme) Open(k recording.Key) (recording.Clip, error) {
	for _, s := range p.Sets {
		if k.Subject != p.Subject || k.Activity != s.Activity {
			continue
		}
		motion := NewSet(p.Seed, k, s.Reps, MotionOptions{})
		return NewClip(Config{Seed: p.Seed, Preset: "mmfi", FramesPerClip: motion.Frames(), World: p.World}, motion)
	}
	return nil, fmt.Errorf("clip %s is not part of the programme", k)
}

// Describe says that it is simulated.
func (p Programme) Describe() string { return Statement + ", exercise programme" }
