package exercise

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"posefuse/setting"
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
	Activity string `yaml:"activity"` // MM-Fi's number, e.g. "A12"; other letters for others
	Name     string `yaml:"name"`     // short, for messages, e.g. "squat"
	// OfSide is the side the exercise is for, empty if it uses both or none.
	// Signals with side "own" are taken from it; the same movement of the
	// other side is reported as wrong_side.
	OfSide Side `yaml:"of_side,omitempty"`

	// Mirror is the activity that is the same exercise of the other side.
	Mirror string `yaml:"mirror,omitempty"`

	Count Count `yaml:"count"` // what a patient's target is for
	// FoundBy is what repetitions are found by; empty: Count. Several signals
	// are averaged, each as a share of its neutral..target.
	FoundBy []Count `yaml:"found_by,omitempty"`
	// SideBy tells whose repetition it was where FoundBy does not: if the mean
	// of what can be measured is above 0, it was that of OfSide.
	SideBy []SideBy `yaml:"side_by,omitempty"`
	// Alternate counts the two sides in turn as one repetition, as in marching.
	Alternate bool  `yaml:"alternate,omitempty"`
	Range     Range `yaml:"range"` // what is reported as range of motion
	// TempoS is how long a repetition usually takes.
	TempoS Tempo `yaml:"tempo_s"`
	// SetRestS is how long somebody may rest between two repetitions of a set,
	// seconds; 0 means DefaultSetRestS.
	SetRestS float64 `yaml:"set_rest_s,omitempty"`
	// MinOutReturn is the least ratio of the time out to the time back; below
	// it the fault is fast_descent. 0 means not judged.
	MinOutReturn float64       `yaml:"min_out_return,omitempty"`
	Needs        []Requirement `yaml:"requires,omitempty"` // else the movement is another exercise
	Rules        []Rule        `yaml:"rules,omitempty"`
}

// Count is a signal with its values at rest and of a full repetition. A pose
// that the network estimates shows less of a movement than the person did, and
// not the same share of every signal: how far apart the feet of a lunge are is
// lost when how deep it is is not. Hence Definition.FoundBy.
type Count struct {
	Signal  `yaml:",inline"`
	Neutral float64 `yaml:"neutral"` // value at rest before calibration
	Target  float64 `yaml:"target"`  // value of a full repetition: the bar at 100 %
}

// SideBy is the measure of a repetition that tells whose it was.
type SideBy struct {
	Signal  `yaml:",inline"`
	Measure Measure `yaml:"measure"`
}

// DefaultSetRestS is how long somebody may rest between two repetitions of one
// set, seconds, where neither definition nor configuration say so. Patients
// rest for up to 8 s between slow repetitions.
const DefaultSetRestS = 10.0

// restS is how long a rest may be in a set, seconds.
func (d *Definition) restS() float64 {
	if d.SetRestS > 0 {
		return d.SetRestS
	}
	return DefaultSetRestS
}

// signals are what repetitions are found by.
func (d *Definition) signals() []Count {
	if len(d.FoundBy) == 0 {
		return []Count{d.Count}
	}
	return d.FoundBy
}

// quickS: a repetition of a shorter period than this loses its peaks in the mean
// of three poses at 10 Hz (exercises.md 2).
const quickS = 0.8

// quick reports whether the exercise is too quick for smoothed poses.
func (d *Definition) quick() bool { return d.TempoS.Median < quickS }

// firstSide is the side that the first counter of the exercise is for.
func (d *Definition) firstSide() Side {
	if d.Alternate {
		return Left
	}
	return d.OfSide
}

// share is the mean share of the signals that repetitions are found by. Before
// calibration those that need it are measured from the first pose, but not alone.
func (d *Definition) share(b body, side Side) (share float64, ok bool) {
	n, known := 0, false
	for _, c := range d.signals() {
		v, ok := c.value(b, side)
		switch {
		case ok:
			known = true
		case b.cal.standing:
			return 0, false
		case b.cal.first != nil:
			v, ok = c.value(body{b.s, b.cal.first}, side)
		}
		if !ok {
			continue
		}
		share += (v - c.Neutral) / (c.Target - c.Neutral)
		n++
	}
	return share / float64(max(n, 1)), known
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
	AtRise  Measure = "rise"  // peak minus what is farthest from it before
	AtMean  Measure = "mean"  // of all poses from the start's on
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
	// Unless names what excuses a repetition that does not meet it.
	Unless *Requirement `yaml:"unless,omitempty"`
}

// Occasion says when a requirement applies.
type Occasion string

// The occasions. Where one exercise is looked for, less needs to be asked than
// where exercises are told apart. What a network shows of a movement is less
// than the movement itself, so where the size of its poses is not known,
// details cannot be asked for.
const (
	WhenRecognising Occasion = "recognising" // among several exercises
	WhenSized       Occasion = "sized"       // of poses whose size is known, among several exercises
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
	// Say is the sentence for the person by language, for keys that
	// messages.<lang>.json does not know; {measured} and {limit} stand for the
	// values.
	Say map[string]string `yaml:"say,omitempty"`
}

// Definitions returns the built-in definitions, by activity.
func Definitions() ([]*Definition, error) { return LoadDefinitions(builtin, "definitions") }

