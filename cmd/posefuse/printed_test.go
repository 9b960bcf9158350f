package main

import (
	"io"
	"os"
	"testing"
)

// printed returns what f prints on standard output.
func printed(t *testing.T, f func() error) []byte {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	old := os.Stdout
	os.Stdout = w
	done := make(chan []byte)
	go func() {
		b, _ := io.ReadAll(r)
		done <- b
	}()
	err = f()
	os.Stdout = old
	_ = w.Close()
	b := <-done
	if err != nil {
		t.Fatal(err)
	}
	return b
}
