// Package jsonfile writes JSON files that appear whole or not at all.
package jsonfile

import (
	"encoding/json"
	"fmt"

	"github.com/google/renameio/v2"
)

// Write replaces a file in one step, after its bytes are on the disk, so that a
// kill leaves the old or the new one. People read it: it is indented.
func Write(path string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("encode %s: %w", path, err)
	}
	if err := renameio.WriteFile(path, append(b, '\n'), 0o644); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
