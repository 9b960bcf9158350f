// Package world evaluates a model in rooms that differ from those it was trained
// in: a file names the rooms, the simulator records the same movements in each,
// and a table says what each difference costs.
package world

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"posefuse/recording"
	"posefuse/recording/mmfi"
	"posefuse/recording/sim"
	"posefuse/setting"
)

// File is a table of rooms, as read and checked.
type File struct {
	Name   string
	Clips  []recording.Key // what is recorded in every room
	Frames int             // of each clip
	Seed   uint64
	// Rows are the rooms. The first is the base, which the others are compared
	// with and made of.
	Rows []Row
}

// Row is one room and what else differs there.
type Row struct {
	Name         string
	World        sim.World
	Preset       string
	Degradations []sim.Degradation
	// Untold rooms are those of which nobody said where the sensors stand: it is
	// assumed, as the daemon does.
	Untold bool
}

// BaseName is the name of the first row.
const BaseName = "base"

// file is File as it is written.
type file struct {
	Name   string    `yaml:"name"`
	Clips  []string  `yaml:"clips"`
	Frames int       `yaml:"frames"`
	Preset string    `yaml:"preset"`
	Seed   uint64    `yaml:"seed"`
	Base   yaml.Node `yaml:"base"` // keys of sim.World that differ from its default
	Rows   []row     `yaml:"rows"`
}

type row struct {
	Name         string            `yaml:"name"`
	World        yaml.Node         `yaml:"world"`  // keys that differ from the base
	Preset       string            `yaml:"preset"` // the file's, if empty
	Degradations []sim.Degradation `yaml:"degradations"`
	Untold       bool              `yaml:"untold"` // nobody said where the sensors stand
}

// ReadFile reads and checks a file of rooms. The error names the file and every
// key that cannot work.
func ReadFile(path string) (*File, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read worlds: %w", err)
	}
	f, err := Parse(b)
	if err != nil {
		return nil, fmt.Errorf("worlds %s: %w", path, err)
	}
	return f, nil
}

// Parse is ReadFile for the bytes of one.
func Parse(doc []byte) (*File, error) {
	raw := file{Clips: []string{"S05/A01", "S05/A12", "S10/A13", "S15/A17"}, Frames: 100, Preset: "mmfi", Seed: 1}
	var root yaml.Node
	d := yaml.NewDecoder(bytes.NewReader(doc))
	if err := d.Decode(&root); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, errors.New("the file is empty: see configs/worlds for examples")
		}
		return nil, yamlError(err)
	}
	if err := d.Decode(&yaml.Node{}); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one YAML document; keep the first")
	}
	if err := decode(&root, &raw, ""); err != nil {
		return nil, err
	}
	return raw.resolve()
}

// resolve makes the rooms and checks everything.
func (r *file) resolve() (*File, error) {
	f := &File{Name: r.Name, Frames: r.Frames, Seed: r.Seed}
	var p setting.Problems
	if r.Name == "" || strings.ContainsAny(r.Name, "/\\\n") {
		p.Add("name", "%q: give the table a short name", r.Name)
	}
	p.Between("frames", float64(r.Frames), 1, 100_000)
	f.Clips = r.clips(&p)
	p.OneOf("preset", r.Preset, sim.PresetNames()...)
	base := sim.DefaultWorld()
	if err := decode(&r.Base, &base, "base"); err != nil {
		p = append(p, err)
		return nil, errors.Join(p...)
	}
	base.Name = BaseName
	p.Join("base", base.Check())
	f.Rows = append(f.Rows, Row{Name: BaseName, World: base, Preset: r.Preset})
	names := map[string]bool{BaseName: true}
	for i := range r.Rows {
		from, key := &r.Rows[i], "rows["+strconv.Itoa(i)+"]"
		to := Row{Name: from.Name, World: base, Preset: from.Preset, Degradations: from.Degradations, Untold: from.Untold}
		if from.Name == "" || names[from.Name] {
			p.Add(key+".name", "%q: give each row a name of its own; the first, %q, is there already", from.Name, BaseName)
		}
		names[from.Name] = true
		if to.Preset == "" {
			to.Preset = r.Preset
		}
		p.OneOf(key+".preset", to.Preset, sim.PresetNames()...)
		for k, d := range to.Degradations {
			if err := d.Validate(); err != nil {
				p.Add(key+".degradations["+strconv.Itoa(k)+"]", "%w", err)
			}
		}
		if err := decode(&from.World, &to.World, key+".world"); err != nil {
			p = append(p, err)
			continue
		}
		to.World.Name = from.Name
		p.Join(key+".world", to.World.Check())
		f.Rows = append(f.Rows, to)
	}
	return f, errors.Join(p...)
}

// clips returns the keys of the file's clips.
func (r *file) clips(p *setting.Problems) []recording.Key {
	if len(r.Clips) == 0 {
		p.Add("clips", "none: name some, such as S05/A12")
	}
	var out []recording.Key
	for i, name := range r.Clips {
		k, ok := clipKey(name)
		if !ok {
			p.Add("clips["+strconv.Itoa(i)+"]", "%q: want a clip such as S05/A12, subjects 1 to %d, activities 1 to %d", name, mmfi.NumSubjects, mmfi.NumActivities)
			continue
		}
		out = append(out, k)
	}
	return out
}

// clipKey reads e.g. S05/A12.
func clipKey(name string) (recording.Key, bool) {
	subject, activity, ok := strings.Cut(name, "/")
	if !ok || len(subject) != 3 || len(activity) != 3 || subject[0] != 'S' || activity[0] != 'A' {
		return recording.Key{}, false
	}
	s, err1 := strconv.Atoi(subject[1:])
	a, err2 := strconv.Atoi(activity[1:])
	k := recording.Key{Subject: s, Activity: a}
	return k, err1 == nil && err2 == nil && k.String() == name && s >= 1 && s <= mmfi.NumSubjects && a >= 1 && a <= mmfi.NumActivities
}

// dataset returns the data set of one row.
func (f *File) dataset(r *Row) (*sim.Dataset, error) {
	cfg := sim.Config{Seed: f.Seed, Preset: r.Preset, FramesPerClip: f.Frames, World: &r.World, Degradations: r.Degradations}
	for _, k := range f.Clips {
		cfg.Subjects, cfg.Activities = append(cfg.Subjects, k.Subject), append(cfg.Activities, k.Activity)
	}
	ds, err := sim.NewDataset(cfg)
	if err != nil {
		return nil, fmt.Errorf("row %q: %w", r.Name, err)
	}
	return ds, nil
}
