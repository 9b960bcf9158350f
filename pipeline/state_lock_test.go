package pipeline

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"posefuse/setting"
)

func TestStateIsLocked(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	release, err := LockState(dir)
	if err != nil {
		t.Fatal(err)
	}
	_, err = LockState(dir)
	if p, ok := errors.AsType[*setting.Problem](err); !ok || p.Key != "state_dir" || !strings.Contains(err.Error(), fmt.Sprintf("process %d", os.Getpid())) {
		t.Errorf("a second holder: %v", err)
	}
	release()
	if release, err = LockState(dir); err != nil {
		t.Errorf("after it was given back: %v", err)
	} else {
		release()
	}
	file := filepath.Join(t.TempDir(), "file")
	if err = os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err = LockState(file); err == nil || !strings.HasPrefix(err.Error(), "state_dir: ") {
		t.Errorf("a file: %v", err)
	}
}
