package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

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
	for request, want := range map[string]string{`{}`: `{"subjects":["P9"],"keeping":"P9"}`, `{"subject":"P9"}`: `"id":"set-08"`, `{"subject":"P10"}`: `{}`} {
		if reply, err := nc.Request("posefuse.room1.ctl.history.get", []byte(request), testenv.Patience); err != nil || !strings.Contains(string(reply.Data), want) {
			t.Errorf("%s: %v, %v", request, err, reply)
		}
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

// TestHistoryAnswerIsBounded: years of sets fit into an answer of the bus, the newest
// of them.
func TestHistoryAnswerIsBounded(t *testing.T) {
	for name, c := range map[string]struct{ sets, advice, want int }{"few": {3, 1, 3}, "many": {mostSets + 50, 1, mostSets}, "long ones": {40, 60_000, 13}} {
		dir := t.TempDir()
		var text []byte
		for i := range c.sets {
			line, err := json.Marshal(history.Entry{Schema: history.Schema, Subject: "P1", Kept: time.Unix(int64(i), 0), Set: message.ExerciseSummary{ID: strconv.Itoa(i), Faults: []message.Fault{{Text: strings.Repeat("x", c.advice)}}}})
			if err != nil {
				t.Fatal(err)
			}
			text = append(append(text, line...), '\n')
		}
		if err := os.WriteFile(filepath.Join(dir, "P1.jsonl"), text, 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := (&roomHistory{dir: dir}).get(historyRequest{Subject: "P1"})
		if err != nil {
			t.Fatal(err)
		}
		reply, err := json.Marshal(r)
		if err != nil || len(reply) > 1<<20 || r.LeftOut+len(r.Sets) != c.sets || len(r.Sets) > mostSets || len(r.Sets) < c.want-1 {
			t.Errorf("%s: %v, %d bytes, %d sets, %d left out", name, err, len(reply), len(r.Sets), r.LeftOut)
		}
		if last := string(r.Sets[len(r.Sets)-1]); !strings.Contains(last, `"id":"`+strconv.Itoa(c.sets-1)+`"`) {
			t.Errorf("%s: the last one is %.200s", name, last)
		}
	}
}
