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
	type row struct {
		Messages uint64  `json:"messages"`
		RawMB    float64 `json:"raw_mb_per_s"`
	}
	var rows []row
	if err := json.Unmarshal(out.Bytes(), &rows); err != nil {
		t.Fatal(err)
	}
	if len(rows) != 3 || rows[0].Messages == 0 || rows[0].RawMB != 0 || rows[1].RawMB == 0 || rows[2].RawMB == 0 || rows[2].Messages <= max(rows[0].Messages, rows[1].Messages) {
		t.Errorf("%+v", rows)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("%v, left: %v", err, left)
	}
}
