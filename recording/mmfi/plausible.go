package mmfi

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// Kind says what is wrong with a part of a data set.
type Kind string

// The kinds of Problem.
const (
	MissingFile  Kind = "missing"        // a frame, the ground truth or a sensor that other clips have
	EmptyFile    Kind = "empty file"     // 0 bytes where a sensor cannot have seen nothing
	EmptyClip    Kind = "empty clip"     // a clip's folder without anything in it
	Damaged      Kind = "damaged"        // cut, or no header of its format
	WrongShape   Kind = "wrong shape"    // of an array
	WrongType    Kind = "wrong type"     // bytes of another element type, byte order or row width
	WrongUnit    Kind = "wrong unit"     // millimetres, pictures' shares instead of pixels, linear amplitudes
	NotANumber   Kind = "not a number"   // NaN and infinities where nothing drops them
	ZeroTruth    Kind = "zero truth"     // an annotation that failed
	Implausible  Kind = "implausible"    // numbers that no body, room or channel gives
	Numbering    Kind = "numbering"      // frames from 000, or names of another form
	LengthDiffer Kind = "lengths differ" // of the ground truth and a sensor's frames
	Swapped      Kind = "swapped"        // a file that belongs in another sensor's folder
	Duplicate    Kind = "duplicate"      // the same bytes twice
	Misplaced    Kind = "misplaced"      // folders and files that no reader finds
	Unreadable   Kind = "cannot be read" // by the operating system's word
)

// kindError is an error that knows its kind.
type kindError struct {
	kind Kind
	err  error
}

func (e *kindError) Error() string { return e.err.Error() }
func (e *kindError) Unwrap() error { return e.err }

func ofKind(kind Kind, format string, args ...any) error {
	return &kindError{kind, fmt.Errorf(format, args...)}
}

// kindOf returns the kind of what went wrong.
func kindOf(err error) Kind {
	if own, ok := errors.AsType[*kindError](err); ok {
		return own.kind
	}
	return Damaged
}

// Largest values that the columns of a point may have, by column: metres, then
// the radar's velocity in m/s and intensity.
var pointLimits = [MmWaveColumns]float64{300, 300, 300, 300, 1e5}

// smallestPoint is the smallest value but zero that counts as measured: few
// values of a true cloud lie below it, most of misread ones do.
const smallestPoint = 1e-3

// natural returns the share of finite values that a sensor may have measured, 1 if
// there are none. at gives value i of n.
func natural(n, columns int, at func(i int) float64) float64 {
	good, finite := 0, 0
	for i := range n {
		v := math.Abs(at(i))
		if math.IsNaN(v) || math.IsInf(v, 0) {
			continue
		}
		finite++
		if v == 0 || v >= smallestPoint && v <= pointLimits[i%columns] {
			good++
		}
	}
	if finite == 0 {
		return 1
	}
	return float64(good) / float64(finite)
}

// Shares of natural values below which a cloud is refused, and from which other
// readings of its bytes are believed.
const (
	takenShare    = 0.6 // looked at
	refusedShare  = 0.3
	believedShare = 0.85
)

// checkPoints refuses a cloud whose bytes are not what DecodePoints takes them
// for: another element type, byte order or row width, or millimetres. values
// are what it read from b. A sensor's own nonsense, a few wild points, passes.
func checkPoints(b []byte, values []float64, columns int) error {
	if len(values) == 0 {
		return nil
	}
	if name := otherReading(b, columns); name != "" {
		return ofKind(WrongType, "bin: looks like %s, MM-Fi has little-endian float64: write it so", name)
	}
	share := natural(len(values), columns, func(i int) float64 { return values[i] })
	if share >= takenShare {
		return checkRowWidth(values, columns)
	}
	if natural(len(values), columns, func(i int) float64 { return values[i] / 1000 }) >= believedShare && columns == LiDARColumns {
		return ofKind(WrongUnit, "bin: looks like millimetres (the first point is %.4g, %.4g, %.4g): write metres", values[0], values[1], values[2])
	}
	if share < refusedShare {
		return ofKind(Implausible, "bin: %.0f %% of the values are none that a sensor gives (such as %.3g): want little-endian float64, metres", 100*(1-share), values[0])
	}
	return nil
}

// Bounds of the values that otherReading looks at.
const (
	fewestTelling = 16
	mostTelling   = 512
)

// otherReading names the element type and byte order in which the bytes of a cloud
// make sense, if there is one. Those of float64 values make none: what is then taken
// for numbers are the last bits of mantissas, which are as good as random, or, of
// round values, zeros.
func otherReading(b []byte, columns int) string {
	le, be := binary.LittleEndian, binary.BigEndian
	for _, r := range []struct {
		name string
		size int
		bits func(i int) uint64
		of   func(bits uint64) float64
		told uint64 // bits of which one is set in a measured value
	}{
		{"float32", 4, func(i int) uint64 { return uint64(le.Uint32(b[4*i:])) }, float32Of, roundMask},
		{"big-endian float64", 8, func(i int) uint64 { return be.Uint64(b[8*i:]) }, math.Float64frombits, math.MaxUint64},
		{"big-endian float32", 4, func(i int) uint64 { return uint64(be.Uint32(b[4*i:])) }, float32Of, roundMask},
	} {
		n := min(len(b)/r.size, mostTelling)
		if len(b)%r.size != 0 || n < fewestTelling {
			continue
		}
		told, coordinates := 0, 0
		for i := range n {
			if i%columns < 3 {
				coordinates++
				if r.bits(i)&r.told != 0 {
					told++
				}
			}
		}
		if float64(told) >= believedShare*float64(coordinates) && natural(n, columns, func(i int) float64 { return r.of(r.bits(i)) }) >= believedShare {
			return r.name
		}
	}
	return ""
}

// roundMask is what is zero in the second half of a float64 that was a float32
// before, and in hardly any float32.
const roundMask = 1<<29 - 1

func float32Of(bits uint64) float64 { return float64(math.Float32frombits(uint32(bits))) }

// minWidthRows is how many rows of a cloud it takes to judge their width.
const minWidthRows = 16

// checkRowWidth refuses a cloud of rows of another number of columns: read with the
// right one, the values of a column lie much closer together.
func checkRowWidth(values []float64, columns int) error {
	if len(values) < minWidthRows*columns || columnSpread(values, columns) < 0.9 {
		return nil
	}
	for _, other := range [...]int{3, 4, 5, 6} {
		if other == columns || len(values)%other != 0 || columnSpread(values, other) >= 0.5 {
			continue
		}
		kind := WrongType
		if other == LiDARColumns || other == MmWaveColumns { // the other sensor's
			kind = Swapped
		}
		return ofKind(kind, "bin: looks like rows of %d columns, not %d", other, columns)
	}
	return nil
}

// columnSpread returns the variance within columns as a share of that of all
// finite values: about 1 if the columns do not tell the values apart.
func columnSpread(values []float64, columns int) float64 {
	var sum, n [8]float64
	var all, count float64
	for i, v := range values {
		if math.Abs(v) <= pointLimits[len(pointLimits)-1] { // finite, too
			sum[i%columns] += v
			n[i%columns]++
			all += v
			count++
		}
	}
	var within, total float64
	for i, v := range values {
		if math.Abs(v) <= pointLimits[len(pointLimits)-1] {
			c := i % columns
			within += (v - sum[c]/n[c]) * (v - sum[c]/n[c])
			total += (v - all/count) * (v - all/count)
		}
	}
	if total == 0 {
		return 1
	}
	return within / total
}
