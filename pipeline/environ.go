package pipeline

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"posefuse/model/nn/kernel"
)

// envPrefix starts the name of every variable that overrides a key.
const envPrefix = "POSEFUSE_"

// Keys returns every key of the configuration as a dotted path, in order.
func Keys() []string {
	cfg := DefaultConfig()
	var keys []string
	walkKeys(reflect.ValueOf(&cfg).Elem(), "", func(path string, _ reflect.Value) { keys = append(keys, path) })
	return keys
}

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
	for i := range v.NumField() {
		name, opts, _ := strings.Cut(v.Type().Field(i).Tag.Get("yaml"), ",")
		sub := path
		if opts != "inline" {
			sub = strings.TrimPrefix(path+"."+name, ".")
		}
		walkKeys(v.Field(i), sub, f)
	}
}

// applyEnviron sets keys from POSEFUSE_* variables. A variable that names no
// key is an error, as an unknown key in the file is; kernel.EnvCPU is not one
// of ours, since it acts before any configuration is read.
func applyEnviron(cfg *Config, environ []string) error {
	values := map[string]string{}
	for _, kv := range environ {
		name, value, _ := strings.Cut(kv, "=")
		if strings.HasPrefix(name, envPrefix) && name != kernel.EnvCPU {
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
		err := checkNode([]byte(value), v.Type(), "")
		if err == nil {
			err = yaml.Unmarshal([]byte(value), fresh.Interface())
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s (environment %s): %q does not fit: %w", path, name, value, yamlError(err)))
			return
		}
		v.Set(fresh.Elem())
	})
	for _, name := range slices.Sorted(maps.Keys(values)) {
		errs = append(errs, fmt.Errorf("environment %s: no such key; the variable of bus.nats.listen is %s", name, EnvName("bus.nats.listen")))
	}
	return errors.Join(errs...)
}

// checkKeys reports keys that do not exist, with their full path and line;
// the decoder's own message has no path.
func checkKeys(doc []byte) error { return checkNode(doc, reflect.TypeFor[Config](), "") }

func checkNode(doc []byte, t reflect.Type, path string) error {
	var root yaml.Node
	if err := yaml.Unmarshal(doc, &root); err != nil {
		return yamlError(err)
	}
	if len(root.Content) == 0 {
		return nil
	}
	var errs []error
	unknownKeys(root.Content[0], t, path, &errs)
	return errors.Join(errs...)
}

func unknownKeys(n *yaml.Node, t reflect.Type, path string, errs *[]error) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	switch {
	case t.Kind() == reflect.Pointer:
		unknownKeys(n, t.Elem(), path, errs)
	case t.Kind() == reflect.Slice && n.Kind == yaml.SequenceNode:
		for i, e := range n.Content {
			unknownKeys(e, t.Elem(), fmt.Sprintf("%s[%d]", path, i), errs)
		}
	case t.Kind() == reflect.Struct && n.Kind == yaml.MappingNode:
		fields := map[string]reflect.Type{}
		yamlFields(t, fields)
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := n.Content[i]
			sub := strings.TrimPrefix(path+"."+key.Value, ".")
			ft, ok := fields[key.Value]
			if !ok {
				*errs = append(*errs, fmt.Errorf("line %d: %s: no such key%s", key.Line, sub, suggestion(key.Value, fields)))
				continue
			}
			unknownKeys(n.Content[i+1], ft, sub, errs)
		}
	case t.Kind() == reflect.Int && n.ShortTag() == "!!float":
		// The library would drop the fraction without a word.
		*errs = append(*errs, fmt.Errorf("line %d: %s: %s is no whole number", n.Line, path, n.Value))
	case n.Kind == yaml.ScalarNode && scalarNames[t.Kind()] != "" && n.Decode(reflect.New(t).Interface()) != nil:
		*errs = append(*errs, fmt.Errorf("%s: %q is no %s", strings.TrimSuffix(fmt.Sprintf("line %d: %s", n.Line, path), ": "), n.Value, scalarNames[t.Kind()]))
	case t.Kind() == reflect.Struct && n.Tag != "!!null":
		*errs = append(*errs, fmt.Errorf("line %d: %s: want keys below it, such as %s", n.Line, path, firstField(t)))
	}
}

// scalarNames says what a value of each kind is, for people.
var scalarNames = map[reflect.Kind]string{reflect.Int: "whole number", reflect.Float64: "number", reflect.Bool: "true or false", reflect.String: "text"}

func yamlFields(t reflect.Type, fields map[string]reflect.Type) {
	for i := range t.NumField() {
		name, opts, _ := strings.Cut(t.Field(i).Tag.Get("yaml"), ",")
		if opts == "inline" {
			yamlFields(t.Field(i).Type, fields)
			continue
		}
		fields[name] = t.Field(i).Type
	}
}

func firstField(t reflect.Type) string {
	fields := map[string]reflect.Type{}
	yamlFields(t, fields)
	return slices.Sorted(maps.Keys(fields))[0]
}

// suggestion names the keys that exist, the nearest one alone if it is near.
func suggestion(key string, fields map[string]reflect.Type) string {
	names := slices.Sorted(maps.Keys(fields))
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
