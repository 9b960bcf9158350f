package pipeline

import "reflect"

// Keys returns every key of the configuration as a dotted path, in order.
func Keys() []string {
	cfg := DefaultConfig()
	var keys []string
	walkKeys(reflect.ValueOf(&cfg).Elem(), "", func(path string, _ reflect.Value) { keys = append(keys, path) })
	return keys
}
