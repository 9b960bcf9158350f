package csi

import (
	"fmt"
	"strings"

	"posefuse/sensors"
)

// Outcomes of antennas that measure nothing.
const (
	OutcomeDeadAntenna = "dead_antenna" // a row of zeros, or one that never changes
	OutcomeAllDead     = "all_dead"     // a packet without any other
)

// constantAfter is how many packets in a row a value must be the same, to the
// bit, to be taken for one that is not measured.
const constantAfter = 100

// deadAfter is how many packets in a row an antenna must be dead to be named.
const deadAfter = 10

// liveness finds antennas and tones that measure nothing: zeros, or values that
// never change while others do.
type liveness struct {
	names []int // the receiver's antennas
	tones int
	last  []complex64
	same  []uint16 // packets since the value changed, per value
	dead  []uint16 // packets in a row in which the antenna was dead, per antenna
	alive []bool   // result, per antenna
	fixed []bool   // result, per value: constant
	any   bool     // any value of a living antenna is constant
}

// look takes a packet and tells which of its antennas and tones live. A packet
// of another shape than the one before starts over.
func (l *liveness) look(r *reception) {
	if len(r.tones) != l.tones || !equalInts(r.names, l.names) {
		n := len(r.h)
		*l = liveness{names: append([]int(nil), r.names...), tones: len(r.tones), last: make([]complex64, n), same: make([]uint16, n),
			dead: make([]uint16, len(r.names)), alive: make([]bool, len(r.names)), fixed: make([]bool, n)}
	}
	l.any = false
	moving := false // some antenna changes
	for i := range l.alive {
		zero, changing := l.row(i, r.row(i))
		l.alive[i] = !zero
		moving = moving || changing
	}
	for i := range l.alive {
		at := i * l.tones
		constant := 0
		for k := range l.tones {
			l.fixed[at+k] = l.same[at+k] >= constantAfter
			if l.fixed[at+k] {
				constant++
			}
		}
		switch {
		case constant == l.tones && moving:
			l.alive[i] = false // frozen, while others move
		case 2*constant > l.tones:
			clear(l.fixed[at : at+l.tones]) // a still channel; nothing to fill from
			constant = 0
		}
		l.any = l.any || l.alive[i] && constant > 0
		if l.alive[i] {
			l.dead[i] = 0
		} else if l.dead[i] < deadAfter {
			l.dead[i]++
		}
	}
}

// row notes the values of one antenna; changing means that most of them changed
// within the time in which a constant one is told.
func (l *liveness) row(i int, h []complex64) (zero, changing bool) {
	at := i * l.tones
	zero = true
	n := 0
	for k, v := range h {
		if v != 0 {
			zero = false
		}
		if v == l.last[at+k] {
			l.same[at+k] = min(l.same[at+k]+1, constantAfter)
		} else {
			l.same[at+k] = 0
		}
		l.last[at+k] = v
		if l.same[at+k] < constantAfter {
			n++
		}
	}
	return zero, !zero && 2*n > l.tones
}

// fill puts into the constant tones of an antenna what lies between their
// neighbours.
func (l *liveness) fill(antenna int, h []complex64, tones []int) {
	fixed := l.fixed[antenna*l.tones : (antenna+1)*l.tones]
	for k := 0; k < len(h); k++ {
		if !fixed[k] {
			continue
		}
		end := k
		for end < len(h) && fixed[end] {
			end++
		}
		for i := k; i < end; i++ {
			switch {
			case k == 0 && end == len(h): // look leaves none of these
			case k == 0:
				h[i] = h[end]
			case end == len(h):
				h[i] = h[k-1]
			default:
				f := float32(tones[i]-tones[k-1]) / float32(tones[end]-tones[k-1])
				h[i] = h[k-1] + complex(f, 0)*(h[end]-h[k-1])
			}
		}
		k = end
	}
}

// findings names what is dead for good.
func (l *liveness) findings(tones []int) []sensors.Finding {
	var out []sensors.Finding
	var dead []int
	for i, n := range l.dead {
		if n >= deadAfter {
			dead = append(dead, l.names[i])
		}
	}
	if len(dead) > 0 {
		out = append(out, sensors.Finding{Code: "dead_antenna", Text: fmt.Sprintf("%s of %d %s: check its cable and that the firmware enables it",
			antennas(dead), len(l.names), "measures nothing")})
	}
	if !l.any {
		return out
	}
	for i, alive := range l.alive {
		if text := ranges(tones, l.fixed[i*l.tones:(i+1)*l.tones]); alive && text != "" {
			out = append(out, sensors.Finding{Code: "constant_tones", Text: fmt.Sprintf("tones %s of antenna %d never change and are filled from their neighbours: the firmware writes something else there", text, l.names[i])})
			break // the others follow when this one is mended
		}
	}
	return out
}

// antennas names some antennas.
func antennas(numbers []int) string {
	word := "antenna"
	if len(numbers) > 1 {
		word = "antennas"
	}
	return word + " " + strings.Trim(strings.ReplaceAll(fmt.Sprint(numbers), " ", ", "), "[]")
}

// ranges names the tones that are set, as stretches.
func ranges(tones []int, set []bool) string {
	var parts []string
	for k := 0; k < len(set); k++ {
		if !set[k] {
			continue
		}
		end := k
		for end+1 < len(set) && set[end+1] {
			end++
		}
		if end == k {
			parts = append(parts, fmt.Sprintf("%+d", tones[k]))
		} else {
			parts = append(parts, fmt.Sprintf("%+d to %+d", tones[k], tones[end]))
		}
		k = end
	}
	const most = 4
	if len(parts) > most {
		parts = append(parts[:most], "more")
	}
	return strings.Join(parts, ", ")
}

func equalInts(a, b []int) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}
