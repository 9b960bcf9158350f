package exercise

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

//go:embed definitions/*.yaml
var builtin embed.FS

// DefinitionVersion is the version of the definition format this package reads.
const DefinitionVersion = 1

// Definition describes one exercise. The built-in ones are the YAML files
// under definitions; a new activity needs a file and no code.
type Definition struct {
	Version  int    `yaml:"version"`  // of the format, DefinitionVersion
	Revision int    `yaml:"revision"` // of the content, from 1; raise it with every change
	Activity string `yaml:"activity"` // MM-Fi's number, e.g. "A12"
	Name     string `yaml:"name"`     // short, for messages, e.g. "squat"
	// OfSide is the side the exercise is for, empty if it uses both or none.
	// Signals with side "own" are taken from it; the same movement of the
	// other side is reported as wrong_side.
	OfSide Side `yaml:"of_side,omitempty"`

	Count Count `yaml:"count"` // what is counted
	// Estimate is what is counted on estimated poses, see Count; empty: Count.
	// Several signals are averaged, each as a share of its neutral..target.
	Estimate []Count `yaml:"estimate,omitempty"`
	Range    Range   `yaml:"range"` // what is reported as range of motion
	// TempoS is how long a repetition usually takes.
	TempoS Tempo `yaml:"tempo_s"`
	// MinOutReturn is the least ratio of the time out to the time back; below
	// it the fault is fast_descent. 0 means not judged.
	MinOutReturn float64       `yaml:"min_out_return,omitempty"`
	Needs        []Requirement `yaml:"requires,omitempty"` // else the movement is another exercise
	Rules        []Rule        `yaml:"rules,omitempty"`
}

// Count is the signal a repetition is counted by. A pose that the network
// estimates (it has a coalition) shows less of a movement than a measured one,
// and not the same share of every signal: how far apart the feet of a lunge
// are is lost when how deep it is is not. Hence Definition.Estimate, and swing.go.
type Count struct {
	Signal  `yaml:",inline"`
	Neutral float64 `yaml:"neutral"` // value at rest before calibration
	Target  float64 `yaml:"target"`  // value of a full repetition: the bar at 100 %
}

// Range is the signal whose peak is reported per repetition.
type Range struct {
	Signal `yaml:",inline"`
}

// Tempo is the usual duration of a repetition, seconds: 10 %, median, 90 %.
type Tempo struct {
	P10    float64 `yaml:"p10"`
	Median float64 `yaml:"median"`
	P90    float64 `yaml:"p90"`
}

// Measure says which number of a repetition is looked at.
type Measure string

// The measures: where the counting signal has clearly left its low, at its
// peak, where it is back, or over the whole repetition.
const (
	AtStart Measure = "start"
	AtPeak  Measure = "peak"
	AtEnd   Measure = "end"
	AtRange Measure = "range" // largest minus smallest
	AtMax   Measure = "max"
	AtMin   Measure = "min"
)

// Requirement must hold in a repetition for it to be this exercise at all.
type Requirement struct {
	Signal  `yaml:",inline"`
	Measure Measure  `yaml:"measure"`
	Above   *float64 `yaml:"above,omitempty"`
	Below   *float64 `yaml:"below,omitempty"`
	// When restricts the requirement, empty: always.
	When Occasion `yaml:"when,omitempty"`
}

// Occasion says when a requirement applies.
type Occasion string

// The occasions. Estimated poses show details too weakly to ask for them of
// somebody whose exercise is known (WhenMeasured). Where it is not known,
// exercises are told apart by what estimates show of them (WhenRecognising),
// which is less than the movement itself.
const (
	WhenMeasured    Occasion = "measured"    // not of estimated poses
	WhenRecognising Occasion = "recognising" // of estimated poses, among several exercises; without margin
)

// Rule raises a fault when its measure is beyond the threshold by the margin
// of the sensors in two of the last three repetitions.
type Rule struct {
	Key     string `yaml:"key"` // message key, e.g. "trunk_lean"
	Signal  `yaml:",inline"`
	Measure Measure  `yaml:"measure"`
	Above   *float64 `yaml:"above,omitempty"` // raised above this value
	Below   *float64 `yaml:"below,omitempty"` // or below this one
	// Weight orders messages: safety 40 and more, compensation 30, range 20,
	// tempo 10.
	Weight int `yaml:"weight"`
	// Sensors are letters of "RLMW", one of which must be alive; empty: R or L.
	Sensors string `yaml:"sensors,omitempty"`
}

// Definitions returns the built-in definitions, by activity.
func Definitions() ([]*Definition, error) { return LoadDefinitions(builtin, "definitions") }

