package calibration

import (
	"cmp"
	"math"
	"slices"
)

// Latency is what a sensor's latency_ms should be, by the delays between it and
// the others.
type Latency struct {
	Sensor string
	NowMS  float64 // what it was while the delays were measured
	MS     float64 // what it should be
	StdMS  float64 // standard error against the sensor that is kept
	Known  bool    // a sharp delay joins it to the others
}

// sameMS is by how much two capture times may differ and count as the same: a
// tenth of a tick's period.
const sameMS = 10

// Latencies says what each sensor's latency should be so that all capture times
// agree. Motion tells differences alone: the sensor is kept as it is with which
// the fewest others have to be changed, among these the earliest, as long as no
// latency has to be negative.
func Latencies(now []Latency, delays []Delay) []Latency {
	out := slices.Clone(now)
	index := func(sensor string) int {
		return slices.IndexFunc(out, func(l Latency) bool { return l.Sensor == sensor })
	}
	// The delays known best that join all.
	sharp := slices.DeleteFunc(slices.Clone(delays), func(d Delay) bool { return !d.Sharp || index(d.First) < 0 || index(d.Then) < 0 })
	slices.SortStableFunc(sharp, func(a, b Delay) int { return cmp.Compare(a.StdMS, b.StdMS) })
	group := make([]int, len(out))
	for i := range group {
		group[i] = i
	}
	var tree []Delay
	for _, d := range sharp {
		a, b := group[index(d.First)], group[index(d.Then)]
		if a == b {
			continue
		}
		for i := range group {
			if group[i] == b {
				group[i] = a
			}
		}
		tree = append(tree, d)
	}
	largest := largestGroup(group)
	if len(largest) < 2 {
		return out
	}
	best, fewest := out, len(out)+1
	for _, kept := range largest {
		try := slices.Clone(out)
		behind, variance := along(tree, out, kept)
		changed, lowest := 0, 0.0
		for _, i := range largest {
			l := &try[i]
			l.MS, l.StdMS, l.Known = l.NowMS+behind[i], math.Sqrt(variance[i]), true
			if math.Abs(behind[i]) <= max(sameMS, 2*l.StdMS) {
				l.MS = l.NowMS
			} else {
				changed++
			}
			lowest = min(lowest, l.MS)
		}
		// Earlier sensors come first; a latency cannot be negative.
		if lowest < 0 {
			continue
		}
		if changed < fewest || changed == fewest && earlier(behind, largest) {
			best, fewest = try, changed
		}
	}
	if fewest <= len(out) {
		return best
	}
	return out
}

// earlier reports whether no sensor is ahead of the one from which behind counts.
func earlier(behind []float64, group []int) bool {
	for _, i := range group {
		if behind[i] < 0 {
			return false
		}
	}
	return true
}

func largestGroup(group []int) (largest []int) {
	for g := range group {
		var members []int
		for i, of := range group {
			if of == g {
				members = append(members, i)
			}
		}
		if len(members) > len(largest) {
			largest = members
		}
	}
	return largest
}

// along adds the delays up along the tree, from one sensor to all it reaches.
func along(tree []Delay, of []Latency, from int) (behind, variance []float64) {
	behind, variance = make([]float64, len(of)), make([]float64, len(of))
	reached := make([]bool, len(of))
	reached[from] = true
	for range of {
		for _, d := range tree {
			a := slices.IndexFunc(of, func(l Latency) bool { return l.Sensor == d.First })
			b := slices.IndexFunc(of, func(l Latency) bool { return l.Sensor == d.Then })
			sign := 1.0
			if reached[b] {
				a, b, sign = b, a, -1
			}
			if !reached[a] || reached[b] {
				continue
			}
			behind[b], variance[b], reached[b] = behind[a]+sign*d.MS, variance[a]+d.StdMS*d.StdMS, true
		}
	}
	return behind, variance
}