// AllDefinitions returns the built-in definitions and those of a folder, which
// take the place of built-in ones of the same activity; "" is no folder.
func AllDefinitions(folder string) ([]*Definition, error) {
	defs, err := Definitions()
	if err != nil || folder == "" {
		return defs, err
	}
	own, err := LoadDefinitions(os.DirFS(folder), ".")
	if err != nil {
		return nil, fmt.Errorf("folder %s: %w", folder, err)
	}
	for _, d := range own {
		if i := slices.IndexFunc(defs, func(b *Definition) bool { return b.Activity == d.Activity }); i >= 0 {
			defs[i] = d
		} else {
			defs = append(defs, d)
		}
	}
	return defs, nil
}

// maxDefinition bounds a file of an exercise, bytes.
const maxDefinition = 1 << 20

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
		text, err := setting.ReadFS(fsys, name, maxDefinition)
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
		return nil, fmt.Errorf("exercise definition %s: %s%w", d.Activity, lineOf(text, err), err)
	}
	return d, nil
}

// keyOf is the key that an error of check begins with, and its place in a list.
var keyOf = regexp.MustCompile(`^([a-z_]+)(?:\[(\d+)\])?`)

// lineOf returns "line N: " for the key that an error begins with, "" if the
// file does not have it.
func lineOf(text []byte, err error) string {
	var root yaml.Node
	m := keyOf.FindStringSubmatch(err.Error())
	if yaml.Unmarshal(text, &root) != nil || m == nil || len(root.Content) == 0 {
		return ""
	}
	pairs := root.Content[0].Content
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i].Value != m[1] {
			continue
		}
		line := pairs[i].Line
		if k, err := strconv.Atoi(m[2]); err == nil && k < len(pairs[i+1].Content) {
			line = pairs[i+1].Content[k].Line
		}
		return fmt.Sprintf("line %d: ", line)
	}
	return ""
}

func (d *Definition) check() error {
	switch {
	case d.Version != DefinitionVersion:
		return fmt.Errorf("version is %d, this program reads %d", d.Version, DefinitionVersion)
	case d.Revision < 1:
		return errors.New("revision is missing, start with 1")
	case len(d.Activity) != 3 || d.Activity[0] < 'A' || d.Activity[0] > 'Z' || strings.Trim(d.Activity[1:], "0123456789") != "":
		return fmt.Errorf("activity is %q, write a capital letter and two digits; A is for those of MM-Fi", d.Activity)
	case d.Name == "":
		return errors.New("name is missing")
	case d.OfSide != "" && d.OfSide != Left && d.OfSide != Right:
		return fmt.Errorf("of_side is %q, write left or right or leave it out", d.OfSide)
	case !(d.TempoS.P10 > 0.2 && d.TempoS.P10 <= d.TempoS.Median && d.TempoS.Median <= d.TempoS.P90 && d.TempoS.P90 < 60):
		return fmt.Errorf("tempo_s: %v, %v, %v must rise, from 0.2 s to 60 s", d.TempoS.P10, d.TempoS.Median, d.TempoS.P90)
	}
	if d.SetRestS < 0 || d.SetRestS > 600 {
		return fmt.Errorf("set_rest_s is %v, give 0 to 600 seconds", d.SetRestS)
	}
	for i, m := range d.SideBy {
		if err := checkMeasure(m.Signal, m.Measure, new(float64), nil, d.OfSide); err != nil {
			return fmt.Errorf("side_by[%d]: %w", i, err)
		}
	}
	if len(d.SideBy) > 0 && d.OfSide == "" {
		return errors.New("side_by goes with of_side: an exercise without a side has none to tell")
	}
	if d.MinOutReturn < 0 || d.MinOutReturn > 5 {
		return fmt.Errorf("min_out_return is %v, give 0 to 5", d.MinOutReturn)
	}
	if err := d.Count.check(d.firstSide()); err != nil {
		return fmt.Errorf("count: %w", err)
	}
	if diff := d.Count.Target - d.Count.Neutral; !(diff*diff > 1e-4 && diff*diff < 1e6) {
		return fmt.Errorf("count: target %v is too near to neutral %v", d.Count.Target, d.Count.Neutral)
	}
	for i, c := range d.FoundBy {
		if err := c.check(d.firstSide()); err != nil {
			return fmt.Errorf("found_by[%d]: %w", i, err)
		}
		if diff := c.Target - c.Neutral; !(diff*diff > 1e-4 && diff*diff < 1e6) {
			return fmt.Errorf("found_by[%d]: target %v is too near to neutral %v", i, c.Target, c.Neutral)
		}
	}
	if err := d.Range.check(d.firstSide()); err != nil {
		return fmt.Errorf("range: %w", err)
	}
	for i, r := range d.Needs {
		if err := checkMeasure(r.Signal, r.Measure, r.Above, r.Below, d.firstSide()); err != nil {
			return fmt.Errorf("requires[%d]: %w", i, err)
		}
		if r.When != "" && r.When != WhenSized && r.When != WhenRecognising {
			return fmt.Errorf("requires[%d]: when is %q, write recognising or sized or leave it out", i, r.When)
		}
		if u := r.Unless; u != nil {
			if err := checkMeasure(u.Signal, u.Measure, u.Above, u.Below, d.firstSide()); err != nil {
				return fmt.Errorf("requires[%d]: unless: %w", i, err)
			}
		}
	}
	for i, r := range d.Rules {
		if err := checkMeasure(r.Signal, r.Measure, r.Above, r.Below, d.firstSide()); err != nil {
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
	if !slices.Contains([]Measure{AtStart, AtPeak, AtEnd, AtRise, AtMean, AtRange, AtMax, AtMin}, m) {
		return fmt.Errorf("measure is %q, choose start, peak, end, rise, mean, range, max or min", m)
	}
	if (above == nil) == (below == nil) {
		return errors.New("give one of above and below")
	}
	return nil
}
