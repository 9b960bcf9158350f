package session

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Retention is the rule by which sessions are deleted; 0 is no limit. The oldest
// go first; one that is being recorded, and one that waits to be recovered, never.
type Retention struct {
	Days  int   // after its beginning
	Bytes int64 // of all sessions together
}

// deletedPrefix marks a session's folder whose deletion has begun.
const deletedPrefix = ".deleted-"

// Tidy deletes what the rule says, and the rest of deletions that were broken off.
// It returns the names of the sessions deleted.
func Tidy(root string, keep Retention, now time.Time) (deleted []string, err error) {
	leftovers, _ := filepath.Glob(filepath.Join(root, deletedPrefix+"*")) // the pattern is well-formed
	for _, dir := range leftovers {
		err = errors.Join(err, os.RemoveAll(dir))
	}
	list, lerr := List(root)
	if lerr != nil {
		return nil, errors.Join(err, lerr)
	}
	live := Live(root)
	var total int64
	for _, e := range list {
		total += e.Info.Bytes()
	}
	for _, e := range list {
		i := &e.Info
		if e.Err != nil || i.State == Recording || i.ID == live {
			continue
		}
		old := keep.Days > 0 && now.Sub(i.Started) > time.Duration(keep.Days)*24*time.Hour
		if !old && (keep.Bytes == 0 || total <= keep.Bytes) {
			continue
		}
		if derr := remove(e.Dir); derr != nil {
			err = errors.Join(err, derr)
			continue
		}
		total -= i.Bytes()
		deleted = append(deleted, i.ID)
	}
	return deleted, err
}

// Delete deletes a session. One that is being recorded is refused.
func Delete(dir string) error {
	if err := refuseLive(dir); err != nil {
		return err
	}
	return remove(dir)
}

// remove makes a session disappear at once, then deletes its files. It deletes only
// what a session's folder holds.
func remove(dir string) error {
	if _, err := os.Stat(filepath.Join(dir, infoFile)); err != nil {
		names, serr := segmentFiles(dir)
		if serr != nil || len(names) == 0 {
			return fmt.Errorf("%s: %w: neither %s nor segments are in it", dir, ErrNotFound, infoFile)
		}
	}
	gone := filepath.Join(filepath.Dir(dir), deletedPrefix+strings.TrimPrefix(filepath.Base(dir), "."))
	if err := os.Rename(dir, gone); err != nil {
		return fmt.Errorf("delete session: %w", err)
	}
	if err := os.RemoveAll(gone); err != nil {
		return fmt.Errorf("delete session: %w", err)
	}
	return nil
}
