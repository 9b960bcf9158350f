package mmfi

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"posefuse/internal/testenv"
)

// npyFile builds a file by hand.
func npyFile(major byte, header string, data []byte) []byte {
	b := append([]byte("\x93NUMPY"), major, 0)
	if major == 1 {
		b = binary.LittleEndian.AppendUint16(b, uint16(len(header)))
	} else {
		b = binary.LittleEndian.AppendUint32(b, uint32(len(header)))
	}
	return append(append(b, header...), data...)
}

func header(descr, order, shape string) string {
	return fmt.Sprintf("{'descr': '%s', 'fortran_order': %s, 'shape': %s, }\n", descr, order, shape)
}

func TestReadNPY(t *testing.T) {
	tests := []struct {
		name  string
		file  []byte
		typ   string
		shape []int
		want  []float64
	}{
		{"f8 v1", npyFile(1, header("<f8", "False", "(1,)"), binary.LittleEndian.AppendUint64(nil, math.Float64bits(-2.5))), "f8", []int{1}, []float64{-2.5}},
		{"f4 big endian v2", npyFile(2, header(">f4", "False", "(2,)"), []byte{0x3f, 0x80, 0, 0, 0xc0, 0, 0, 0}), "f4", []int{2}, []float64{1, -2}},
		{"i2 fortran v3", npyFile(3, header("<i2", "True", "(2, 3)"), []byte{1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 0xff, 0xff}), "i2", []int{2, 3}, []float64{1, 3, 5, 2, 4, -1}},
		{"i4 big endian fortran", npyFile(1, header(">i4", "True", "(2, 1, 2)"), []byte{0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4}), "i4", []int{2, 1, 2}, []float64{1, 3, 2, 4}},
		{"u1", npyFile(1, header("|u1", "False", "(3,)"), []byte{0, 128, 255}), "u1", []int{3}, []float64{0, 128, 255}},
		{"i1", npyFile(1, header("|i1", "False", "(2L,)"), []byte{128, 127}), "i1", []int{2}, []float64{-128, 127}},
		{"b1", npyFile(1, header("|b1", "False", "(2,)"), []byte{0, 1}), "b1", []int{2}, []float64{0, 1}},
		{"f2", npyFile(1, header("<f2", "False", "(6,)"), []byte{0, 0x3c, 0, 0xc0, 1, 0, 0xff, 0x7b, 0, 0x7c, 0, 0xfc}), "f2", []int{6},
			[]float64{1, -2, math.Ldexp(1, -24), 65504, math.Inf(1), math.Inf(-1)}},
		{"u8 i8 range", npyFile(1, header("<i8", "False", "(1,)"), bytes.Repeat([]byte{0xff}, 8)), "i8", []int{1}, []float64{-1}},
		{"scalar", npyFile(1, header("<u2", "False", "()"), []byte{7, 1}), "u2", []int{}, []float64{263}},
		{"empty", npyFile(1, header("<f8", "True", "(0, 5)"), nil), "f8", []int{0, 5}, []float64{}},
		{"keys in another order, double quotes", npyFile(1, `{"shape": (1,), "fortran_order": False, "descr": "<u4"}`, []byte{9, 0, 0, 0}), "u4", []int{1}, []float64{9}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, err := ReadNPY(bytes.NewReader(tt.file))
			if err != nil {
				t.Fatal(err)
			}
			if a.Type != tt.typ || !cmp.Equal(a.Shape, tt.shape) || a.Len() != len(tt.want) {
				t.Errorf("got type %s shape %v len %d, want %s %v %d", a.Type, a.Shape, a.Len(), tt.typ, tt.shape, len(tt.want))
			}
			if diff := cmp.Diff(tt.want, a.Float64()); diff != "" {
				t.Error(diff)
			}
			f32 := make([]float32, len(tt.want))
			for i, v := range tt.want {
				f32[i] = float32(v)
			}
			if diff := cmp.Diff(f32, a.Float32()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestReadNPYErrors(t *testing.T) {
	ok := header("<f8", "False", "(2,)")
	tests := []struct {
		name      string
		file      []byte
		want      string
		truncated bool
	}{
		{"empty", nil, "offset 0", true},
		{"magic", []byte("PK\x03\x04aaaa"), "bad magic", false},
		{"version", []byte("\x93NUMPY\x09\x00"), "version 9.0", false},
		{"no length", []byte("\x93NUMPY\x01\x00\x01"), "offset 8", true},
		{"header cut", npyFile(1, ok, nil)[:30], "offset 30", true},
		{"data cut", npyFile(1, ok, make([]byte, 15)), fmt.Sprintf("data ends at offset %d", 10+len(ok)+15), true},
		{"huge header", []byte("\x93NUMPY\x02\x00\xff\xff\xff\xff"), "limit", false},
		{"huge shape", npyFile(1, header("<f8", "False", "(4000000000, 4000000000)"), nil), "limit", false},
		{"overflowing shape", npyFile(1, header("<f8", "False", "(9223372036854775807, 3)"), nil), "limit", false},
		{"bad number", npyFile(1, header("<f8", "False", "(99999999999999999999,)"), nil), "bad number", false},
		{"negative", npyFile(1, header("<f8", "False", "(-1,)"), nil), "bad number", false},
		{"structured", npyFile(1, "{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (1,)}", nil), "structured", false},
		{"complex", npyFile(1, header("<c16", "False", "(1,)"), nil), "<c16", false},
		{"object", npyFile(1, header("|O", "False", "(1,)"), nil), "not supported", false},
		{"string", npyFile(1, header("<U5", "False", "(1,)"), nil), "not supported", false},
		{"no order", npyFile(1, header("|f8", "False", "(1,)"), nil), "byte order", false},
		{"key missing", npyFile(1, "{'descr': '<f8', 'shape': (1,)}", nil), `"fortran_order" is missing`, false},
		{"key twice", npyFile(1, "{'descr': '<f8', 'descr': '<f8'}", nil), "twice", false},
		{"unknown key", npyFile(1, "{'x': '<f8'}", nil), "unknown key", false},
		{"trailing", npyFile(1, "{'descr': '<f8', 'fortran_order': False, 'shape': (1,)} + 1", nil), "after the dictionary", false},
		{"no comma", npyFile(1, "{'descr': '<f8' 'shape': (1,)}", nil), "comma", false},
		{"many dims", npyFile(1, header("<f8", "False", "("+strings.Repeat("1, ", 40)+")"), nil), "dimensions", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := ReadNPY(bytes.NewReader(tt.file))
			if err == nil {
				t.Fatal("no error")
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %q does not contain %q", err, tt.want)
			}
			if errors.Is(err, ErrTruncated) != tt.truncated {
				t.Errorf("error %q: truncated %v, want %v", err, !tt.truncated, tt.truncated)
			}
		})
	}
}

func TestReadNPYRealFiles(t *testing.T) {
	points := 0
	for subject := 2; subject <= 3; subject++ {
		for movement := 1; movement <= 10; movement++ {
			stem := fmt.Sprintf("realdata/mars/s%d_m%02d", subject, movement)
			radar, err := ReadNPY(bytes.NewReader(testenv.ReadShared(t, stem+"_radar.npy")))
			if err != nil {
				t.Fatal(stem, err)
			}
			frames, err := ReadNPY(bytes.NewReader(testenv.ReadShared(t, stem+"_frames.npy")))
			if err != nil {
				t.Fatal(stem, err)
			}
			joints, err := ReadNPY(bytes.NewReader(testenv.ReadShared(t, stem+"_joints.npy")))
			if err != nil {
				t.Fatal(stem, err)
			}
			if radar.Type != "i2" || frames.Type != "i4" || joints.Type != "f4" {
				t.Fatalf("%s: types %s %s %s", stem, radar.Type, frames.Type, joints.Type)
			}
			if !cmp.Equal(joints.Shape, []int{frames.Shape[0], 25, 3}) {
				t.Fatalf("%s: joints %v, frames %v", stem, joints.Shape, frames.Shape)
			}
			// The frame table's point counts must add up to the rows of the
			// radar file: a wrong type, order or offset would not.
			sum, table := 0, frames.Float64()
			for i := range frames.Shape[0] {
				sum += int(table[4*i+2])
			}
			if sum != radar.Shape[0] {
				t.Fatalf("%s: frame table has %d points, radar file %d", stem, sum, radar.Shape[0])
			}
			points += sum
		}
	}
	if points != 735643 {
		t.Errorf("%d points in all, SOURCES.md says 735643", points)
	}
}

func TestNPYRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		shape := rapid.SliceOfN(rapid.IntRange(0, 5), 0, 4).Draw(t, "shape")
		n := 1
		for _, d := range shape {
			n *= d
		}
		values := rapid.SliceOfN(rapid.Float64(), n, n).Draw(t, "values")
		var b bytes.Buffer
		if err := WriteNPY(&b, NewFloat64Array(values, shape...)); err != nil {
			t.Fatal(err)
		}
		if at := b.Len() - 8*n; at%64 != 0 {
			t.Fatalf("data starts at %d, not at a multiple of 64", at)
		}
		a, err := ReadNPY(bytes.NewReader(b.Bytes()))
		if err != nil {
			t.Fatal(err)
		}
		if !cmp.Equal(append([]int{}, a.Shape...), append([]int{}, shape...)) {
			t.Fatalf("shape %v, want %v", a.Shape, shape)
		}
		for i, v := range a.Float64() {
			if math.Float64bits(v) != math.Float64bits(values[i]) {
				t.Fatalf("value %d: %v, want %v", i, v, values[i])
			}
		}
	})
}

