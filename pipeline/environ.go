package pipeline

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"posefuse/model"
)

// envPrefix starts the name of every variable that overrides a key.
const envPrefix = "POSEFUSE_"

// EnvName returns the variable that overrides a key: bus.nats.listen is
// POSEFUSE_BUS_NATS_LISTEN.
func EnvName(key string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
}

// walkKeys calls f for every leaf. Lists and the sensor poses are leaves:
// their variables hold YAML.
func walkKeys(v reflect.Value, path string, f func(string, reflect.Value)) {
	if v.Kind() != reflect.Struct {
		f(path, v)
		return
	}
	for _, k := range keysOf(v) {
		walkKeys(k.value, strings.TrimPrefix(path+"."+k.name, "."), f)
	}
}

// configKey is one key of a block and what it holds.
type configKey struct {
	name  string
	value reflect.Value
}

// keysOf returns the keys of a block, a struct. Those of a sensor include a
// block per driver that has settings.
func keysOf(v reflect.Value) []configKey {
	var keys []configKey
	for i := range v.NumField() {
		name, opts, _ := strings.Cut(v.Type().Field(i).Tag.Get("yaml"), ",")
		switch {
		case opts == "inline":
			keys = append(keys, keysOf(v.Field(i))...)
		case name != "-":
			keys = append(keys, configKey{name, v.Field(i)})
		}
	}
	if c, ok := v.Interface().(SensorConfig); ok {
		if c.Common != nil {
			keys = append(keys, keysOf(reflect.ValueOf(c.Common).Elem())...)
		}
		for _, d := range c.Drivers {
			if block := reflect.ValueOf(d.Settings).Elem(); block.NumField() > 0 {
				keys = append(keys, configKey{d.Name, block})
			}
		}
	}
	return keys
}

// applyEnviron sets keys from POSEFUSE_* variables. A variable that names no
// key is an error, as an unknown key in the file is; model.EnvCPU is not one
// of ours, since it acts before any configuration is read.
func applyEnviron(cfg *Config, environ []string) error {
	values := map[string]string{}
	for _, kv := range environ {
		name, value, _ := strings.Cut(kv, "=")
		if strings.HasPrefix(name, envPrefix) && name != model.EnvCPU {
			values[name] = value
		}
	}
	var errs []error
	walkKeys(reflect.ValueOf(cfg).Elem(), "", func(path string, v reflect.Value) {
		name := EnvName(path)
		value, ok := values[name]
		if !ok {
			return
		}
		delete(values, name)
		if v.Kind() == reflect.String {
			v.SetString(value)
			return
		}
		fresh := reflect.New(v.Type())
		if err := fromVariable(value, v, path, fresh); err != nil {
			said := fmt.Sprintf("%q does not fit", value)
			if secretKey(path) {
				said = "the value does not fit"
			}
			errs = append(errs, fmt.Errorf("%s (environment %s): %s: %w", path, name, said, err))
			return
		}
		v.Set(fresh.Elem())
	})
	for _, name := range slices.Sorted(maps.Keys(values)) {
		errs = append(errs, fmt.Errorf("environment %s: no such key; the variable of bus.nats.listen is %s", name, EnvName("bus.nats.listen")))
	}
	return errors.Join(errs...)
}

// fromVariable decodes the YAML of a variable, one document, into a fresh value.
func fromVariable(value string, v reflect.Value, path string, fresh reflect.Value) error {
	secret := secretKey(path)
	if err := checkText([]byte(value)); err != nil {
		if secret { // what stands before the byte may be a part of a password
			return errors.New("a byte that YAML cannot hold; take it out")
		}
		return err
	}
	if err := checkNode([]byte(value), v, "", secret); err != nil {
		return err
	}
	dec := yaml.NewDecoder(strings.NewReader(value))
	var one, more yaml.Node
	if err := dec.Decode(&one); err != nil && !errors.Is(err, io.EOF) {
		return yamlError(err)
	}
	if err := dec.Decode(&more); !errors.Is(err, io.EOF) {
		return errors.New("more than one YAML document")
	}
	if null := one.IsZero() || one.Content[0].ShortTag() == "!!null"; null && scalarNames[v.Kind()] != "" {
		return fmt.Errorf("empty; give %s, or unset the variable", withArticle(scalarNames[v.Kind()]))
	}
	if err := one.Decode(fresh.Interface()); err != nil && !one.IsZero() {
		return yamlError(err)
	}
	return nil
}

