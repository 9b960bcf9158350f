package main

import (
	"path/filepath"
	"slices"
	"testing"

	"posefuse/internal/modeltest"
	"posefuse/model"
	"posefuse/model/registry"
)

// TestRetrain retrains a small model that serves on a recording that simulate
// wrote: it becomes a version with its figures and its parent, and serves if the
// gate says so.
func TestRetrain(t *testing.T) {
	dir := t.TempDir()
	cfg := modeltest.Small()
	cfg.Modalities = "M"
	net, err := model.New(cfg, 1)
	if err != nil {
		t.Fatal(err)
	}
	card, err := model.SaveCheckpoint(filepath.Join(dir, "small"), net, model.Card{Name: "small", Version: "1", Window: model.Causal})
	if err != nil {
		t.Fatal(err)
	}
	state, room := filepath.Join(dir, "state"), filepath.Join(dir, "room")
	posefuse(t, "simulate", "--out", room, "--subjects", "7", "--activities", "12", "--frames", "60")
	posefuse(t, "models", "add", filepath.Join(dir, "small"), "--state", state)
	posefuse(t, "models", "promote", "small/1", "--state", state)
	r := decodeJSON[retrainResult](t, posefuse(t, "retrain", "--labelled", room, "--state", state, "--old-clips", "1", "--old-judge", "1",
		"--epochs", "2", "--batch", "8", "--stride", "4", "--old-stride", "4", "--gentle=false", "--cpu", "8", "--lr", "0.01", "--limit", "99", "--json"))
	want := registry.Rejected
	if r.Gate.Passed {
		want = registry.Promoted
	}
	if r.Model.Name != "small" || r.State != want || r.Epochs != 2 || len(r.Gate.Figures) != 4 {
		t.Errorf("%+v", r)
	}
	x := decodeJSON[registry.Index](t, posefuse(t, "models", "list", "--state", state, "--json"))
	e := x.Entries[len(x.Entries)-1]
	if e.ID != r.Model || e.State != want || e.Parent != card.SHA256 || e.Gate == nil || e.Gate.Against != "small/1" || (x.Serving == e.ID.String()) != r.Gate.Passed {
		t.Errorf("the registry says %+v of %+v", e, x.Serving)
	}
	if left, err := filepath.Glob(filepath.Join(state, "retrain", "*")); err != nil || !slices.Equal(left, nil) {
		t.Errorf("left: %v (%v)", left, err)
	}
}