func TestNewArrayPanicsOnWrongShape(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	NewFloat32Array(make([]float32, 5), 2, 3)
}

func TestWriteNPYUnsupported(t *testing.T) {
	if err := WriteNPY(io.Discard, &Array{Type: "c16"}); err == nil {
		t.Error("complex array was written")
	}
	if err := WriteNPY(io.Discard, &Array{Type: "f8", Shape: []int{3}}); err == nil {
		t.Error("array without data was written")
	}
}

func FuzzReadNPY(f *testing.F) {
	var b bytes.Buffer
	if err := WriteNPY(&b, NewFloat64Array([]float64{1, 2, 3, 4, 5, 6}, 2, 3)); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add(npyFile(2, header(">f4", "True", "(2, 2)"), make([]byte, 16)))
	f.Add(npyFile(3, header("|u1", "False", "(0,)"), nil))
	f.Fuzz(func(t *testing.T, file []byte) {
		a, err := ReadNPY(bytes.NewReader(file))
		if err != nil {
			return
		}
		if a.Len()*itemSize(a.Type) > len(file) {
			t.Fatalf("%d values of %s from %d bytes", a.Len(), a.Type, len(file))
		}
		var out bytes.Buffer
		if err = WriteNPY(&out, a); err != nil {
			t.Fatal(err)
		}
		again, err := ReadNPY(&out)
		if err != nil {
			t.Fatal(err)
		}
		if again.Type != a.Type || !cmp.Equal(again.Shape, a.Shape) || !bytes.Equal(again.data, a.data) {
			t.Fatal("write and read changed the array")
		}
	})
}
