package main

import (
	"bytes"
	"debug/buildinfo"
	"encoding/json"
	"testing"
)

// TestSBOMListsEveryModule compares the list with what the linker wrote into
// the program.
func TestSBOMListsEveryModule(t *testing.T) {
	var out bytes.Buffer
	if err := (sbomCmd{Program: binary(t)}).Run(&out); err != nil {
		t.Fatal(err)
	}
	var b bom
	if err := json.Unmarshal(out.Bytes(), &b); err != nil {
		t.Fatal(err)
	}
	listed := map[string]bomComponent{}
	for _, c := range b.Components {
		if _, twice := listed[c.Ref]; twice {
			t.Errorf("%s is listed twice", c.Ref)
		}
		listed[c.Ref] = c
	}
	info, err := buildinfo.ReadFile(binary(t))
	if err != nil || len(info.Deps) < 20 {
		t.Fatalf("%d modules (%v)", len(info.Deps), err)
	}
	for _, m := range info.Deps {
		c, ok := listed[m.Path+"@"+m.Version]
		if !ok || c.PURL != "pkg:golang/"+m.Path+"@"+m.Version || len(c.Hashes) != 1 || len(c.Hashes[0].Content) != 64 {
			t.Errorf("module %s %s: %+v", m.Path, m.Version, c)
		}
	}
	for name, kind := range map[string]string{"three": "library", "uplot": "library", "std": "library", "movenet-singlepose-lightning": "machine-learning-model"} {
		found := false
		for _, c := range b.Components {
			found = found || c.Name == name && c.Type == kind && c.Version != ""
		}
		if !found {
			t.Errorf("%s %s is not listed", kind, name)
		}
	}
}
