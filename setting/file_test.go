package setting_test

import (
	"errors"
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
	if _, err := setting.ReadFile(filepath.Join(dir, "none"), 4); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
}
