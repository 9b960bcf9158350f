package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"posefuse/configs"
	"posefuse/pipeline"
)

func TestBackupAndRestore(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	config := "room: room1\nstate_dir: " + at("state") + "\n"
	files := map[string]string{"registry.json": "{}", "models/edge/1/card.json": "card", "nats/x/y.blk": strings.Repeat("b", 100_000)}
	err := os.WriteFile(at("room.yaml"), []byte(config), 0o600)
	for name, text := range files {
		err = errors.Join(err, os.MkdirAll(filepath.Dir(at("state/"+name)), 0o700), os.WriteFile(at("state/"+name), []byte(text), 0o640))
	}
	if err = errors.Join(err, os.Symlink("/etc/passwd", at("state/link"))); err != nil {
		t.Fatal(err)
	}
	backup := backupCmd{Config: at("room.yaml"), Out: at("room.tar.gz")}
	release, err := pipeline.LockState(at("state"))
	if err != nil {
		t.Fatal(err)
	}
	if err = backup.Run(); err == nil || !strings.Contains(err.Error(), "in use by another posefuse") {
		t.Errorf("of a running daemon: %v", err)
	}
	release()
	if err = backup.Run(); err != nil {
		t.Fatal(err)
	}
	if err = backup.Run(); !errors.Is(err, os.ErrExist) {
		t.Errorf("over an older one: %v", err)
	}
	if info, statErr := os.Stat(backup.Out); statErr != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the archive: %v, %v", info, statErr)
	}
	restore := restoreCmd{Archive: backup.Out, State: at("new"), Config: at("new.yaml")}
	if err = restore.Run(); err != nil {
		t.Fatal(err)
	}
	files["../new.yaml"] = config
	for name, text := range files {
		if b, readErr := os.ReadFile(filepath.Join(restore.State, name)); readErr != nil || string(b) != text {
			t.Errorf("%s: %d bytes, %v", name, len(b), readErr)
		}
	}
	for _, name := range []string{"lock", "link"} {
		if _, err = os.Lstat(filepath.Join(restore.State, name)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s came along: %v", name, err)
		}
	}
	if err = restore.Run(); err == nil || !strings.Contains(err.Error(), "is not empty") {
		t.Errorf("over a state: %v", err)
	}
}

func TestRestoreRefuses(t *testing.T) {
	dir := t.TempDir()
	archive := func(names ...string) []byte {
		var b bytes.Buffer
		zip := gzip.NewWriter(&b)
		w := tar.NewWriter(zip)
		for _, name := range names {
			if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: 1}); err != nil {
				t.Fatal(err)
			}
			if _, err := w.Write([]byte("x")); err != nil {
				t.Fatal(err)
			}
		}
		if err := errors.Join(w.Close(), zip.Close()); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	good := archive("state/a")
	for what, b := range map[string][]byte{
		"not packed": []byte("state"), "empty": archive(), "cut": good[:len(good)/2], "elsewhere": archive("a"),
		"up": archive("state/../../escaped"), "absolute": archive("state//etc/escaped"), "twice": archive("state/a", "state/a"),
	} {
		path := filepath.Join(dir, what)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		err := restoreCmd{Archive: path, State: filepath.Join(dir, what+" state", "below")}.Run()
		if err == nil && what != "absolute" || err != nil && !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for _, name := range []string{filepath.Join(dir, "up state", "escaped"), filepath.Join(dir, "escaped"), "/etc/escaped"} {
		if _, err := os.Stat(name); err == nil {
			t.Errorf("%s was written", name)
		}
	}
}

func TestConfigPrintsTheDefaults(t *testing.T) {
	var out bytes.Buffer
	if err := (configPrintCmd{}).Run(&out); err != nil || !bytes.Equal(out.Bytes(), configs.Default) {
		t.Errorf("%d bytes, %v", out.Len(), err)
	}
	if _, err := pipeline.ParseConfig(out.Bytes(), nil); err != nil {
		t.Error(err)
	}
	out.Reset()
	if err := (versionCmd{JSON: true}).Run(&out); err != nil || !strings.Contains(out.String(), `"go":"go1`) {
		t.Errorf("%s, %v", &out, err)
	}
}
