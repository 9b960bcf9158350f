package message_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"posefuse/internal/schematest"
	"posefuse/message"
)

func TestEveryMessageHasItsSchema(t *testing.T) {
	seen := map[string]bool{}
	for name, m := range schematest.Examples() {
		seen[name+".json"] = true
		payload, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if err := schematest.Validate(t, name, payload); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	files, err := os.ReadDir(schematest.Dir())
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if filepath.Ext(f.Name()) == ".json" && !seen[f.Name()] {
			t.Errorf("%s describes no message", f.Name())
		}
	}
}

// TestSchemasAreStrict takes every field of every message away or adds one.
func TestSchemasAreStrict(t *testing.T) {
	for name, m := range schematest.Examples() {
		payload, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		change := func(what string, f func(m map[string]any)) {
			var m map[string]any
			if err := json.Unmarshal(payload, &m); err != nil {
				t.Fatal(err)
			}
			f(m)
			b, err := json.Marshal(m)
			if err != nil {
				t.Fatal(err)
			}
			if schematest.Validate(t, name, b) == nil {
				t.Errorf("%s: accepted %s", name, what)
			}
		}
		change("an unknown field", func(m map[string]any) { m["extra"] = 1 })
		typ := reflect.TypeOf(m).Elem()
		for i := range typ.NumField() {
			field, opts, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
			if opts != "omitempty" {
				change("a message without "+field, func(m map[string]any) { delete(m, field) })
			}
			change("a wrong type of "+field, func(m map[string]any) { m[field] = []any{true} })
		}
	}
}

// TestModalitySchemaIsStrict changes what a pose says of one modality.
func TestModalitySchemaIsStrict(t *testing.T) {
	for name, change := range map[string]func(map[string]any){
		"negative influence": func(m map[string]any) { m["influence_mm"] = -1 },
		"null influence":     func(m map[string]any) { m["influence_mm"] = nil },
		"unknown field":      func(m map[string]any) { m["influence"] = 1 },
		"no state":           func(m map[string]any) { delete(m, "state") },
	} {
		for _, key := range []string{"R", "L", "M", "W"} {
			payload, err := json.Marshal(schematest.Examples()[message.PoseSchema])
			if err != nil {
				t.Fatal(err)
			}
			var m map[string]any
			if err = json.Unmarshal(payload, &m); err != nil {
				t.Fatal(err)
			}
			change(m["modalities"].(map[string]any)[key].(map[string]any))
			if payload, err = json.Marshal(m); err != nil {
				t.Fatal(err)
			}
			if schematest.Validate(t, message.PoseSchema, payload) == nil {
				t.Errorf("%s of %s accepted", name, key)
			}
		}
	}
}
