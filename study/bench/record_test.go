package bench

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"
	"time"
)

// TestRecord records a little and leaves nothing behind.
func TestRecord(t *testing.T) {
	dir := t.TempDir()
	var out bytes.Buffer
	if err := (Record{For: 150 * time.Millisecond, Points: 100, Dir: dir, JSON: true}).Run(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	var row struct {
		Messages uint64 `json:"messages"`
	}
	var rows []json.RawMessage
	text := out.Bytes()
	if json.Unmarshal(text, &rows) == nil && len(rows) == 1 {
		text = rows[0]
	}
	if err := json.Unmarshal(text, &row); err != nil || row.Messages == 0 {
		t.Errorf("%v: %s", err, out.String())
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("%v, left: %v", err, left)
	}
}
