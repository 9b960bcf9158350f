package pipeline

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"posefuse/model"
)

func TestTrialDecides(t *testing.T) {
	broken := errors.New("no pose")
	const period = 100 * time.Millisecond
	for _, c := range []struct {
		name       string
		slowBefore bool
		fails      func(tick int) bool
		slow       func(tick int) bool
		before     time.Duration // that the model before would take
		ticks      int           // after which it is decided
		reason     string        // part of it; "" for a pass
	}{
		{name: "well", ticks: trialTicks},
		{name: "errors from the start", fails: func(int) bool { return true }, ticks: maxTrialFails, reason: "3 of its first 3 ticks gave no pose: no pose"},
		{name: "errors now and then", fails: func(i int) bool { return i%50 == 0 }, ticks: 150, reason: "3 of its first 150"},
		{name: "two errors", fails: func(i int) bool { return i < 3 }, ticks: trialTicks},
		{name: "slow", slow: func(int) bool { return true }, ticks: paceTicks, reason: "took longer"},
		{name: "slow at first", slow: func(i int) bool { return i <= paceTicks/2 }, ticks: trialTicks},
		{name: "slow later", slow: func(i int) bool { return i > 100 }, ticks: 100 + paceTicks/2 + 1, reason: "took longer"},
		{name: "every other tick slow", slow: func(i int) bool { return i%2 == 0 }, ticks: trialTicks},
		{name: "slow as the machine", before: 2 * period, slow: func(int) bool { return true }, ticks: trialTicks},
		{name: "slow as the one before", slowBefore: true, slow: func(int) bool { return true }, ticks: trialTicks},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tr := newTrial(nil)
				tr.engine, tr.slowBefore = testEngine(t, 0), c.slowBefore
				tr.fallback = testEngine(t, c.before)
				ticks := 0
				for decided := false; !decided; {
					ticks++
					var err error
					if c.fails != nil && c.fails(ticks) {
						err = broken
					}
					took := period / 2
					if c.slow != nil && c.slow(ticks) {
						took = 2 * period
					}
					decided = tr.note(err, took, period)
				}
				if ticks != c.ticks || !strings.Contains(tr.reason, c.reason) || (c.reason == "") != (tr.reason == "") {
					t.Errorf("decided after %d ticks: %q, want %d: %q", ticks, tr.reason, c.ticks, c.reason)
				}
			})
		})
	}
}

// testEngine is a model whose inference takes so long.
func testEngine(t *testing.T, takes time.Duration) *engine {
	t.Helper()
	m := &slowModel{fakeModel: newFakeModel("m")}
	e, err := newEngine(m, false)
	if err != nil {
		t.Fatal(err)
	}
	m.takes = takes
	return e
}

type slowModel struct {
	*fakeModel
	takes time.Duration
}

func (m *slowModel) Infer(in *model.Input, out *model.Output) error {
	time.Sleep(m.takes)
	return m.fakeModel.Infer(in, out)
}

func TestPaceCountsTheNewest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const period = 10
		ticks := rapid.SliceOfN(rapid.IntRange(0, 2*period), paceTicks, 4*paceTicks).Draw(t, "took")
		var p pace
		for _, took := range ticks {
			p.note(time.Duration(took), period)
		}
		newest := slices.Sorted(slices.Values(ticks[len(ticks)-paceTicks:]))
		n := 0
		for _, took := range newest {
			if took > period {
				n++
			}
		}
		if p.slow() != (2*n > paceTicks) || int(p.median()) != newest[paceTicks/2] {
			t.Errorf("slow %v, median %d; %v", p.slow(), p.median(), newest)
		}
	})
}
