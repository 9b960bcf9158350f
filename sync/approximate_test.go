package timesync

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"posefuse/sensors"
	"posefuse/sensors/modality"
)

// reference is the specification of ApproximateTime without age penalty, by
// brute force over all sets: from what is left of every stream, the pivot is
// the newest first sample; of all sets that hold a sample not newer than the
// pivot, the one of least spread wins, the oldest of equals.
func reference(streams [][]int64) (sets [][]int64) {
	from := make([]int, len(streams))
	for {
		var pivot int64
		for i, s := range streams {
			if from[i] == len(s) {
				return sets
			}
			pivot = max(pivot, s[from[i]])
		}
		var best []int
		var bestSpread, bestStart int64
		idx := slices.Clone(from)
		for {
			lo, hi := streams[0][idx[0]], streams[0][idx[0]]
			for i := range streams {
				lo, hi = min(lo, streams[i][idx[i]]), max(hi, streams[i][idx[i]])
			}
			if lo <= pivot && (best == nil || hi-lo < bestSpread || hi-lo == bestSpread && lo < bestStart) {
				best, bestSpread, bestStart = slices.Clone(idx), hi-lo, lo
			}
			k := 0
			for ; k < len(idx); k++ {
				if idx[k]++; idx[k] < len(streams[k]) {
					break
				}
				idx[k] = from[k]
			}
			if k == len(idx) {
				break
			}
		}
		set := make([]int64, len(best))
		for i := range best {
			set[i] = streams[i][best[i]]
			from[i] = best[i] + 1
		}
		sets = append(sets, set)
	}
}

func pushInOrder(a *Approximate, streams [][]int64, rng *rand.Rand) {
	at := make([]int, len(streams))
	left := 0
	for _, s := range streams {
		left += len(s)
	}
	for left > 0 {
		i := rng.IntN(len(streams))
		if at[i] == len(streams[i]) {
			continue
		}
		a.Push(&sensors.Sample{Modality: modality.Kind(i), CaptureNS: streams[i][at[i]]})
		at[i]++
		left--
	}
}

func newRecorder(t interface{ Fatal(...any) }, n int, penalty float64) (*Approximate, *[][]int64) {
	var sets [][]int64
	mods := []modality.Kind{modality.Camera, modality.LiDAR, modality.Radar, modality.CSI}[:n]
	a, err := NewApproximate(ApproximateConfig{Modalities: mods, AgePenalty: penalty, Queue: 1000}, func(set []*sensors.Sample) {
		times := make([]int64, len(set))
		for i, s := range set {
			times[i] = s.CaptureNS
		}
		sets = append(sets, times)
	})
	if err != nil {
		t.Fatal(err)
	}
	return a, &sets
}

func drawStreams(t *rapid.T) [][]int64 {
	streams := make([][]int64, rapid.IntRange(1, 4).Draw(t, "sensors"))
	for i := range streams {
		at := int64(0)
		for range rapid.IntRange(1, 6).Draw(t, "samples") {
			at += int64(rapid.IntRange(1, 12).Draw(t, "step"))
			streams[i] = append(streams[i], at)
		}
	}
	return streams
}

// TestApproximateIsOptimal: whatever the arrival order, what is given out is a
// prefix of the brute-force answer, and the whole of it once later samples
// prove it.
func TestApproximateIsOptimal(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		streams := drawStreams(t)
		want := reference(streams)
		seed := rapid.Uint64().Draw(t, "order")
		a, sets := newRecorder(t, len(streams), -1)
		pushInOrder(a, streams, rand.New(rand.NewPCG(seed, 1)))
		if len(*sets) > len(want) || !slices.EqualFunc(*sets, want[:len(*sets)], slices.Equal) {
			t.Fatalf("streams %v: sets %v, want a prefix of %v", streams, *sets, want)
		}
		for i := range streams {
			streams[i] = append(streams[i], 1e6, 2e6)
			a.Push(&sensors.Sample{Modality: modality.Kind(i), CaptureNS: 1e6})
			a.Push(&sensors.Sample{Modality: modality.Kind(i), CaptureNS: 2e6})
		}
		want = reference(streams)
		if len(*sets) < len(want)-1 || !slices.EqualFunc(*sets, want[:len(*sets)], slices.Equal) {
			t.Fatalf("streams %v: sets %v, want %v", streams, *sets, want)
		}
	})
}

