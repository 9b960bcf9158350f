package motionfile

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
)

// c3dText is the longest text of a parameter.
const c3dText = 127

// c3dWriter builds the parameter section.
type c3dWriter struct{ b []byte }

func (w *c3dWriter) group(id int, name string) {
	w.b = append(append(w.b, byte(len(name)), byte(-int8(id))), name...)
	w.b = append(w.b, 3, 0, 0) // the next one; no description
}

// param appends a parameter of elements of size bytes.
func (w *c3dWriter) param(group int, name string, size int8, dims []int, data []byte) {
	w.b = append(append(w.b, byte(len(name)), byte(group)), name...)
	w.b = binary.LittleEndian.AppendUint16(w.b, uint16(2+2+len(dims)+len(data)+1))
	w.b = append(w.b, byte(size), byte(len(dims)))
	for _, d := range dims {
		w.b = append(w.b, byte(d))
	}
	w.b = append(append(w.b, data...), 0)
}

func (w *c3dWriter) words(group int, name string, v ...int) {
	var data []byte
	for _, x := range v {
		data = binary.LittleEndian.AppendUint16(data, uint16(x))
	}
	dims := []int{len(v)}
	if len(v) == 1 {
		dims = nil
	}
	w.param(group, name, 2, dims, data)
}

func (w *c3dWriter) real(group int, name string, v float64) {
	w.param(group, name, 4, nil, binary.LittleEndian.AppendUint32(nil, math.Float32bits(float32(v))))
}

func (w *c3dWriter) texts(group int, name string, v []string) {
	length := 1
	for _, s := range v {
		length = max(length, min(len(s), c3dText))
	}
	var data []byte
	for _, s := range v {
		s = s[:min(len(s), length)]
		data = append(append(data, s...), strings.Repeat(" ", length-len(s))...)
	}
	w.param(group, name, -1, []int{length, len(v)}, data)
}

// WriteC3D writes metres as real numbers of an Intel machine, at an even rate, in the
// axes of the points; a marker that was not seen has the residual -1.
func WriteC3D(w io.Writer, m *Motion) error {
	n := len(m.Names)
	switch {
	case len(m.Points) == 0 || n == 0 || !(m.RateHz > 0):
		return errors.New("c3d: there is no motion to write")
	case n > 255:
		return fmt.Errorf("c3d: %d markers, at most 255 are written", n)
	case len(m.Points) > math.MaxInt32:
		return fmt.Errorf("c3d: %d frames are too many", len(m.Points))
	}
	params := c3dParamsOf(m)
	blocks := (len(params) + blockBytes - 1) / blockBytes
	start := 2 + blocks
	// DATA_START is known now; the section has the same length with it.
	params = append(c3dParamsAt(m, start, blocks), make([]byte, blocks*blockBytes)...)[:blocks*blockBytes]
	last := min(len(m.Points), math.MaxUint16)
	header := make([]byte, blockBytes)
	header[0], header[1] = 2, 0x50
	le := binary.LittleEndian
	le.PutUint16(header[2:], uint16(n))
	le.PutUint16(header[6:], 1)
	le.PutUint16(header[8:], uint16(last))
	le.PutUint32(header[12:], math.Float32bits(-1))
	le.PutUint16(header[16:], uint16(start))
	le.PutUint32(header[20:], math.Float32bits(float32(m.RateHz)))
	b := bufio.NewWriter(w)
	frame := make([]byte, 0, 16*n)
	for _, part := range [][]byte{header, params} {
		if _, err := b.Write(part); err != nil {
			return fmt.Errorf("c3d: %w", err)
		}
	}
	for _, points := range m.Points {
		frame = frame[:0]
		for _, p := range points {
			v := [4]float64{p[0], p[1], p[2], 0}
			if !p.Seen() {
				v = [4]float64{0, 0, 0, -1}
			}
			for _, x := range v {
				frame = le.AppendUint32(frame, math.Float32bits(float32(x)))
			}
		}
		if _, err := b.Write(frame); err != nil {
			return fmt.Errorf("c3d: %w", err)
		}
	}
	if short := (len(m.Points) * 16 * n) % blockBytes; short > 0 {
		if _, err := b.Write(make([]byte, blockBytes-short)); err != nil {
			return fmt.Errorf("c3d: %w", err)
		}
	}
	return b.Flush()
}

func c3dParamsOf(m *Motion) []byte { return c3dParamsAt(m, 0, 0) }

// c3dParamsAt is the parameter section, with the data from the block start on.
func c3dParamsAt(m *Motion, start, blocks int) []byte {
	w := &c3dWriter{b: []byte{1, 0x50, byte(blocks), intel}}
	const point, analog, trial = 1, 2, 3
	frames := len(m.Points)
	w.group(point, "POINT")
	w.words(point, "USED", len(m.Names))
	w.words(point, "FRAMES", min(frames, math.MaxUint16))
	w.words(point, "DATA_START", start)
	w.real(point, "SCALE", -1)
	w.real(point, "RATE", m.RateHz)
	w.texts(point, "UNITS", []string{"m"})
	w.texts(point, "LABELS", m.Names)
	w.texts(point, "DESCRIPTIONS", make([]string, len(m.Names)))
	w.group(analog, "ANALOG")
	w.words(analog, "USED", 0)
	w.real(analog, "GEN_SCALE", 1)
	w.real(analog, "RATE", m.RateHz)
	w.group(trial, "TRIAL")
	w.words(trial, "ACTUAL_START_FIELD", 1, 0)
	w.words(trial, "ACTUAL_END_FIELD", frames&math.MaxUint16, frames>>16)
	return append(w.b, 0, 0) // no further entry
}
