package audit

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
)

// maxLine bounds a line that is read, bytes.
const maxLine = 8 << 10

// Read returns the entries of a folder in the order of their times; broken are
// lines that are none, as a crash leaves them.
func Read(dir string) (entries []Entry, broken int, err error) {
	for _, name := range []string{"access", "changes"} {
		all, err := files(dir, name)
		if err != nil {
			return nil, 0, fmt.Errorf("audit log: %w", err)
		}
		for _, path := range all {
			some, bad, err := readFile(path)
			if err != nil {
				return nil, 0, fmt.Errorf("audit log: %w", err)
			}
			entries, broken = append(entries, some...), broken+bad
		}
	}
	slices.SortStableFunc(entries, func(a, b Entry) int { return a.Time.Compare(b.Time) })
	return entries, broken, nil
}

func readFile(path string) (entries []Entry, broken int, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close() //nolint:errcheck // only read
	return parse(f)
}

// parse reads lines, of which none is trusted.
func parse(r io.Reader) (entries []Entry, broken int, err error) {
	in := bufio.NewReaderSize(r, maxLine)
	for {
		line, readErr := in.ReadSlice('\n')
		long := errors.Is(readErr, bufio.ErrBufferFull)
		for errors.Is(readErr, bufio.ErrBufferFull) {
			_, readErr = in.ReadSlice('\n')
		}
		if line = bytes.TrimSpace(line); long || len(line) > 0 {
			var e Entry
			if long || json.Unmarshal(line, &e) != nil || e.Event == "" {
				broken++
			} else {
				entries = append(entries, e)
			}
		}
		if errors.Is(readErr, io.EOF) {
			return entries, broken, nil
		}
		if readErr != nil {
			return nil, 0, readErr
		}
	}
}
