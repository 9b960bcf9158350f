package audit

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// A file of a ring is begun anew after an eighth of the days that entries are kept.
// So there is one that is written to, eight behind it, and one that is partly
// too old.
const (
	parts    = 8
	maxFiles = parts + 2
)

// ring is a chain of files NAME-TIME.jsonl, of which the newest is written to and
// the oldest are deleted.
type ring struct {
	dir, name string
	most      int64         // bytes of all files
	keep      time.Duration // 0: for ever

	file  *os.File // nil: none is open
	size  int64
	began time.Time
}

// stamp is the time in a file's name, to the nanosecond so that names differ and
// sort.
const stamp = "20060102T150405.000000000Z"

// append adds whole lines and waits for the disk.
func (r *ring) append(lines []byte, now time.Time) error {
	if len(lines) == 0 {
		return nil
	}
	if r.file == nil {
		if err := r.open(now); err != nil {
			return err
		}
	}
	if r.size > 0 && (r.size+int64(len(lines)) > r.most/maxFiles || r.keep > 0 && now.Sub(r.began) > r.keep/parts) {
		if err := r.next(now); err != nil {
			return err
		}
	}
	n, err := r.file.Write(lines)
	r.size += int64(n)
	if err == nil {
		err = r.file.Sync()
	}
	if err != nil { // a new file, once there is space again: this one may end in half a line
		return errors.Join(fmt.Errorf("audit log: %w", err), r.close())
	}
	return nil
}

// open goes on with the newest file, or begins one. Half a line, which a crash
// leaves, is ended.
func (r *ring) open(now time.Time) error {
	files, err := files(r.dir, r.name)
	if err != nil {
		return fmt.Errorf("audit log: %w", err)
	}
	if len(files) == 0 {
		return r.next(now)
	}
	newest := files[len(files)-1]
	f, err := os.OpenFile(newest, os.O_RDWR|os.O_APPEND, 0)
	if err != nil {
		return fmt.Errorf("audit log: %w", err)
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s: not a regular file", newest)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("audit log: %w", err), f.Close())
	}
	r.file, r.size, r.began = f, info.Size(), beginning(newest, now)
	var last [1]byte
	if r.size > 0 {
		if _, err = f.ReadAt(last[:], r.size-1); err == nil && last[0] != '\n' {
			_, err = f.WriteString("\n")
			r.size++
		}
	}
	if err != nil {
		return errors.Join(fmt.Errorf("audit log: %w", err), r.close())
	}
	return nil
}

// next begins a new file and deletes those that are too many or too old.
func (r *ring) next(now time.Time) error {
	if err := r.close(); err != nil {
		return err
	}
	path := filepath.Join(r.dir, r.name+"-"+now.UTC().Format(stamp)+".jsonl")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("audit log: %w", err)
	}
	r.file, r.size, r.began = f, 0, now
	return r.forget(now)
}

// tend begins a new file where the newest has grown old, and deletes what is too
// old.
func (r *ring) tend(now time.Time) error {
	if r.file != nil && r.size > 0 && r.keep > 0 && now.Sub(r.began) > r.keep/parts {
		return r.next(now)
	}
	return r.forget(now)
}

// forget deletes the oldest files. One is too old when the one after it, which
// began when its last entry was written, is.
func (r *ring) forget(now time.Time) error {
	all, err := files(r.dir, r.name)
	if err != nil {
		return fmt.Errorf("audit log: %w", err)
	}
	for len(all) > 1 && (len(all) > maxFiles || r.keep > 0 && now.Sub(beginning(all[1], now)) > r.keep) {
		if err = os.Remove(all[0]); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("audit log: %w", err)
		}
		all = all[1:]
	}
	return nil
}

func (r *ring) close() error {
	if r.file == nil {
		return nil
	}
	f := r.file
	r.file = nil
	if err := f.Close(); err != nil {
		return fmt.Errorf("audit log: %w", err)
	}
	return nil
}

// files returns the files of a ring, the oldest first.
func files(dir, name string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var all []string
	for _, e := range entries {
		if _, err := time.Parse(name+"-"+stamp+".jsonl", e.Name()); err == nil && e.Type().IsRegular() {
			all = append(all, filepath.Join(dir, e.Name()))
		}
	}
	slices.SortFunc(all, cmp.Compare)
	return all, nil
}

// beginning is when a file was begun, by its name.
func beginning(path string, otherwise time.Time) time.Time {
	_, text, _ := strings.Cut(filepath.Base(path), "-")
	if t, err := time.Parse(stamp+".jsonl", text); err == nil {
		return t
	}
	return otherwise
}
