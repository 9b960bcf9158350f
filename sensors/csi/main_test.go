package csi

import (
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// capturePath returns a file of ../shared/captures, found by walking up.
func capturePath(t testing.TB, folder, name string) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for d := dir; d != filepath.Dir(d); d = filepath.Dir(d) {
		p := filepath.Join(d, "shared", "captures", folder, name)
		if _, err := os.Stat(p); err == nil {
			return p
		}
	}
	t.Fatalf("capture %s/%s not found: no folder shared/captures beside or above %s", folder, name, dir)
	return ""
}

func capture(t testing.TB, folder, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(capturePath(t, folder, name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}
