//go:build !linux

package model

import (
	"fmt"
	"io"
	"os"
)

// readWeights reads the file, size bytes from its start.
func readWeights(f *os.File, size int64) (*mapping, error) {
	b := make([]byte, size)
	if _, err := io.ReadFull(f, b); err != nil {
		return nil, fmt.Errorf("read %d bytes: %w", size, err)
	}
	return &mapping{data: b}, nil
}

func (m *mapping) populate() error { return nil }

func (m *mapping) release() {}

func (m *mapping) close() error {
	m.data = nil
	return nil
}
