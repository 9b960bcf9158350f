// Package history keeps the sets of a patient over months: a file of JSON lines for
// each pseudonym, only appended to, while somebody has said that the person agrees.
// No pose and no sample is in it.
package history

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"posefuse/message"
	"posefuse/recording/session"
)

// Folder is where histories lie in a daemon's state.
const Folder = "history"

// Schema is the name of a line's format.
const Schema = "posefuse.history.v1"

// ext ends the name of a history.
const ext = ".jsonl"

// maxFile bounds what is read of one history: some hundred thousand sets.
const maxFile = 256 << 20

// Entry is a line: one set.
type Entry struct {
	Schema  string                  `json:"schema"`
	Subject string                  `json:"subject"` // pseudonym
	Room    string                  `json:"room"`
	Begun   time.Time               `json:"begun"` // when the person's consent was noted, before the sets
	Kept    time.Time               `json:"kept"`
	Set     message.ExerciseSummary `json:"set"`
}

// ErrNotFound says that nothing is kept of a person.
var ErrNotFound = errors.New("nothing is kept of this person")

func pathOf(dir, subject string) (string, error) {
	if err := session.CheckSubject(subject); err != nil {
		return "", err
	}
	return filepath.Join(dir, subject+ext), nil
}

// Subjects returns the pseudonyms of whom something is kept, in order.
func Subjects(dir string) ([]string, error) {
	files, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("history: %w", err)
	}
	var list []string
	for _, f := range files {
		if name, ok := strings.CutSuffix(f.Name(), ext); ok && session.CheckSubject(name) == nil {
			list = append(list, name)
		}
	}
	return list, nil
}

// Read returns what is kept of a person, oldest first, and how many lines could not
// be read: one that a crash cut short, say.
func Read(dir, subject string) (entries []Entry, broken int, err error) {
	path, err := pathOf(dir, subject)
	if err != nil {
		return nil, 0, err
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, 0, fmt.Errorf("history of %s: %w", subject, ErrNotFound)
	case err != nil:
		return nil, 0, fmt.Errorf("history: %w", err)
	case info.Size() > maxFile:
		return nil, 0, fmt.Errorf("history %s: %d MiB, at most %d are read; shorten history.keep_days", path, info.Size()>>20, maxFile>>20)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, 0, fmt.Errorf("history: %w", err)
	}
	for line := range bytes.Lines(text) {
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		var e Entry
		if json.Unmarshal(line, &e) != nil || e.Schema != Schema || e.Subject != subject {
			broken++
			continue
		}
		entries = append(entries, e)
	}
	slices.SortStableFunc(entries, func(a, b Entry) int { return a.Kept.Compare(b.Kept) })
	return entries, broken, nil
}

// Delete deletes all that is kept of a person.
func Delete(dir, subject string) error {
	path, err := pathOf(dir, subject)
	if err != nil {
		return err
	}
	err = os.Remove(path)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("history of %s: %w", subject, ErrNotFound)
	}
	if err != nil {
		return fmt.Errorf("history: %w", err)
	}
	return syncDir(dir)
}

// Tidy drops sets older than keepDays, 0 being no limit, and returns how many.
func Tidy(dir string, keepDays int, now time.Time) (dropped int, err error) {
	if keepDays <= 0 {
		return 0, nil
	}
	subjects, err := Subjects(dir)
	for _, s := range subjects {
		n, terr := tidy(dir, s, now.AddDate(0, 0, -keepDays))
		dropped, err = dropped+n, errors.Join(err, terr)
	}
	return dropped, err
}

// tidy writes a history anew without what is older, in one step.
func tidy(dir, subject string, oldest time.Time) (int, error) {
	entries, _, err := Read(dir, subject)
	if err != nil {
		return 0, err
	}
	young := slices.DeleteFunc(slices.Clone(entries), func(e Entry) bool { return e.Kept.Before(oldest) })
	switch dropped := len(entries) - len(young); {
	case dropped == 0:
		return 0, nil
	case len(young) == 0:
		return dropped, Delete(dir, subject)
	default:
		var text []byte
		for _, e := range young {
			line, err := json.Marshal(e)
			if err != nil {
				return 0, fmt.Errorf("history: %w", err)
			}
			text = append(append(text, line...), '\n')
		}
		return dropped, replace(filepath.Join(dir, subject+ext), text)
	}
}

func replace(path string, text []byte) error {
	part := path + ".part"
	f, err := os.OpenFile(part, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("history: %w", err)
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(part, path)
	}
	if err != nil {
		return fmt.Errorf("history: %w", errors.Join(err, os.Remove(part)))
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("history: %w", err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("history: %w", err)
	}
	return nil
}

// appendTo appends a line to a person's history and has it on the disk when it
// returns. What a crash left of a line is ended first.
func appendTo(dir string, e *Entry) error {
	path, err := pathOf(dir, e.Subject)
	if err != nil {
		return err
	}
	line, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("history: %w", err)
	}
	if err = os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("history: %w", err)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("history: %w", err)
	}
	err = errors.Join(appendLine(f, line), f.Close())
	if err != nil {
		return fmt.Errorf("history: %w", err)
	}
	return nil
}

func appendLine(f *os.File, line []byte) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	end := info.Size()
	if end > 0 {
		var last [1]byte
		if _, err := f.ReadAt(last[:], end-1); err != nil {
			return err
		}
		if last[0] != '\n' {
			line = append([]byte{'\n'}, line...)
		}
	}
	if _, err := f.WriteAt(append(line, '\n'), end); err != nil {
		return errors.Join(err, f.Truncate(end)) // a full disk takes part of a line
	}
	return f.Sync()
}
