package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// memory measures the training's peak in a fresh process of each.
func (p *peers) memory(ctx context.Context, row *peerRow, letters string, batch int, task string) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("measure memory: %w", err)
	}
	out, err := exec.CommandContext(ctx, self, "bench", "train", "--size", "paper", "--modalities", letters, "--batch", strconv.Itoa(batch),
		"--threads", strconv.Itoa(p.Threads), "--runs", "1", "--json").Output()
	if err != nil {
		return fmt.Errorf("measure memory: %w\n%s", err, stderrOf(err))
	}
	var ours []trainRow
	if err = json.Unmarshal(out, &ours); err != nil || len(ours) != 1 {
		return fmt.Errorf("measure memory: %d rows: %w", len(ours), err)
	}
	row.OursMS.Bytes = ours[0].PeakBytes
	q, ok := row.Peers[peerTorch]
	if !ok {
		return nil
	}
	mode, _, _ := strings.Cut(q.Mode, ",")
	out, err = p.command(ctx, "time.py", "--model", filepath.Join(p.dir, "paper"), "--threads", strconv.Itoa(p.Threads), "--tasks", task, "--modes", mode, "--runs", "1", "--json").Output()
	if err != nil {
		return fmt.Errorf("measure PyTorch's memory: %w\n%s", err, stderrOf(err))
	}
	var theirs struct {
		Rows []struct {
			Bytes int64 `json:"peak_bytes"`
		} `json:"rows"`
	}
	if err = json.Unmarshal(out, &theirs); err != nil || len(theirs.Rows) != 1 {
		return fmt.Errorf("measure PyTorch's memory: %d rows: %w", len(theirs.Rows), err)
	}
	q.Bytes = theirs.Rows[0].Bytes
	row.Peers[peerTorch] = q
	return nil
}
