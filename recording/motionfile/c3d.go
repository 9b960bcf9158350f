package motionfile

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
)

// maxC3DFrameBytes bounds one frame: points and analog values.
const maxC3DFrameBytes = 16 << 20

// c3dLayout is what a file's header and parameters say of its data.
type c3dLayout struct {
	o         c3dOrder
	points    int
	analogs   int // values in a frame
	frames    int
	first     int // number of the first frame
	scale     float64
	real      bool // data are real numbers, not 16 bit
	metres    float64
	rateHz    float64
	dataStart int64 // bytes
	frameB    int
}

// ReadC3D reads the markers of a C3D file of Intel, DEC or MIPS machines, with whole
// or real numbers; analog channels are passed over. A residual below 0, a place that
// is no number and one of exactly 0, 0, 0 are markers not seen. Points are metres, in
// the file's axes; of most systems z is up. Source: the C3D file format guide of c3d.org.
func ReadC3D(r io.Reader) (*Motion, error) {
	m, err := readC3D(r)
	if err != nil {
		return nil, fmt.Errorf("c3d: %w", err)
	}
	return m, nil
}

func readC3D(r io.Reader) (*Motion, error) {
	var header [blockBytes]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return nil, fmt.Errorf("the header of 512 bytes is cut short: %w", err)
	}
	if header[1] != 0x50 || header[0] < 2 {
		return nil, errors.New("this is no C3D file: its second byte is not 50 hex")
	}
	at := int64(blockBytes)
	skip := func(to int64) error {
		if to < at {
			return errors.New("its parts overlap")
		}
		n, err := io.CopyN(io.Discard, r, to-at)
		at += n
		return err
	}
	if err := skip(int64(header[0]-1) * blockBytes); err != nil {
		return nil, fmt.Errorf("parameters: %w", err)
	}
	params := make([]byte, blockBytes)
	if _, err := io.ReadFull(r, params); err != nil {
		return nil, errParamCut
	}
	more := make([]byte, (max(int(params[2]), 1)-1)*blockBytes)
	if _, err := io.ReadFull(r, more); err != nil {
		return nil, errParamCut
	}
	params = append(params, more...)
	at += int64(len(params))
	o, err := orderOf(params[3])
	if err != nil {
		return nil, err
	}
	p, err := readParams(params, o)
	if err != nil {
		return nil, err
	}
	l, unit, err := layoutOf(header[:], p)
	if err != nil {
		return nil, err
	}
	if err := skip(l.dataStart); err != nil {
		return nil, fmt.Errorf("data: %w", err)
	}
	m := &Motion{RateHz: l.rateHz, Units: unit, Names: labels(p, l.points)}
	if err := l.read(r, m); err != nil {
		return nil, err
	}
	return m, m.finish()
}

// labels gives each marker a name; those without a label are numbered.
func labels(p *c3dParams, n int) []string {
	names := p.texts("POINT:LABELS")
	for k := len(names); k < n; k++ {
		names = append(names, fmt.Sprintf("*%d", k+1))
	}
	return names[:n]
}

