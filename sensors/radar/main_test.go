package radar

import (
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// capture reads a file of ../shared/captures/radar-ti.
func capture(t testing.TB, name string) []byte {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for d := dir; d != filepath.Dir(d); d = filepath.Dir(d) {
		b, err := os.ReadFile(filepath.Join(d, "shared", "captures", "radar-ti", name))
		if err == nil {
			return b
		}
	}
	t.Fatalf("capture %s not found: no folder shared/captures/radar-ti beside or above %s", name, dir)
	return nil
}