// LoadDefinitions reads every .yaml file of a folder.
func LoadDefinitions(fsys fs.FS, dir string) ([]*Definition, error) {
	entries, err := fs.ReadDir(fsys, dir)
	if err != nil {
		return nil, fmt.Errorf("exercise definitions: %w", err)
	}
	var defs []*Definition
	seen := map[string]string{}
	for _, e := range entries {
		if e.IsDir() || path.Ext(e.Name()) != ".yaml" {
			continue
		}
		name := path.Join(dir, e.Name())
		text, err := fs.ReadFile(fsys, name)
		if err != nil {
			return nil, fmt.Errorf("exercise definitions: %w", err)
		}
		d, err := ParseDefinition(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if other := seen[d.Activity]; other != "" {
			return nil, fmt.Errorf("%s: activity %s is defined in %s already, remove one", name, d.Activity, other)
		}
		seen[d.Activity] = name
		defs = append(defs, d)
	}
	if len(defs) == 0 {
		return nil, fmt.Errorf("exercise definitions: no .yaml file in %s, add one", dir)
	}
	slices.SortFunc(defs, func(a, b *Definition) int { return strings.Compare(a.Activity, b.Activity) })
	return defs, nil
}

// ParseDefinition reads and checks one definition. Unknown keys are errors.
func ParseDefinition(text []byte) (*Definition, error) {
	dec := yaml.NewDecoder(bytes.NewReader(text))
	dec.KnownFields(true)
	d := new(Definition)
	if err := dec.Decode(d); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, errors.New("exercise definition is empty")
		}
		return nil, fmt.Errorf("exercise definition: %w", err)
	}
	if err := dec.Decode(new(Definition)); !errors.Is(err, io.EOF) {
		return nil, errors.New("exercise definition: more than one document in the file")
	}
	if err := d.check(); err != nil {
		return nil, fmt.Errorf("exercise definition %s: %w", d.Activity, err)
	}
	return d, nil
}

func (d *Definition) check() error {
	switch {
	case d.Version != DefinitionVersion:
		return fmt.Errorf("version is %d, this program reads %d", d.Version, DefinitionVersion)
	case d.Revision < 1:
		return errors.New("revision is missing, start with 1")
	case len(d.Activity) != 3 || d.Activity[0] != 'A' || strings.Trim(d.Activity[1:], "0123456789") != "":
		return fmt.Errorf("activity is %q, write A and two digits", d.Activity)
	case d.Name == "":
		return errors.New("name is missing")
	case d.OfSide != "" && d.OfSide != Left && d.OfSide != Right:
		return fmt.Errorf("of_side is %q, write left or right or leave it out", d.OfSide)
	case !(d.TempoS.P10 > 0.2 && d.TempoS.P10 <= d.TempoS.Median && d.TempoS.Median <= d.TempoS.P90 && d.TempoS.P90 < 60):
		return fmt.Errorf("tempo_s: %v, %v, %v must rise, from 0.2 s to 60 s", d.TempoS.P10, d.TempoS.Median, d.TempoS.P90)
	}
	if d.MinOutReturn < 0 || d.MinOutReturn > 5 {
		return fmt.Errorf("min_out_return is %v, give 0 to 5", d.MinOutReturn)
	}
	if err := d.Count.check(d.OfSide); err != nil {
		return fmt.Errorf("count: %w", err)
	}
	if diff := d.Count.Target - d.Count.Neutral; !(diff*diff > 1e-4 && diff*diff < 1e6) {
		return fmt.Errorf("count: target %v is too near to neutral %v", d.Count.Target, d.Count.Neutral)
	}
	for i, c := range d.Estimate {
		if err := c.check(d.OfSide); err != nil {
			return fmt.Errorf("estimate[%d]: %w", i, err)
		}
		if diff := c.Target - c.Neutral; !(diff*diff > 1e-4 && diff*diff < 1e6) {
			return fmt.Errorf("estimate[%d]: target %v is too near to neutral %v", i, c.Target, c.Neutral)
		}
	}
	if err := d.Range.check(d.OfSide); err != nil {
		return fmt.Errorf("range: %w", err)
	}
	for i, r := range d.Needs {
		if err := checkMeasure(r.Signal, r.Measure, r.Above, r.Below, d.OfSide); err != nil {
			return fmt.Errorf("requires[%d]: %w", i, err)
		}
		if r.When != "" && r.When != WhenMeasured && r.When != WhenRecognising {
			return fmt.Errorf("requires[%d]: when is %q, write measured or recognising or leave it out", i, r.When)
		}
	}
	for i, r := range d.Rules {
		if err := checkMeasure(r.Signal, r.Measure, r.Above, r.Below, d.OfSide); err != nil {
			return fmt.Errorf("rules[%d] %s: %w", i, r.Key, err)
		}
		switch {
		case r.Key == "" || strings.Trim(r.Key, "abcdefghijklmnopqrstuvwxyz_") != "":
			return fmt.Errorf("rules[%d]: key is %q, write lower case and underscores", i, r.Key)
		case r.Name == "trunkTwist":
			return fmt.Errorf("rules[%d] %s: trunkTwist of an estimated pose says nothing about the person, it never raises a fault", i, r.Key)
		case strings.Trim(r.Sensors, "RLMW") != "":
			return fmt.Errorf("rules[%d] %s: sensors is %q, use letters of RLMW", i, r.Key, r.Sensors)
		}
	}
	return nil
}

func checkMeasure(g Signal, m Measure, above, below *float64, own Side) error {
	if err := g.check(own); err != nil {
		return err
	}
	if !slices.Contains([]Measure{AtStart, AtPeak, AtEnd, AtRange, AtMax, AtMin}, m) {
		return fmt.Errorf("measure is %q, choose start, peak, end, range, max or min", m)
	}
	if (above == nil) == (below == nil) {
		return errors.New("give one of above and below")
	}
	return nil
}
