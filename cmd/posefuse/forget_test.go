package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"posefuse/history"
	"posefuse/pipeline"
	"posefuse/recording/session"
)

// TestForget deletes what is stored of one person and nothing else; without
// --yes nothing at all.
func TestForget(t *testing.T) {
	state := t.TempDir()
	keep := func(id, subject string) string {
		dir := filepath.Join(state, session.Folder, id)
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		stopped := time.Now()
		text, err := json.Marshal(session.Info{Schema: session.Schema, ID: id, Room: "room1", State: session.Complete, Subject: subject, Started: stopped, Stopped: &stopped})
		if err != nil {
			t.Fatal(err)
		}
		if err = os.WriteFile(filepath.Join(dir, "session.json"), text, 0o600); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	first, second, other := keep("20260101T000000Z", "P017"), keep("20260102T000000Z", "P017"), keep("20260103T000000Z", "P018")
	sets := filepath.Join(state, history.Folder, "P017.jsonl")
	for _, name := range []string{sets, filepath.Join(state, history.Folder, "P018.jsonl")} {
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	store := filepath.Join(state, "nats")
	if err := os.Mkdir(store, 0o700); err != nil {
		t.Fatal(err)
	}
	there := func(path string) bool {
		_, err := os.Stat(path)
		return err == nil
	}
	forget := func(code string, yes bool) (string, error) {
		var out bytes.Buffer
		err := forgetCmd{Code: code, Yes: yes, stateFlags: stateFlags{State: state}}.Run(&out)
		return out.String(), err
	}
	if said, err := forget("P017", false); err != nil || strings.Count(said, "would delete session") != 2 || !strings.Contains(said, "history of sets") || !there(first) || !there(store) || !there(sets) {
		t.Errorf("without --yes: %v\n%s", err, said)
	}
	release, err := pipeline.LockState(state) // a daemon runs
	if err != nil {
		t.Fatal(err)
	}
	said, err := forget("P017", true)
	if err != nil || there(first) || there(second) || there(sets) || !there(other) || !there(store) || !strings.Contains(said, "the daemon runs") {
		t.Errorf("beside a daemon: %v\n%s", err, said)
	}
	release()
	if said, err = forget("P017", true); err != nil || there(store) || !there(other) || !strings.Contains(said, "nothing is stored of P017") {
		t.Errorf("again, without it: %v\n%s", err, said)
	}
	broken := keep("20260104T000000Z", "P018")
	if err = os.WriteFile(filepath.Join(broken, "session.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err = forget("P018", true); err == nil || there(other) || !there(broken) {
		t.Errorf("beside a session that cannot be read: %v", err)
	}
	if _, err = forget("../x", true); err == nil {
		t.Error("a path is a code")
	}
}