// checkKeys reports keys that do not exist, with their full path and line;
// the decoder's own message has no path.
func checkKeys(doc []byte) error {
	cfg := DefaultConfig()
	return checkNode(doc, reflect.ValueOf(&cfg).Elem(), "", false)
}

// checkNode checks a document against a value that it will be decoded into.
func checkNode(doc []byte, v reflect.Value, path string, secret bool) error {
	var root yaml.Node
	if err := yaml.Unmarshal(doc, &root); err != nil {
		if secret {
			return yamlError(err)
		}
		return syntaxError(doc, err)
	}
	if len(root.Content) == 0 {
		return nil
	}
	var errs []error
	unknownKeys(root.Content[0], v, path, secret, &errs)
	return errors.Join(errs...)
}

// plainKey is what a mistyped key looks like.
var plainKey = regexp.MustCompile(`^[a-z_]+$`)

func unknownKeys(n *yaml.Node, v reflect.Value, path string, secret bool, errs *[]error) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	secret = secret || secretKey(path)
	wrong := func(n *yaml.Node, path, format string, args ...any) {
		text := fmt.Sprintf(format, args...)
		if path != "" {
			text = path + ": " + text
		}
		*errs = append(*errs, fmt.Errorf("line %d: %s", n.Line, text))
	}
	t := v.Type()
	if t.Kind() == reflect.Pointer {
		unknownKeys(n, reflect.Zero(t.Elem()), path, secret, errs)
		return
	}
	if why := wrongForm(n, t, secret); why != "" {
		wrong(n, path, "%s", why)
		return
	}
	switch {
	case (t.Kind() == reflect.Slice || t.Kind() == reflect.Array) && n.Kind == yaml.SequenceNode:
		for i, e := range n.Content {
			item := fmt.Sprintf("%s[%d]", path, i)
			if e.ShortTag() == "!!null" {
				wrong(e, item, "empty")
				continue
			}
			unknownKeys(e, reflect.Zero(t.Elem()), item, secret, errs)
		}
	case t.Kind() == reflect.Struct && n.Kind == yaml.MappingNode:
		known := map[string]reflect.Value{}
		for _, k := range keysOf(v) {
			known[k.name] = k.value
		}
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := n.Content[i]
			sub := strings.TrimPrefix(path+"."+key.Value, ".")
			field, ok := known[key.Value]
			if !ok {
				if secret && !plainKey.MatchString(key.Value) { // password:abc without the blank is one word
					sub = path
				}
				wrong(key, sub, "no such key%s", suggestion(key.Value, slices.Sorted(maps.Keys(known))))
				continue
			}
			unknownKeys(n.Content[i+1], field, sub, secret, errs)
		}
	case t.Kind() == reflect.Struct && n.Tag != "!!null":
		wrong(n, path, "want keys below it, such as %s", firstKey(v))
	}
}

// scalarNames says what a value of each kind is, for people.
var scalarNames = map[reflect.Kind]string{reflect.Int: "whole number", reflect.Float64: "number", reflect.Bool: "true or false", reflect.String: "text"}

// firstKey returns the first key of a block in the alphabet.
func firstKey(v reflect.Value) string {
	first := ""
	for _, k := range keysOf(v) {
		if first == "" || k.name < first {
			first = k.name
		}
	}
	return first
}

// suggestion names the keys that exist, the nearest one alone if it is near.
func suggestion(key string, names []string) string {
	best, at := "", 3
	for _, n := range names {
		if d := distance(key, n); d < at {
			best, at = n, d
		}
	}
	if best != "" {
		return "; did you mean " + best + "?"
	}
	return "; known here: " + strings.Join(names, ", ")
}

// distance is the edit distance of two short words.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
