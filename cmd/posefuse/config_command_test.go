package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"posefuse/configs"
	"posefuse/internal/testenv"
	"posefuse/pipeline"
)

// TestConfigMigrate: the new file means the same, has every key and what it
// means, and can be migrated again.
func TestConfigMigrate(t *testing.T) {
	dir := t.TempDir()
	migrate := func(text string) (string, error) {
		file := filepath.Join(dir, "old.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		err := configMigrateCmd{File: file}.Run(&out)
		return out.String(), err
	}
	clinic, err := os.ReadFile(filepath.Join(testenv.Root(), "configs", "clinic.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for name, old := range map[string]string{
		"empty": "", "defaults": string(configs.Default), "clinic": string(clinic),
		"some":         "room: ward-7 # mine\nsync: {hold_ms: 80}\nbus:\n  users:\n    - {name: a, password: \"x: #y\", role: viewer}\nexercise:\n  targets:\n    squat: {repetitions: 7}\n",
		"null and box": "person:\n  region: {min_m: [-1, 0, 0], max_m: [1, 2, 2]}\nextrinsics: {room_from_camera: null}\n",
		"strings":      "room: \"007\"\nlog: {level: debug}\nretrain: {at: \"03:30\"}\n",
	} {
		t.Run(name, func(t *testing.T) {
			want, err := pipeline.ParseConfig([]byte(old), nil)
			if err != nil {
				t.Fatal(err)
			}
			text, err := migrate(old)
			if err != nil {
				t.Fatal(err)
			}
			got, err := pipeline.ParseConfig([]byte(text), nil)
			if err != nil || cmp.Diff(want, got, cmpopts.EquateEmpty()) != "" {
				t.Errorf("it means something else (%v):\n%s", err, text)
			}
			if !strings.Contains(text, "# space of its files in state_dir/audit") || strings.Contains(text, "# mine") {
				t.Errorf("the comments are not those of this release:\n%s", text)
			}
			if again, err := migrate(text); err != nil || again != text {
				t.Errorf("migrated again it is another file (%v)", err)
			}
		})
	}
	for text, want := range map[string]string{"rooom: x\n": "rooom", "sync: {hold_ms: -1}\n": "sync.hold_ms", "a: [": "line 1"} {
		if said, err := migrate(text); err == nil || said != "" || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, printed %q", text, err, said)
		}
	}
}
