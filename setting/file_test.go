package setting_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"posefuse/setting"
)

func TestReadFile(t *testing.T) {
	dir := t.TempDir()
	small, large, fifo := filepath.Join(dir, "small"), filepath.Join(dir, "large"), filepath.Join(dir, "fifo")
	if err := errors.Join(os.WriteFile(small, []byte("1234"), 0o600), os.WriteFile(large, []byte("12345"), 0o600), syscall.Mkfifo(fifo, 0o600)); err != nil {
		t.Fatal(err)
	}
	if b, err := setting.ReadFile(small, 4); err != nil || string(b) != "1234" {
		t.Errorf("%q, %v", b, err)
	}
	if _, err := setting.ReadFile(large, 4); err == nil || !strings.Contains(err.Error(), large) {
		t.Errorf("too large: %v", err)
	}
	for _, path := range []string{fifo, dir, "/dev/zero", "/dev/null"} { // none may wait
		if _, err := setting.ReadFile(path, 4); !errors.Is(err, setting.ErrNotRegular) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", path, err)
		}
	}
	// The same through a file system, where a FIFO may only be looked at.
	fsys := os.DirFS(dir)
	if b, err := setting.ReadFS(fsys, "small", 4); err != nil || string(b) != "1234" {
		t.Errorf("%q, %v", b, err)
	}
	for name, want := range map[string]error{"large": nil, "fifo": setting.ErrNotRegular, ".": setting.ErrNotRegular, "none": fs.ErrNotExist} {
		if _, err := setting.ReadFS(fsys, name, 4); err == nil || want != nil && !errors.Is(err, want) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s through a file system: %v", name, err)
		}
	}
	if _, err := setting.ReadFile(filepath.Join(dir, "none"), 4); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
}
