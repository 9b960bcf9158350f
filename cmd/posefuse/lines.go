package main

import (
	"encoding/json"
	"fmt"
	"os"
)

// lineFile is a file of JSON lines. It keeps the first error until close.
type lineFile struct {
	f   *os.File
	enc *json.Encoder
	err error
}

func createLines(path string) (*lineFile, error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, err // names the file and what is wrong
	}
	return &lineFile{f: f, enc: json.NewEncoder(f)}, nil
}

// write appends v as one line.
func (l *lineFile) write(v any) {
	if l.err != nil {
		return
	}
	if err := l.enc.Encode(v); err != nil {
		l.err = fmt.Errorf("write %s: %w", l.f.Name(), err)
	}
}

// close returns the first error of the file. It may be called on nil, and a
// second time.
func (l *lineFile) close() error {
	if l == nil || l.f == nil {
		return nil
	}
	if err := l.f.Close(); err != nil && l.err == nil {
		l.err = fmt.Errorf("write %s: %w", l.f.Name(), err)
	}
	l.f = nil
	return l.err
}
