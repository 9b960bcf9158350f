package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"posefuse/audit"
)

// TestAuditCommand: the newest days, what others wrote without their escapes, and
// an error where lines are broken.
func TestAuditCommand(t *testing.T) {
	state := t.TempDir()
	dir := filepath.Join(state, audit.Folder)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	line := func(age time.Duration, rest string) string {
		return `{"time":"` + time.Now().Add(-age).UTC().Format(time.RFC3339) + `",` + rest + "}\n"
	}
	text := line(300*time.Hour, `"event":"started"`) + line(time.Hour, `"event":"refused","address":"10.0.0.9","what":"x\u001b[2J","count":7`)
	file := filepath.Join(dir, "access-20260101T000000.000000000Z.jsonl")
	run := func(c auditCmd) (string, error) {
		var out bytes.Buffer
		c.State = state
		err := c.Run(&out)
		return out.String(), err
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if said, err := run(auditCmd{Since: 24 * time.Hour}); err != nil || strings.Contains(said, "started") || strings.ContainsRune(said, 27) || !strings.Contains(said, "10.0.0.9  7") {
		t.Errorf("%v\n%s", err, said)
	}
	if said, err := run(auditCmd{stateFlags: stateFlags{JSON: true}}); err != nil || strings.Count(said, "\n") != 2 {
		t.Errorf("%v\n%s", err, said)
	}
	if err := os.WriteFile(file, []byte(text+"{\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if said, err := run(auditCmd{}); err == nil || !strings.Contains(said, "started") {
		t.Errorf("a broken line: %v\n%s", err, said)
	}
	state = filepath.Join(state, "none")
	if _, err := run(auditCmd{}); err == nil || !strings.Contains(err.Error(), "--state") {
		t.Errorf("no log: %v", err)
	}
}
