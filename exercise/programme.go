package exercise

import (
	"fmt"
	"slices"
	"strings"
)

// Goal is what a patient is to reach in an exercise. Zero values leave it to
// the definition.
type Goal struct {
	// Range of the counting signal, in its unit: for a squat the knee's angle,
	// degrees.
	Range float64 `yaml:"range,omitempty" json:"range,omitempty"`
	// Repetitions of a set, told to apps and not judged.
	Repetitions int `yaml:"repetitions,omitempty" json:"repetitions,omitempty"`
	// TempoS is how long a repetition is to take, seconds.
	TempoS float64 `yaml:"tempo_s,omitempty" json:"tempo_s,omitempty"`
}

// Find returns the definition that a word means: its activity ("A12") or its
// name ("squat"), in any case; the error lists what there is.
func Find(defs []*Definition, word string) (*Definition, error) {
	want := plain(word)
	var like []string
	for _, d := range defs {
		if plain(d.Activity) == want || plain(d.Name) == want {
			return d, nil
		}
		if want != "" && strings.Contains(plain(d.Name), want) {
			like = append(like, fmt.Sprintf("%q (%s)", d.Name, d.Activity))
		}
	}
	if len(like) > 0 {
		return nil, fmt.Errorf("no exercise is called %q; do you mean %s?", word, strings.Join(like, " or "))
	}
	known := make([]string, len(defs))
	for i, d := range defs {
		known[i] = fmt.Sprintf("%s %s", d.Activity, d.Name)
	}
	return nil, fmt.Errorf("no exercise is called %q; there are %s", word, strings.Join(known, ", "))
}

// plain is a name without what people write differently.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if r == ' ' || r == '-' || r == '_' || r == ',' {
			return -1
		}
		return r
	}, strings.ToLower(s))
}

// goal returns the person's goal for an exercise.
func (c *Config) goal(d *Definition) (g Goal, err error) {
	for word, v := range c.Goals {
		found, err := Find(c.Definitions, word)
		if err != nil {
			return g, fmt.Errorf("exercise targets: %w", err)
		}
		if found == d {
			g = v
		}
	}
	n := d.Count
	switch {
	case g.Range != 0 && (g.Range-n.Neutral)*(n.Target-n.Neutral) <= 0:
		return g, fmt.Errorf("exercise targets: %s: range %v is not beyond rest, which is %v %s", d.Name, g.Range, n.Neutral, n.unit())
	case g.Repetitions < 0 || g.Repetitions > 1000:
		return g, fmt.Errorf("exercise targets: %s: repetitions is %d, give 1 to 1000", d.Name, g.Repetitions)
	case g.TempoS != 0 && (g.TempoS < 0.3 || g.TempoS > 30):
		return g, fmt.Errorf("exercise targets: %s: tempo_s is %v, give 0.3 to 30", d.Name, g.TempoS)
	}
	return g, nil
}

// choose returns the definitions that are looked for.
func (c *Config) choose() (wanted []*Definition, err error) {
	if len(c.Exercises) == 0 {
		return c.Definitions, nil
	}
	for _, word := range c.Exercises {
		d, err := Find(c.Definitions, word)
		if err != nil {
			return nil, fmt.Errorf("exercises: %w", err)
		}
		if slices.Contains(wanted, d) {
			return nil, fmt.Errorf("exercises: %q is listed twice", word)
		}
		wanted = append(wanted, d)
	}
	return wanted, nil
}
