package mmfi

import (
	"os"
	"path/filepath"
	"testing"
)

// sharedFile finds a file of the shared test data, which lies beside the
// repository.
func sharedFile(t testing.TB, name string) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		path := filepath.Join(dir, "..", "shared", filepath.FromSlash(name))
		if _, err := os.Stat(path); err == nil {
			return path
		}
		if dir == filepath.Dir(dir) {
			t.Fatalf("shared data %s not found in any folder above the test: it must lie beside the repository", name)
		}
		dir = filepath.Dir(dir)
	}
}

func readShared(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(sharedFile(t, name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}
