package sim

import (
	"fmt"
	"slices"
	"strconv"

	"posefuse/recording"
	"posefuse/recording/mmfi"
)

// Dataset is the simulated counterpart of MM-Fi: a clip for every subject and
// activity of its configuration, made on demand.
type Dataset struct {
	cfg    Config
	preset Preset
	keys   []recording.Key
}

var _ recording.Dataset = (*Dataset)(nil)

// NewDataset checks the configuration and lists its clips. Nothing is
// generated yet. The error names the key that is wrong.
func NewDataset(cfg Config) (*Dataset, error) {
	preset, err := cfg.resolve()
	if err != nil {
		return nil, err
	}
	d := &Dataset{cfg: cfg, preset: preset}
	subjects := orAll(cfg.Subjects, mmfi.NumSubjects)
	activities := orAll(cfg.Activities, mmfi.NumActivities)
	for _, s := range subjects {
		for _, a := range activities {
			d.keys = append(d.keys, recording.Key{Subject: s, Activity: a})
		}
	}
	return d, nil
}

// orAll returns the chosen numbers, sorted and once each, or 1..n.
func orAll(chosen []int, n int) []int {
	if len(chosen) == 0 {
		all := make([]int, n)
		for i := range all {
			all[i] = i + 1
		}
		return all
	}
	sorted := slices.Clone(chosen)
	slices.Sort(sorted)
	return slices.Compact(sorted)
}

// Config returns the configuration with its defaults filled in.
func (d *Dataset) Config() Config { return d.cfg }

// Keys lists the clips, ordered by subject, then activity.
func (d *Dataset) Keys() []recording.Key { return slices.Clone(d.keys) }

// Open returns a clip. It costs about a millisecond; a caller that needs a
// clip again keeps it.
func (d *Dataset) Open(k recording.Key) (recording.Clip, error) { return d.Clip(k) }

// Clip is Open with the simulator's own type.
func (d *Dataset) Clip(k recording.Key) (*Clip, error) {
	if !slices.Contains(d.keys, k) {
		return nil, fmt.Errorf("sim: clip %s is not part of this data set: check subjects and activities", mmfi.Path(k))
	}
	return NewClip(d.cfg, d.motion(k))
}

// Describe says what the data is, for figures and model cards.
func (d *Dataset) Describe() string {
	movement := "procedural"
	if d.cfg.Mocap != nil {
		movement = "procedural / motion-capture"
	}
	room := ""
	if w := d.cfg.World; w != nil {
		room = ", another room"
		if w.Name != "" {
			room = ", room " + strconv.Quote(w.Name)
		}
	}
	return fmt.Sprintf("%s (generator version %s, preset %s, seed %d%s) on %s movement; not MM-Fi",
		Statement, Version, d.preset.Name, d.cfg.Seed, room, movement)
}

// motion returns the movement of a clip: recorded where the library has the
// activity, procedural otherwise.
func (d *Dataset) motion(k recording.Key) Motion {
	opt := MotionOptions{Frames: d.cfg.FramesPerClip}
	if d.cfg.Mocap != nil {
		if m, ok := d.cfg.Mocap.Motion(d.cfg.Seed, k, opt); ok {
			return m
		}
	}
	return NewProcedural(d.cfg.Seed, k, opt)
}
