package setting

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// ErrNotRegular is wrapped by errors about a path that is a device, a FIFO, a
// socket or a folder where a file is wanted.
var ErrNotRegular = errors.New("not a regular file")

// MaxFile is what a file beside the configuration has at most, bytes: a sensor's
// description, a certificate, a password.
const MaxFile = 4 << 20

// Open opens a file that a person or a setting names. Unlike os.Open it never
// waits, as opening a FIFO does, and refuses what is no file.
func Open(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil {
		err = regular(info, path)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// ReadFile returns the bytes of a file, at most most. It opens it as Open does.
func ReadFile(path string, most int64) ([]byte, error) {
	f, err := Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read
	return readAll(f, path, most)
}

// ReadFS is ReadFile for a file of fsys. It looks before it opens, since opening is
// fsys's own.
func ReadFS(fsys fs.FS, name string, most int64) ([]byte, error) {
	info, err := fs.Stat(fsys, name)
	if err == nil {
		err = regular(info, name)
	}
	if err != nil {
		return nil, err
	}
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read
	return readAll(f, name, most)
}

func regular(info fs.FileInfo, path string) error {
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s: %w", path, ErrNotRegular)
	}
	return nil
}

func readAll(f io.Reader, path string, most int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(f, most+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > most {
		return nil, fmt.Errorf("%s: has more than %d bytes; is it the right file?", path, most)
	}
	return b, nil
}
