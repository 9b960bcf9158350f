package motionfile

import (
	"bytes"
	"encoding/binary"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// c3dFile writes a C3D file of any kind, from the format guide of c3d.org and from
// nothing that this package has.
type c3dFile struct {
	processor byte
	real      bool
	scale     float64 // of whole numbers
	unit      string
	analogs   int // values a frame
	first     int
	long      bool // frames are counted by TRIAL
	late      bool // the group POINT stands after its parameters
	groupLen  int8 // sign of name lengths: -1 marks them locked
}

func (f c3dFile) order() binary.ByteOrder {
	if f.processor == 86 {
		return binary.BigEndian
	}
	return binary.LittleEndian
}

func (f c3dFile) word(b []byte, v int) []byte {
	out := make([]byte, 2)
	f.order().PutUint16(out, uint16(v))
	return append(b, out...)
}

func (f c3dFile) float(b []byte, v float64) []byte {
	out := make([]byte, 4)
	if f.processor == 85 {
		bits := math.Float32bits(float32(v * 4))
		return append(b, byte(bits>>16), byte(bits>>24), byte(bits), byte(bits>>8))
	}
	f.order().PutUint32(out, math.Float32bits(float32(v)))
	return append(b, out...)
}

func (f c3dFile) param(b []byte, group int, name string, size int8, dims []byte, data []byte) []byte {
	b = append(b, byte(int8(len(name))*f.sign()), byte(group))
	b = append(b, name...)
	b = f.word(b, 2+1+1+len(dims)+len(data)+1+5)
	b = append(b, byte(size), byte(len(dims)))
	b = append(append(b, dims...), data...)
	return append(append(b, 5), "hello"...)
}

func (f c3dFile) sign() int8 {
	if f.groupLen < 0 {
		return -1
	}
	return 1
}

func (f c3dFile) group(b []byte, id int, name string) []byte {
	b = append(b, byte(int8(len(name))*f.sign()), byte(-int8(id)))
	return append(f.word(append(b, name...), 3), 0)
}

func (f c3dFile) bytes(m *Motion, metres float64) []byte {
	scale := f.scale
	if f.real {
		scale = -scale
	}
	n := len(m.Names)
	p := []byte{0, 0, 0, f.processor}
	if !f.late {
		p = f.group(p, 1, "POINT")
	}
	p = f.param(p, 1, "USED", 2, nil, f.word(nil, n))
	p = f.param(p, 1, "SCALE", 4, nil, f.float(nil, scale))
	p = f.param(p, 1, "RATE", 4, nil, f.float(nil, m.RateHz))
	p = f.param(p, 1, "UNITS", -1, []byte{byte(len(f.unit)), 1}, []byte(f.unit))
	const width = 16
	for from, name := 0, "LABELS"; from < n; from, name = from+10, "LABELS2" {
		part := m.Names[from:min(from+10, n)]
		var text []byte
		for _, s := range part {
			text = append(append(text, s...), strings.Repeat(" ", width-len(s))...)
		}
		p = f.param(p, 1, name, -1, []byte{width, byte(len(part))}, text)
	}
	if f.late {
		p = f.group(p, 1, "point")
	}
	p = f.group(p, 2, "TRIAL")
	last := f.first + len(m.Points) - 1
	if f.long {
		p = f.param(p, 2, "ACTUAL_START_FIELD", 2, []byte{2}, f.word(f.word(nil, f.first), f.first>>16))
		p = f.param(p, 2, "ACTUAL_END_FIELD", 2, []byte{2}, f.word(f.word(nil, last), last>>16))
		last = 0xffff
	}
	p = append(p, 0, 0)
	for len(p)%512 != 0 {
		p = append(p, 0)
	}
	p[2] = byte(len(p) / 512)
	h := []byte{2, 0x50}
	h = f.word(f.word(f.word(f.word(f.word(h, n), f.analogs), f.first), last), 10)
	h = f.float(h, scale)
	h = f.word(f.word(h, 2+len(p)/512), 1)
	h = f.float(h, m.RateHz)
	b := append(append(h, make([]byte, 512-len(h))...), p...)
	for _, frame := range m.Points {
		for _, q := range frame {
			v := [4]float64{q[0] / metres, q[1] / metres, q[2] / metres, 0}
			if !q.Seen() {
				v = [4]float64{0, 0, 0, -1}
			}
			for c, x := range v {
				switch {
				case f.real:
					b = f.float(b, x)
				case c < 3:
					b = f.word(b, int(math.Round(x/f.scale)))
				default:
					b = f.word(b, int(x))
				}
			}
		}
		for range f.analogs {
			if f.real {
				b = f.float(b, 7)
			} else {
				b = f.word(b, 7)
			}
		}
	}
	return b
}

// TestReadC3D: every byte order, whole and real numbers, units, names in two
// parameters, analog values between, counts beyond 16 bits.
func TestReadC3D(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := anyMotion(t, true)
		m.Points[0][0] = Point{1, 2, 3} // one at least
		metres := map[string]float64{"mm": 1e-3, "cm": 1e-2, "m": 1, "Meters ": 1}
		f := c3dFile{
			processor: byte(rapid.IntRange(84, 86).Draw(t, "processor")), real: rapid.Bool().Draw(t, "real"), unit: rapid.SampledFrom([]string{"mm", "cm", "m", "Meters "}).Draw(t, "unit"),
			analogs: rapid.IntRange(0, 5).Draw(t, "analogs"), first: rapid.IntRange(1, 300).Draw(t, "first"), late: rapid.Bool().Draw(t, "late"), groupLen: int8(rapid.IntRange(-1, 1).Draw(t, "locked")),
		}
		if f.long = rapid.Bool().Draw(t, "long"); f.long {
			f.first = 70_000
		}
		f.scale = 0.001 / metres[f.unit] // whole millimetres fit into 16 bits
		got, err := ReadC3D(bytes.NewReader(f.bytes(m, metres[f.unit])))
		if err != nil {
			t.Fatalf("%+v: %v", f, err)
		}
		tol := 1e-5
		if !f.real {
			tol = 0.6e-3
		}
		same(t, got, m, tol)
		if want := float64(f.first-1) / m.RateHz; math.Abs(got.TimesS[0]-want) > 1e-3*want {
			t.Fatalf("begins at %g s, want %g", got.TimesS[0], want)
		}
	})
}

