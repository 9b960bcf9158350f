package train

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// MethodSettings are the constants of all methods; each reads its own. The zero
// value has all at their defaults: the sources' and, where model.md 4.6 leaves
// a choice, its recommendation. A copy is independent of its original.
type MethodSettings struct {
	values map[*Constant]any // never changed in place
}

// value returns the constant's value.
func (set MethodSettings) value(c *Constant) any {
	if v, ok := set.values[c]; ok {
		return v
	}
	return c.Default
}

// Float returns the value of a constant that is a float64, and the others
// those of theirs.
func (set MethodSettings) Float(c *Constant) float64 { return set.value(c).(float64) }

// Int returns the value of an int.
func (set MethodSettings) Int(c *Constant) int { return set.value(c).(int) }

// Bool returns the value of a bool.
func (set MethodSettings) Bool(c *Constant) bool { return set.value(c).(bool) }

// Word returns the value of a string.
func (set MethodSettings) Word(c *Constant) string { return set.value(c).(string) }

// Set gives a constant a value of its type.
func (set *MethodSettings) Set(c *Constant, v any) {
	if got, want := fmt.Sprintf("%T", v), fmt.Sprintf("%T", c.Default); got != want {
		panic(fmt.Sprintf("constant %s: it is a %s, not a %s", c.Key, want, got))
	}
	set.values = maps.Clone(set.values)
	if set.values == nil {
		set.values = map[*Constant]any{}
	}
	set.values[c] = v
}

// ReadBy returns the settings with the constants that the method does not read
// at their defaults, so that they do not part trainings that are the same. Newer
// constants at their defaults are left out, see alwaysWritten.
func (set MethodSettings) ReadBy(d *MethodDescriptor) MethodSettings {
	var out MethodSettings
	for _, c := range d.Constants {
		if _, given := set.values[c]; given || slices.Contains(alwaysWritten, c) {
			out.Set(c, set.value(c))
		}
	}
	return out
}

// alwaysWritten are the constants of the first methods. They are in the JSON of
// all settings, in this order: cells of experiments are named by a hash of it.
// A newer constant is there only where it was set, so that it does not rename
// cells of methods that know nothing of it. This list does not grow.
var alwaysWritten = []*Constant{
	AWCAlphaSuperior, AWCAlphaInferior, AWCWindow, awcFisherBatches, AWCPerSample, awcHalf, awcSmoothing,
	ogmgeAlpha, agmAlpha, resampleAlpha, warmup, modulateEpochs, blendEvery, blendTrial, infoRegBeta,
}

// MarshalJSON writes the constants under their keys.
func (set MethodSettings) MarshalJSON() ([]byte, error) {
	list := slices.Clone(alwaysWritten)
	for _, c := range slices.SortedFunc(maps.Keys(set.values), func(a, b *Constant) int { return cmp.Compare(a.Key, b.Key) }) {
		if !slices.Contains(list, c) {
			list = append(list, c)
		}
	}
	var order []string // of the outer object's names
	inside := map[string]string{}
	grouped := map[string]bool{}
	for _, c := range list {
		b, err := json.Marshal(set.value(c))
		if err != nil {
			return nil, fmt.Errorf("constant %s: %w", c.Key, err)
		}
		outer, name, group := strings.Cut(c.Key, ".")
		if _, known := inside[outer]; !known {
			order = append(order, outer)
		} else {
			inside[outer] += ","
		}
		if grouped[outer] = group; group {
			inside[outer] += strconv.Quote(name) + ":"
		}
		inside[outer] += string(b)
	}
	for i, name := range order {
		text := inside[name]
		if grouped[name] {
			text = "{" + text + "}"
		}
		order[i] = strconv.Quote(name) + ":" + text
	}
	return []byte("{" + strings.Join(order, ",") + "}"), nil
}

// UnmarshalYAML sets the constants whose keys are there and refuses keys that
// are of none.
func (set *MethodSettings) UnmarshalYAML(n *yaml.Node) error {
	var wrong yaml.TypeError
	if err := set.read(n, "", &wrong); err != nil {
		return err
	}
	if len(wrong.Errors) > 0 {
		return &wrong
	}
	return nil
}

// read takes the keys of a group, or with an empty one of the whole.
func (set *MethodSettings) read(n *yaml.Node, group string, wrong *yaml.TypeError) error {
	var keys map[string]yaml.Node
	if err := collect(n.Decode(&keys), wrong); err != nil {
		return err
	}
	constants := Methods.Constants()
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		value, path := keys[key], group+key
		at := slices.IndexFunc(constants, func(c *Constant) bool { return c.Key == path })
		isGroup := slices.ContainsFunc(constants, func(c *Constant) bool { return strings.HasPrefix(c.Key, path+".") })
		switch {
		case at < 0 && !isGroup:
			wrong.Errors = append(wrong.Errors, fmt.Sprintf("line %d: field %s not found in type train.MethodSettings", value.Line, path))
		case value.ShortTag() == "!!null": // as if the key were not there
		case isGroup:
			if err := set.read(&value, path+".", wrong); err != nil {
				return err
			}
		default:
			v, err := constants[at].decode(&value)
			if err = collect(err, wrong); err != nil {
				return err
			}
			set.Set(constants[at], v)
		}
	}
	return nil
}

// collect keeps errors about values of the wrong type, so that all are told at
// once, and returns others.
func collect(err error, wrong *yaml.TypeError) error {
	var te *yaml.TypeError
	if errors.As(err, &te) {
		wrong.Errors = append(wrong.Errors, te.Errors...)
		return nil
	}
	return err
}
