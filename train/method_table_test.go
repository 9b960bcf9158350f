package train

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"posefuse/balance"
)

// Every row is whole, its constants are of types that settings can hold, and
// their defaults are in range.
func TestMethodTable(t *testing.T) {
	names := map[string]bool{}
	for _, d := range Methods {
		if names[d.Name] || d.Name == "" || d.Label == "" || d.Doc == "" || d.Tuned.Means == "" || d.Generation < 1 || (d.Source == "") != (d.Name == Plain) {
			t.Errorf("the row of %q is not whole or there twice: %+v", d.Name, d)
		}
		names[d.Name] = true
		if m := d.New(MethodSettings{}); (m == nil) != (d.Name == Plain) || m != nil && m.Descriptor() != d {
			t.Errorf("%s: its constructor gives a method of another row", d.Name)
		}
	}
	keys := map[string]bool{}
	for _, c := range Methods.Constants() {
		if keys[c.Key] || c.Key == "" {
			t.Errorf("constant %q is there twice or has no key", c.Key)
		}
		keys[c.Key] = true
		switch c.Default.(type) {
		case float64, int, bool, string:
		default:
			t.Errorf("%s: a default of type %T", c.Key, c.Default)
		}
		if c.Option != "" && c.Option != strengthOption && c.Help == "" {
			t.Errorf("%s: the option %s has no help", c.Key, c.Option)
		}
	}
	if _, err := NewMethod("", MethodSettings{}); err != nil {
		t.Errorf("the defaults are out of range: %v", err)
	}
	if got, want := awcMethod.New(MethodSettings{}).Settings(), any(balance.BatchFisherAWC()); got != want {
		t.Errorf("AWC starts from %+v, want the paper's %+v", got, want)
	}
}

// A constant out of range is refused by its key, whatever the method.
func TestConstantsOutOfRange(t *testing.T) {
	for _, c := range Methods.Constants() {
		var bad []any
		switch c.Default.(type) {
		case float64:
			bad = []any{c.From - 1, math.NaN(), math.Inf(1)}
		case int:
			bad = []any{int(c.From) - 1}
		case string:
			bad = []any{"", "sideways"}
		}
		for _, v := range bad {
			var set MethodSettings
			set.Set(c, v)
			if _, err := NewMethod(Plain, set); err == nil || !strings.HasPrefix(err.Error(), fmt.Sprintf("%s ", c.Key)) {
				t.Errorf("%s = %v: got %v, want an error that begins with the key", c.Key, v, err)
			}
		}
	}
}

// What settings write they read again, and a copy does not change its original.
func TestMethodSettings(t *testing.T) {
	var set MethodSettings
	for _, c := range Methods.Constants() {
		copied, before := set, set.value(c)
		switch v := before.(type) {
		case float64:
			copied.Set(c, v+1)
		case int:
			copied.Set(c, v+1)
		case bool:
			copied.Set(c, !v)
		case string:
			copied.Set(c, c.Words[0])
		}
		if set.value(c) != before {
			t.Fatalf("%s: setting it in a copy changed the original", c.Key)
		}
		set = copied
	}
	b, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	var back MethodSettings
	if err = yaml.Unmarshal(b, &back); err != nil { // JSON is YAML
		t.Fatal(err)
	}
	if !reflect.DeepEqual(back, set) {
		t.Errorf("read back as %v, want %v", back.values, set.values)
	}
	if b, err = json.Marshal(MethodSettings{}); err != nil || len(b) < 200 {
		t.Errorf("settings at their defaults are written as %s (%v), want every first constant", b, err)
	}
}

func TestSettingsSayWhatIsWrong(t *testing.T) {
	for text, want := range map[string]string{
		"warmup: 1\nwramup: 2":               "line 2: field wramup not found",
		"awc:\n  windows: 2":                 "line 2: field awc.windows not found",
		"awc:\n  window: many\n  hlf: no":    "line 2: cannot unmarshal !!str `many` into int",
		"awc: 5":                             "line 1: cannot unmarshal",
		"agm_alpha: [1]":                     "line 1: cannot unmarshal !!seq into float64",
		"warmup: 1\nagm_alpha: 2\nwarmup: 3": "already defined at line 1",
	} {
		var set MethodSettings
		if err := yaml.Unmarshal([]byte(text), &set); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want an error that says %q", text, err, want)
		}
	}
	var set MethodSettings
	set.Set(AWCWindow, 7)
	set.Set(warmup, 7)
	if err := yaml.Unmarshal([]byte("warmup:\nawc: {half: false, <<: {per_sample: true}}"), &set); err != nil {
		t.Fatal(err)
	}
	if set.Int(AWCWindow) != 7 || set.Int(warmup) != 7 || set.Bool(awcHalf) || !set.Bool(AWCPerSample) {
		t.Errorf("keys that are not there changed: %v", set.values)
	}
}
