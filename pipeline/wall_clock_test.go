package pipeline

import (
	"strings"
	"testing"
	"time"
)

// fixedClock is a room clock at one moment.
type fixedClock struct {
	ns   int64
	wall time.Time
}

func (c fixedClock) NowNS() int64           { return c.ns }
func (c fixedClock) WallAt(int64) time.Time { return c.wall }

func TestWallClockHealth(t *testing.T) {
	present := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	var w wallClock
	synced := true
	check := func(c fixedClock, code, text string) {
		t.Helper()
		h := w.health(c, synced)
		if h.Part != "clock" || h.Code != code || !strings.Contains(h.Text, text) || (h.Severity == severityOK) != (code == "ok") {
			t.Errorf("%+v, want %s, %s", h, code, text)
		}
	}
	check(fixedClock{1e9, present}, "ok", "not set")
	check(fixedClock{1e9, time.Unix(60, 0).UTC()}, "unset", "1970")
	w.note(-90*time.Second, 5e9)
	check(fixedClock{8e9, present}, "set", "last by -90.000 s 3 s ago")
	check(fixedClock{60e9, present}, "ok", "set 1 times")
	synced = false
	check(fixedClock{60e9, present}, "unsynchronised", "start NTP")
	check(fixedClock{8e9, present}, "set", "start NTP")
	check(fixedClock{60e9, time.Unix(60, 0).UTC()}, "unset", "1970")
}
