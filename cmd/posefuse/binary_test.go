package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// binaryFolder holds the program once a test has asked for it.
var binaryFolder string

var buildBinary = sync.OnceValues(func() (string, error) {
	var err error
	if binaryFolder, err = os.MkdirTemp("", "posefuse-e2e-"); err != nil {
		return "", err
	}
	path := filepath.Join(binaryFolder, "posefuse")
	if out, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput(); err != nil {
		return "", fmt.Errorf("build posefuse: %w\n%s", err, out)
	}
	return path, nil
})

// binary returns the program, which is built for the first test that runs it.
func binary(t testing.TB) string {
	t.Helper()
	path, err := buildBinary()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func TestMain(m *testing.M) {
	code := m.Run()
	if binaryFolder != "" {
		_ = os.RemoveAll(binaryFolder) // a leftover below /tmp harms nobody
	}
	os.Exit(code)
}