// TestApproximateGuarantees holds with the age penalty, too: no sample twice,
// no crossing, no dependence on arrival order, every sample accounted for.
func TestApproximateGuarantees(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		streams := drawStreams(t)
		var first [][]int64
		for order := range uint64(4) {
			a, sets := newRecorder(t, len(streams), 0)
			pushInOrder(a, streams, rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "order"), order)))
			for k := 1; k < len(*sets); k++ {
				for i := range streams {
					if (*sets)[k][i] <= (*sets)[k-1][i] {
						t.Fatalf("sets %v cross", *sets)
					}
				}
			}
			if order == 0 {
				first = *sets
			}
			if !slices.EqualFunc(*sets, first, slices.Equal) {
				t.Fatalf("streams %v: sets %v in one order, %v in another", streams, *sets, first)
			}
			for i := range streams {
				o := a.Outcomes(modality.Kind(i))
				if o.In != o.Sum() || o.In != uint64(len(streams[i])) || o.Fused != uint64(len(*sets)) {
					t.Fatalf("sensor %d: %+v with %d sets", i, o, len(*sets))
				}
			}
		}
	})
}

func TestApproximateOverflowAndLoop(t *testing.T) {
	var sets int
	a, err := NewApproximate(ApproximateConfig{
		Modalities: []modality.Kind{modality.Camera, modality.Radar}, Queue: 4, MaxInterval: 50 * time.Millisecond,
	}, func([]*sensors.Sample) { sets++ })
	if err != nil {
		t.Fatal(err)
	}
	for i := range int64(10) { // the radar is silent
		a.Push(&sensors.Sample{Modality: modality.Camera, CaptureNS: i * 100 * ms})
	}
	if o := a.Outcomes(modality.Camera); sets != 0 || o.DroppedOverflow != 6 || o.Pending != 4 || o.In != o.Sum() {
		t.Fatalf("%d sets, %+v", sets, o)
	}
	for i := range int64(30) {
		at := (10 + i) * 100 * ms
		a.Push(&sensors.Sample{Modality: modality.Camera, CaptureNS: at})
		a.Push(&sensors.Sample{Modality: modality.Radar, CaptureNS: at + 7*ms})
	}
	if sets < 28 {
		t.Errorf("%d sets after the radar came", sets)
	}
	// The recording starts over: sets come again at once.
	before := sets
	for i := range int64(30) {
		at := i*100*ms + 1
		a.Push(&sensors.Sample{Modality: modality.Camera, CaptureNS: at})
		a.Push(&sensors.Sample{Modality: modality.Radar, CaptureNS: at + 7*ms})
	}
	if sets < before+27 || a.Resets() == 0 {
		t.Errorf("%d sets after the loop, %d resets", sets-before, a.Resets())
	}
	a.Push(&sensors.Sample{Modality: modality.Camera, CaptureNS: 29*100*ms + 1})
	a.Push(&sensors.Sample{Modality: modality.Camera, CaptureNS: 29*100*ms - 9})
	for _, m := range []modality.Kind{modality.Camera, modality.Radar} {
		if o := a.Outcomes(m); o.In != o.Sum() || m == modality.Camera && (o.Duplicate != 1 || o.Late != 1) {
			t.Errorf("%s: %+v", m, o)
		}
	}
}

func TestApproximateConfigErrors(t *testing.T) {
	out := func([]*sensors.Sample) {}
	rgb := []modality.Kind{modality.Camera}
	for name, cfg := range map[string]ApproximateConfig{
		"none":     {},
		"twice":    {Modalities: []modality.Kind{modality.Camera, modality.Camera}},
		"unknown":  {Modalities: []modality.Kind{7}},
		"bounds":   {Modalities: rgb, LowerBounds: make([]time.Duration, 2)},
		"queue":    {Modalities: rgb, Queue: -1},
		"interval": {Modalities: rgb, MaxInterval: -1},
	} {
		if a, err := NewApproximate(cfg, out); err == nil || a != nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := NewApproximate(ApproximateConfig{Modalities: rgb}, nil); err == nil {
		t.Error("no output: accepted")
	}
}
