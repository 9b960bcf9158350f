// Package motionfile reads and writes the files of motion capture: TRC and C3D
// of reference systems, TRC, C3D, MOT and BVH for other programs. It is pure:
// bytes in, bytes out.
package motionfile

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
)

// Bounds of what is read, so that a file cannot take all memory.
const (
	maxMarkers = 2048
	maxPoints  = 8 << 20 // markers times frames: 192 MiB, an hour of 23 markers at 100 Hz
	maxRateHz  = 100_000
)

// Motion is named points over time.
type Motion struct {
	Names  []string    // of the markers
	RateHz float64     // frames a second as the file states it
	TimesS []float64   // of each frame, seconds, rising
	Points [][]Point   // by frame, then marker: metres, in the file's own axes
	Units  string      // of the file: "mm", "cm" or "m"; points are metres whatever it is
	Gaps   map[int]int // frames in which a marker is missing, by marker
}

// Point is a place, metres; NaN where the marker was not seen.
type Point [3]float64

// missing is the place of a marker that was not seen.
func missing() Point { return Point{math.NaN(), math.NaN(), math.NaN()} }

// Seen reports whether the marker was seen.
func (p Point) Seen() bool { return !math.IsNaN(p[0] + p[1] + p[2]) }

// metresPer gives the metres in a unit of length as files spell it.
func metresPer(unit string) (name string, metres float64, err error) {
	switch strings.ToLower(strings.TrimSpace(unit)) {
	case "mm", "millimeter", "millimeters", "millimetre", "millimetres":
		return "mm", 1e-3, nil
	case "cm", "centimeter", "centimeters", "centimetre", "centimetres":
		return "cm", 1e-2, nil
	case "m", "meter", "meters", "metre", "metres":
		return "m", 1, nil
	}
	return "", 0, fmt.Errorf("unit %q is not known, write mm, cm or m into the file", unit)
}

// scaled is a place of a file in metres, missing where the file says so: not a
// number, beyond a kilometre, or the origin, which no marker meets to the bit.
func scaled(x, y, z, metres float64) Point {
	p := Point{x * metres, y * metres, z * metres}
	if !(math.Abs(p[0]) < 1000 && math.Abs(p[1]) < 1000 && math.Abs(p[2]) < 1000) || x == 0 && y == 0 && z == 0 {
		return missing()
	}
	return p
}

// finish counts what is missing and checks what both formats ask for.
func (m *Motion) finish() error {
	if len(m.Names) == 0 || len(m.Points) == 0 {
		return errors.New("no marker in any frame")
	}
	m.Gaps = map[int]int{}
	for _, frame := range m.Points {
		for k, p := range frame {
			if !p.Seen() {
				m.Gaps[k]++
			}
		}
	}
	for i := 1; i < len(m.TimesS); i++ {
		if !(m.TimesS[i] > m.TimesS[i-1]) {
			return fmt.Errorf("frame %d: time %g s does not come after %g s", i+1, m.TimesS[i], m.TimesS[i-1])
		}
	}
	return nil
}

// Marker returns the number of the marker of that name, -1 if there is none.
// Systems write "Subject:RKNE" or "subject_RKNE"; what is before the colon does
// not count, nor do capitals.
func (m *Motion) Marker(name string) int {
	return slices.IndexFunc(m.Names, func(n string) bool { return strings.EqualFold(bare(n), bare(name)) })
}

// bare is a marker's name without the subject's.
func bare(name string) string {
	if i := strings.LastIndexByte(name, ':'); i >= 0 {
		name = name[i+1:]
	}
	return strings.TrimSpace(name)
}
