package main

import (
	"errors"
	"log/slog"
	"maps"
	"testing"
	"time"

	"github.com/coreos/go-systemd/v22/journal"
	"pgregory.net/rapid"
)

// sent is what a handler gave to the journal.
type sent struct {
	text   string
	p      journal.Priority
	fields map[string]string
}

func journalLog(level slog.Level) (*slog.Logger, *[]sent) {
	var all []sent
	v := new(slog.LevelVar)
	v.Set(level)
	return slog.New(&journalHandler{level: v, send: func(text string, p journal.Priority, fields map[string]string) error {
		all = append(all, sent{text, p, fields})
		return nil
	}}), &all
}

func TestJournalHandler(t *testing.T) {
	log, all := journalLog(slog.LevelInfo)
	sensor := log.With("part", "sensors").WithGroup("lidar").With("from", "10.0.0.2")
	for _, c := range []struct {
		say    func()
		text   string
		p      journal.Priority
		fields map[string]string
	}{
		{func() { log.Info("started", "room", "room1") }, "started room=room1", journal.PriInfo, map[string]string{"PF_ROOM": "room1"}},
		{func() { log.Error("lost", "error", errors.New("no route"), "n", 3) }, `lost error="no route" n=3`, journal.PriErr,
			map[string]string{"PF_ERROR": "no route", "PF_N": "3"}},
		{func() { sensor.Warn("silent", slog.Group("at", "age", 2*time.Second)) }, "silent part=sensors lidar.from=10.0.0.2 lidar.at.age=2s", journal.PriWarning,
			map[string]string{"PF_PART": "sensors", "PF_LIDAR_FROM": "10.0.0.2", "PF_LIDAR_AT_AGE": "2s"}},
		{func() { log.Warn("a\nb", "x", "line\nPRIORITY=0") }, "a\nb x=\"line\\nPRIORITY=0\"", journal.PriWarning, map[string]string{"PF_X": "line\nPRIORITY=0"}},
	} {
		*all = nil
		c.say()
		c.fields["SYSLOG_IDENTIFIER"] = "posefuse"
		if len(*all) != 1 || (*all)[0].text != c.text || (*all)[0].p != c.p || !maps.Equal((*all)[0].fields, c.fields) {
			t.Errorf("%q: sent %+v, want %v %v", c.text, *all, c.p, c.fields)
		}
	}
	*all = nil
	if log.Debug("not asked for"); len(*all) != 0 {
		t.Error("a level that is not asked for is sent")
	}
}

// TestJournalFieldNames: whatever the key, the journal takes its name.
func TestJournalFieldNames(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := fieldName(rapid.String().Draw(t, "key"))
		if len(name) > 64 || name[0] == '_' {
			t.Fatal(name)
		}
		for _, r := range name {
			if r != '_' && (r < 'A' || r > 'Z') && (r < '0' || r > '9') {
				t.Fatalf("%q in %q", r, name)
			}
		}
	})
}
