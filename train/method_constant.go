package train

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// strengthOption is the option of the methods' strengths that have none of
// their own.
const strengthOption = "balance-alpha"

// Constant is a number, a switch or a word that methods read.
type Constant struct {
	// Key is its name in an experiment's settings; what is before a dot is the
	// name of a group.
	Key string
	// Option is its name among a command's options. Constants with the same
	// Option are the same idea in several methods. Without one only experiments
	// set it.
	Option string
	Help   string // of the option
	// Default is a float64, an int, a bool or a string, and so is every value.
	Default any
	// From and Below bound numbers; 0 is no upper bound.
	From, Below float64
	// Want says what numbers are good, "a number from 0" and the like if empty.
	Want string
	// Words are what a string may be.
	Words []string
}

// check reports a value out of range.
func (c *Constant) check(v any) error {
	good := func(x float64) bool { return x >= c.From && x < cmp.Or(c.Below, math.Inf(1)) }
	want := cmp.Or(c.Want, fmt.Sprintf("a number from %g", c.From))
	switch v := v.(type) {
	case float64:
		if !good(v) {
			return fmt.Errorf("%s %g: want %s", c.Key, v, want)
		}
	case int:
		if !good(float64(v)) {
			return fmt.Errorf("%s %d: want %s", c.Key, v, want)
		}
	case string:
		if !slices.Contains(c.Words, v) {
			last := len(c.Words) - 1
			return fmt.Errorf("%s %q: use %s or %s", c.Key, v, strings.Join(c.Words[:last], ", "), c.Words[last])
		}
	}
	return nil
}

// decode reads a value of the constant's type.
func (c *Constant) decode(n *yaml.Node) (any, error) {
	var err error
	switch v := c.Default.(type) {
	case float64:
		err = n.Decode(&v)
		return v, err
	case int:
		err = n.Decode(&v)
		return v, err
	case bool:
		err = n.Decode(&v)
		return v, err
	case string:
		err = n.Decode(&v)
		return v, err
	}
	panic(fmt.Sprintf("constant %s: default of type %T", c.Key, c.Default)) // a test ranges over the table
}
