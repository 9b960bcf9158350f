package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"posefuse/history"
	"posefuse/internal/testenv"
	"posefuse/message"
)

// historyOf goes the way of a patient's sets in a running daemon: refused without
// consent, kept, listed, exported, deleted.
func historyOf(t *testing.T, r *room, ask []string, state string) {
	t.Helper()
	if text, code := exits(t, append([]string{"history", "begin", "--subject", "P9"}, ask...)...); code != 1 || !strings.Contains(text, "consent") {
		t.Errorf("without consent: exit code %d, %s", code, text)
	}
	if text, code := exits(t, append([]string{"history", "begin", "--subject", "../P9", "--consent"}, ask...)...); code != 1 || !strings.Contains(text, "pseudonym") {
		t.Errorf("a path for a pseudonym: exit code %d, %s", code, text)
	}
	nc, err := nats.Connect("nats://" + r.nats)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	for _, day := range []string{"01", "08"} {
		posefuse(t, append([]string{"history", "begin", "--subject", "P9", "--consent"}, ask...)...)
		set, err := json.Marshal(message.ExerciseSummary{
			Schema: message.ExerciseSummarySchema, Room: "room1", ID: "set-" + day, Exercise: "A12", Name: "squat", Start: "2026-11-" + day + "T10:00:00Z", End: "2026-11-" + day + "T10:00:30Z",
			Repetitions: 8, RangeUnit: "deg", RangeDeg: message.MedianBest{Median: 90, Best: 95}, Faults: []message.Fault{},
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := nc.Publish("posefuse.room1.exercise.summary", set); err != nil {
			t.Fatal(err)
		}
		testenv.Wait(t, "the set of day "+day, func() bool {
			entries, _, err := history.Read(filepath.Join(state, history.Folder), "P9")
			return err == nil && len(entries) > 0 && entries[len(entries)-1].Set.ID == "set-"+day
		})
	}
	posefuse(t, append([]string{"history", "end"}, ask...)...)
	where := []string{"--state", state}
	if text := posefuse(t, append([]string{"history", "list"}, where...)...); !strings.Contains(text, "P9") || !strings.Contains(text, "2 sets") {
		t.Error(text)
	}
	for format, want := range map[string]string{"report": "<polyline", "sets": "set-08,A12,squat", "fhir": `"resourceType": "Bundle"`} {
		to := filepath.Join(t.TempDir(), format)
		posefuse(t, append([]string{"history", "export", "P9", "--format", format, "--to", to}, where...)...)
		if text, err := os.ReadFile(to); err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%s: %v, %.200s", format, err, text)
		}
	}
	if text := posefuse(t, append([]string{"history", "delete", "P9"}, where...)...); !strings.Contains(text, "would delete 2 sets") {
		t.Error(text)
	}
	posefuse(t, append([]string{"history", "delete", "P9", "--yes"}, where...)...)
	if text, code := exits(t, append([]string{"history", "export", "P9"}, where...)...); code != 1 || !strings.Contains(text, "nothing is kept") {
		t.Errorf("after it was deleted: exit code %d, %s", code, text)
	}
}
