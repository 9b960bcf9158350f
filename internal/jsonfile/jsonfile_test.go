package jsonfile_test

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"posefuse/internal/jsonfile"
)

func TestWrite(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.json")
	for _, c := range []struct {
		value any
		want  string // in the file
		error string
	}{
		{map[string]int{"a": 1}, "{\n  \"a\": 1\n}\n", ""},
		{[]string{}, "[]\n", ""},
		{math.NaN(), "[]\n", "encode " + path}, // the file stays
	} {
		err := jsonfile.Write(path, c.value)
		if c.error == "" && err != nil || c.error != "" && (err == nil || !strings.Contains(err.Error(), c.error)) {
			t.Errorf("%v: error %v, want %q", c.value, err, c.error)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != c.want {
			t.Errorf("%v: the file holds %q (%v), want %q", c.value, got, err, c.want)
		}
	}
	if err := jsonfile.Write(filepath.Join(dir, "none", "a.json"), 1); err == nil || !strings.Contains(err.Error(), filepath.Join("none", "a.json")) {
		t.Errorf("a folder that is missing: %v", err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("%d files in the folder (%v), want 1", len(left), err)
	}
}
