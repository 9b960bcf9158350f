package replay

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"posefuse/sensors/modality"
)

// Faults is what goes wrong with one fake sensor. All times count from the
// first frame of the play. Decisions depend on the seed and on the number of
// the piece of wire data (datagram, record, serial frame or line) only, so the
// same play has the same faults.
type Faults struct {
	Seed      uint64
	Loss      float64       // share of pieces not sent, 0..1
	Duplicate float64       // share of pieces sent twice, 0..1
	Reorder   float64       // share of pieces sent after their successor, 0..1
	Jitter    time.Duration // each piece is late by 0..Jitter, uniform; streams keep their order
	Cuts      []Cut         // nothing is sent, the transport stays open
	Restarts  []time.Duration
	Steps     []ClockStep
}

// Cut is a time in which a sensor sends nothing.
type Cut struct{ At, For time.Duration }

// ClockStep sets a sensor's clock forward, or back if By is negative.
type ClockStep struct{ At, By time.Duration }

// faultKeys lists what ParseFaults understands, for its errors.
const faultKeys = "loss, duplicate, reorder (shares 0..1), jitter (20ms), cut (10s+5s), restart (20s), step (30s+2s or 30s-2s), seed"

// ParseFaults parses one fault flag such as
//
//	radar:loss=0.05,jitter=20ms,cut=10s+5s,restart=20s,step=30s-2s,seed=7
//
// The sensor is camera, lidar, radar or csi; cut, restart and step may be
// given several times.
func ParseFaults(s string) (modality.Kind, Faults, error) {
	var f Faults
	name, list, ok := strings.Cut(s, ":")
	m, known := modalityByName(name)
	if !ok || !known {
		return 0, f, fmt.Errorf("fault %q: must start with camera, lidar, radar or csi and a colon", s)
	}
	for item := range strings.SplitSeq(list, ",") {
		key, value, _ := strings.Cut(item, "=")
		if err := f.set(key, value); err != nil {
			return 0, f, fmt.Errorf("fault %q: %s: %w", s, key, err)
		}
	}
	return m, f, nil
}

func modalityByName(name string) (modality.Kind, bool) {
	for m := range modality.Count {
		if m.String() == name {
			return m, true
		}
	}
	return 0, false
}

func (f *Faults) set(key, value string) (err error) {
	switch key {
	case "loss":
		f.Loss, err = parseShare(value)
	case "duplicate":
		f.Duplicate, err = parseShare(value)
	case "reorder":
		f.Reorder, err = parseShare(value)
	case "jitter":
		f.Jitter, err = parsePositive(value)
	case "seed":
		f.Seed, err = strconv.ParseUint(value, 10, 64)
	case "restart":
		var at time.Duration
		if at, err = parsePositive(value); err == nil {
			f.Restarts = append(f.Restarts, at)
			slices.Sort(f.Restarts)
		}
	case "cut":
		var c Cut
		if c.At, c.For, err = parsePair(value); err == nil && c.For <= 0 {
			err = fmt.Errorf("%q: must last longer than 0", value)
		}
		f.Cuts = append(f.Cuts, c)
	case "step":
		var s ClockStep
		s.At, s.By, err = parsePair(value)
		f.Steps = append(f.Steps, s)
	default:
		err = fmt.Errorf("unknown fault, known are %s", faultKeys)
	}
	return err
}

func parseShare(s string) (float64, error) {
	v, err := strconv.ParseFloat(s, 64)
	if err != nil || !(v >= 0 && v <= 1) {
		return 0, fmt.Errorf("%q is not a share between 0 and 1", s)
	}
	return v, nil
}

func parsePositive(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil {
		return 0, fmt.Errorf("%q is not a duration such as 20ms or 3s", s)
	}
	if d < 0 {
		return 0, fmt.Errorf("%q is negative", s)
	}
	return d, nil
}

// parsePair parses AT+DURATION or AT-DURATION.
func parsePair(s string) (at, by time.Duration, err error) {
	i := strings.IndexAny(s, "+-")
	if i < 0 {
		return 0, 0, fmt.Errorf("%q: write TIME+DURATION, such as 10s+5s", s)
	}
	if at, err = parsePositive(s[:i]); err != nil {
		return 0, 0, err
	}
	if by, err = parsePositive(s[i+1:]); err != nil {
		return 0, 0, err
	}
	if s[i] == '-' {
		by = -by
	}
	return at, by, nil
}

// fate is what happens to one piece of wire data.
type fate struct {
	lost, duplicated, held bool
	delay                  time.Duration
}

// decide returns the fate of piece n of a modality's stream.
func (f *Faults) decide(m modality.Kind, n uint64) fate {
	draw := func(kind uint64) float64 {
		h := mix(f.Seed ^ mix(uint64(m)<<8|kind) ^ mix(n+0x9E3779B97F4A7C15))
		return float64(h>>11) / (1 << 53)
	}
	return fate{
		lost:       draw(0) < f.Loss,
		duplicated: draw(1) < f.Duplicate,
		held:       draw(2) < f.Reorder,
		delay:      time.Duration(math.Round(draw(3) * float64(f.Jitter))),
	}
}

// mix is the finaliser of SplitMix64: every input bit reaches every output bit.
func mix(x uint64) uint64 {
	x += 0x9E3779B97F4A7C15
	x = (x ^ x>>30) * 0xBF58476D1CE4E5B9
	x = (x ^ x>>27) * 0x94D049BB133111EB
	return x ^ x>>31
}

// cut reports whether the sensor is silent at a time of the play.
func (f *Faults) cut(at time.Duration) bool {
	for _, c := range f.Cuts {
		if at >= c.At && at < c.At+c.For {
			return true
		}
	}
	return false
}

// between reports how many of the times lie in (from, to].
func between(times []time.Duration, from, to time.Duration) int {
	n := 0
	for _, t := range times {
		if t > from && t <= to {
			n++
		}
	}
	return n
}

// stepBetween returns the sum of the clock steps in (from, to] and their number.
func (f *Faults) stepBetween(from, to time.Duration) (sum time.Duration, n int) {
	for _, s := range f.Steps {
		if s.At > from && s.At <= to {
			sum += s.By
			n++
		}
	}
	return sum, n
}