// layoutOf puts header and parameters together; where both tell, parameters are
// the later word, but for frames, which are more than 16 bits can count.
func layoutOf(header []byte, p *c3dParams) (l c3dLayout, unit string, err error) {
	o := p.o
	l.o = o
	l.points, l.analogs = o.uint16(header[2:]), o.uint16(header[4:])
	first, last := o.uint16(header[6:]), o.uint16(header[8:])
	l.scale, l.rateHz = o.real(header[12:]), o.real(header[20:])
	start := o.uint16(header[16:])
	if n, ok := p.unsigned("POINT:USED", 0); ok {
		l.points = n
	}
	if v, ok := p.number("POINT:SCALE", 0); ok && v != 0 {
		l.scale = v
	}
	if v, ok := p.number("POINT:RATE", 0); ok && v > 0 {
		l.rateHz = v
	}
	if n, ok := p.unsigned("POINT:DATA_START", 0); ok && n > 0 {
		start = n
	}
	l.first, l.frames = first, last-first+1
	if n, ok := p.unsigned("POINT:FRAMES", 0); ok && last == math.MaxUint16 {
		l.frames = max(l.frames, n)
	}
	from, to := p.field("TRIAL:ACTUAL_START_FIELD"), p.field("TRIAL:ACTUAL_END_FIELD")
	if from > 0 && to >= from {
		l.first, l.frames = from, to-from+1
	}
	if n, ok := p.number("POINT:LONG_FRAMES", 0); ok && n > 0 && n < maxPoints {
		l.frames = int(n)
	}
	units := p.texts("POINT:UNITS")
	if len(units) == 0 || units[0] == "" {
		units = []string{"mm"} // the format's own
	}
	if unit, l.metres, err = metresPer(units[0]); err != nil {
		return l, "", fmt.Errorf("POINT:UNITS: %w", err)
	}
	l.real = l.scale < 0
	l.dataStart = int64(start-1) * blockBytes
	l.frameB = 8*l.points + 2*l.analogs
	if l.real {
		l.frameB = 16*l.points + 4*l.analogs
	}
	return l, unit, l.check()
}

// field is a frame number in two words of 16 bits, the lower one first.
func (p *c3dParams) field(name string) int {
	if p.by[name].size != 2 {
		return 0
	}
	lo, ok := p.unsigned(name, 0)
	hi, _ := p.unsigned(name, 1)
	if !ok {
		return 0
	}
	return lo + hi<<16
}

func (l *c3dLayout) check() error {
	switch {
	case l.points < 1 || l.points > maxMarkers:
		return fmt.Errorf("%d markers, 1 to %d are read", l.points, maxMarkers)
	case l.frames < 1:
		return errors.New("no frames: the last frame comes before the first")
	case l.frames > maxPoints/l.points:
		return fmt.Errorf("%d frames of %d markers, at most %d places are read: cut the recording into pieces", l.frames, l.points, maxPoints)
	case !(l.rateHz > 0 && l.rateHz <= maxRateHz):
		return fmt.Errorf("POINT:RATE is %g frames a second", l.rateHz)
	case l.scale == 0 || math.IsNaN(l.scale) || math.IsInf(l.scale, 0):
		return fmt.Errorf("POINT:SCALE is %g", l.scale)
	case l.dataStart < blockBytes:
		return errors.New("POINT:DATA_START lies in the header")
	case l.frameB > maxC3DFrameBytes:
		return fmt.Errorf("a frame of %d bytes, at most %d are read", l.frameB, maxC3DFrameBytes)
	}
	return nil
}

// read reads the frames.
func (l *c3dLayout) read(r io.Reader, m *Motion) error {
	buf := make([]byte, l.frameB)
	for f := range l.frames {
		if _, err := io.ReadFull(r, buf); err != nil {
			return fmt.Errorf("the header says %d frames, the file has %d: it is cut short", l.frames, f)
		}
		frame := make([]Point, l.points)
		for k := range frame {
			frame[k] = l.point(buf, k)
		}
		m.Points = append(m.Points, frame)
		m.TimesS = append(m.TimesS, float64(l.first-1+f)/l.rateHz)
	}
	return nil
}

// point reads marker k of a frame.
func (l *c3dLayout) point(frame []byte, k int) Point {
	var v [4]float64
	for c := range v {
		if l.real {
			v[c] = l.o.real(frame[16*k+4*c:])
		} else {
			v[c] = float64(l.o.int16(frame[8*k+2*c:]))
		}
	}
	if !(v[3] >= 0) {
		return missing()
	}
	metres := l.metres
	if !l.real {
		metres *= l.scale
	}
	return scaled(v[0], v[1], v[2], metres)
}

// Read reads a C3D or a TRC file, told by how it begins.
func Read(r io.Reader) (*Motion, error) {
	b := bufio.NewReader(r)
	head, err := b.Peek(2)
	if err != nil {
		return nil, fmt.Errorf("motion file: it is empty: %w", err)
	}
	if head[1] == 0x50 && head[0] >= 2 && head[0] != 'P' {
		return ReadC3D(b)
	}
	return ReadTRC(b)
}
