package world

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v3"

	"posefuse/setting"
)

// decode sets what a node says of v and leaves the rest. Keys that v has not
// are refused with their path, which starts with that of the node.
func decode(n *yaml.Node, v any, path string) error {
	if n.Kind == 0 || n.Tag == "!!null" {
		return nil
	}
	var p setting.Problems
	unknownKeys(n, reflect.TypeOf(v).Elem(), path, &p)
	if len(p) > 0 {
		return errors.Join(p...)
	}
	if err := n.Decode(v); err != nil {
		if path != "" {
			return fmt.Errorf("%s: %w", path, yamlError(err))
		}
		return yamlError(err)
	}
	return nil
}

var nodeType = reflect.TypeFor[yaml.Node]()

// unknownKeys adds the keys of a node that t has no field for.
func unknownKeys(n *yaml.Node, t reflect.Type, path string, p *setting.Problems) {
	switch {
	case t == nodeType:
		return // decoded later, over what it changes
	case n.Kind == yaml.AliasNode:
		unknownKeys(n.Alias, t, path, p)
	case n.Kind == yaml.DocumentNode:
		unknownKeys(n.Content[0], t, path, p)
	case t.Kind() == reflect.Slice && n.Kind == yaml.SequenceNode:
		for i, e := range n.Content {
			unknownKeys(e, t.Elem(), fmt.Sprintf("%s[%d]", path, i), p)
		}
	case t.Kind() == reflect.Struct && n.Kind == yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := n.Content[i]
			sub := strings.TrimPrefix(path+"."+key.Value, ".")
			field, known := fieldOf(t, key.Value)
			if key.Value == "<<" {
				field, known = t, true // a merge: the keys of another mapping
				sub = path
			}
			if !known {
				p.Add(sub, "unknown key (line %d): use %s", key.Line, strings.Join(keysOf(t), ", "))
				continue
			}
			unknownKeys(n.Content[i+1], field, sub, p)
		}
	}
}

func fieldOf(t reflect.Type, key string) (reflect.Type, bool) {
	for i := range t.NumField() {
		if f := t.Field(i); f.Tag.Get("yaml") == key {
			return f.Type, true
		}
	}
	return nil, false
}

func keysOf(t reflect.Type) (out []string) {
	for i := range t.NumField() {
		out = append(out, t.Field(i).Tag.Get("yaml"))
	}
	return out
}

// yamlError drops the library's prefix, keeps its line numbers.
func yamlError(err error) error {
	if t, ok := errors.AsType[*yaml.TypeError](err); ok {
		return errors.New(strings.Join(t.Errors, "; "))
	}
	return errors.New(strings.TrimPrefix(err.Error(), "yaml: "))
}
