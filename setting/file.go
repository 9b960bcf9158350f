package setting

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
)

// ErrNotRegular is wrapped by errors about a path that is a device, a FIFO, a
// socket or a folder where a file is wanted.
var ErrNotRegular = errors.New("not a regular file")

// MaxFile is what a file beside the configuration has at most, bytes: a sensor's
// description, a certificate, a password.
const MaxFile = 4 << 20

// ReadFile returns the bytes of a file that a setting names. Unlike os.ReadFile
// it never waits, as opening a FIFO does, and never reads more than most bytes.
func ReadFile(path string, most int64) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: %w", path, ErrNotRegular)
	}
	b, err := io.ReadAll(io.LimitReader(f, most+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > most {
		return nil, fmt.Errorf("%s: has more than %d bytes; is it the right file?", path, most)
	}
	return b, nil
}