// TestC3DRoundTrip: what is written is read back.
func TestC3DRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := anyMotion(t, true)
		m.Points[0][0] = Point{1, 2, 3}
		var b bytes.Buffer
		if err := WriteC3D(&b, m); err != nil {
			t.Fatal(err)
		}
		if b.Len()%512 != 0 {
			t.Fatalf("%d bytes are no whole blocks", b.Len())
		}
		got, err := Read(&b)
		if err != nil {
			t.Fatal(err)
		}
		same(t, got, m, 1e-5)
	})
}

// TestC3DManyFrames: more frames than the header can count.
func TestC3DManyFrames(t *testing.T) {
	m := &Motion{RateHz: 1000, Names: []string{"Hip"}}
	for i := range 70_000 {
		m.Points = append(m.Points, []Point{{1, 2, float64(i)/1e3 + 1}})
	}
	var b bytes.Buffer
	if err := WriteC3D(&b, m); err != nil {
		t.Fatal(err)
	}
	got, err := ReadC3D(&b)
	if err != nil {
		t.Fatal(err)
	}
	same(t, got, m, 1e-5)
}

// TestReadC3DBad: a sentence for each.
func TestReadC3DBad(t *testing.T) {
	m := &Motion{RateHz: 100, Names: []string{"A", "B"}, Points: [][]Point{{{1, 2, 3}, {4, 5, 6}}, {{1, 2, 3}, {4, 5, 6}}}}
	whole := func(f c3dFile) []byte { return f.bytes(m, 1) }
	good := c3dFile{processor: 84, real: true, scale: 1, unit: "m", first: 1}
	with := func(at int, v byte) []byte {
		b := whole(good)
		b[at] = v
		return b
	}
	for _, c := range []struct {
		b    []byte
		want string
	}{
		{nil, "cut short"},
		{[]byte("PathFileType"), "cut short"},
		{with(1, 7), "no C3D file"},
		{with(515, 99), "processor type is 99"},
		{whole(good)[:700], "parameters are cut short"},
		{whole(good)[:1040], "the header says 2 frames, the file has 0: it is cut short"},
		{whole(c3dFile{processor: 84, real: true, scale: 1, unit: "furlong", first: 1}), `POINT:UNITS: unit "furlong"`},
		{whole(c3dFile{processor: 84, real: true, unit: "m", first: 1}), "POINT:SCALE is"},
		{with(8, 0), "no frames"},
		{with(16, 1), "lies in the header"},
	} {
		if _, err := ReadC3D(bytes.NewReader(c.b)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want %q", err, c.want)
		}
	}
}

func FuzzReadC3D(f *testing.F) {
	m := &Motion{RateHz: 100, Names: []string{"A", "B"}, Points: [][]Point{{{1, 2, 3}, {4, 5, 6}}, {{1, 2, 3}, missing()}}}
	for _, processor := range []byte{84, 85, 86} {
		for _, real := range []bool{false, true} {
			f.Add(c3dFile{processor: processor, real: real, scale: 0.001, unit: "m", first: 1, analogs: 3}.bytes(m, 1))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := ReadC3D(bytes.NewReader(data))
		if err != nil {
			return
		}
		for i, frame := range m.Points {
			if len(frame) != len(m.Names) {
				t.Fatalf("frame %d has %d places for %d markers", i, len(frame), len(m.Names))
			}
		}
	})
}
