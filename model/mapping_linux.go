package model

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// readWeights maps the file, size bytes from its start, read-only into
// memory. The pages belong to the system's file cache: several processes share
// them, and under pressure they are dropped and read again, not swapped. A
// file replaced by renaming keeps its old content as long as it is mapped.
func readWeights(f *os.File, size int64) (*mapping, error) {
	b, err := unix.Mmap(int(f.Fd()), 0, int(size), unix.PROT_READ, unix.MAP_PRIVATE)
	if err != nil {
		return nil, fmt.Errorf("map %d bytes: %w", size, err)
	}
	_ = unix.Madvise(b, unix.MADV_WILLNEED) // only advice: it is read once from start to end
	return &mapping{data: b, mapped: true}, nil
}

// populate brings the pages in, before goroutines read them whose faults nobody
// can catch.
func (m *mapping) populate() error {
	if !m.mapped {
		return nil
	}
	if err := unix.Madvise(m.data, unix.MADV_POPULATE_READ); errors.Is(err, unix.EFAULT) || errors.Is(err, unix.EHWPOISON) {
		return fmt.Errorf("unreadable: %w: the file was cut short after it was loaded, or its disk fails; replace files by renaming only", err)
	}
	return nil // older kernels do not know the advice
}

// release returns the pages to the system's file cache until they are read
// again.
func (m *mapping) release() {
	if m.mapped {
		_ = unix.Madvise(m.data, unix.MADV_DONTNEED) // only advice
	}
}

func (m *mapping) close() error {
	b := m.data
	m.data = nil
	if !m.mapped || b == nil {
		return nil
	}
	if err := unix.Munmap(b); err != nil {
		return fmt.Errorf("unmap weights: %w", err)
	}
	return nil
}
