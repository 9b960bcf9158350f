package model

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"unicode"
)

// openRegular opens a file of a checkpoint, which may come from elsewhere. It
// looks first, for opening a FIFO waits until somebody writes to it.
func openRegular(fsys fs.FS, name string) (fs.File, error) {
	info, err := fs.Stat(fsys, name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: not a regular file", name)
	}
	return fsys.Open(name)
}

// printable refuses a card with control characters in any text: printed, they
// would move a terminal's cursor or make rows of their own. Lines may end.
func printable(card []byte) error {
	d := json.NewDecoder(bytes.NewReader(card))
	for {
		token, err := d.Token()
		if err != nil {
			return nil //nolint:nilerr // the end; the card was decoded before
		}
		text, ok := token.(string)
		if !ok {
			continue
		}
		for _, r := range text {
			if r != '\n' && r != '\t' && (unicode.IsControl(r) || r == '\u202e') {
				return fmt.Errorf("%q holds the control character %U", text, r)
			}
		}
	}
}
