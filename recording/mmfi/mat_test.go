package mmfi

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"posefuse/internal/testenv"
)

// nexmonWords returns the complex words of all packets of the plain capture
// that fill their Ethernet frame exactly, as MATLAB's script took them.
func nexmonWords(t *testing.T) [][]complex128 {
	b := testenv.ReadShared(t, "captures/csi-nexmon/example_43455c0.pcap")
	le := binary.LittleEndian
	var out [][]complex128
	for at := 24; at+16 <= len(b); {
		n := int(le.Uint32(b[at+8:]))
		frame := b[at+16 : at+16+n]
		at += 16 + n
		const payload = 14 + 20 + 8
		if n != payload+18+4*256 {
			continue
		}
		words := make([]complex128, 256)
		for i := range words {
			w := frame[payload+18+4*i:]
			words[i] = complex(float64(int16(le.Uint16(w))), float64(int16(le.Uint16(w[2:]))))
		}
		out = append(out, words)
	}
	return out
}

func TestReadMATNexmon(t *testing.T) {
	vars, err := ParseMAT(testenv.ReadShared(t, "captures/csi-nexmon/example_43455c0.mat"))
	if err != nil {
		t.Fatal(err)
	}
	if len(vars) != 1 || vars[0].Name != "csi_buff" || !cmp.Equal(vars[0].Dims, []int{566, 256}) {
		t.Fatalf("got %d variables, first %+v", len(vars), vars[0])
	}
	a, packets := vars[0], nexmonWords(t)
	if len(packets) != 548 {
		t.Fatalf("%d unpadded packets, SOURCES.md says 548", len(packets))
	}
	for row := range 566 {
		for col := range 256 {
			var want complex128
			if row < len(packets) {
				want = packets[row][col]
			}
			if got := complex(a.Re[row+566*col], a.Im[row+566*col]); got != want {
				t.Fatalf("row %d word %d: %v, capture has %v", row, col, got, want)
			}
		}
	}
	vars, err = ParseMAT(testenv.ReadShared(t, "captures/csi-nexmon/example_4358.mat"))
	if err != nil || len(vars) != 1 || !cmp.Equal(vars[0].Dims, []int{4, 256}) || len(vars[0].Im) != 1024 {
		t.Fatalf("example_4358: %v, %v", vars, err)
	}
}

// fieldOf returns a field of the only element of a struct array, or nil if there
// is none.
func fieldOf(a *MATArray, name string) *MATArray {
	for i, have := range a.Fields {
		if have == name {
			return a.Cells[i]
		}
	}
	return nil
}

func TestReadMATIntel(t *testing.T) {
	vars, err := ParseMAT(testenv.ReadShared(t, "captures/csi-intel5300/log.all_csi.6.7.6.mat"))
	if err != nil {
		t.Fatal(err)
	}
	if len(vars) != 2 || vars[0].Name != "csi" || vars[1].Name != "csi_scaled" {
		t.Fatalf("variables %v", vars)
	}
	csi, scaled := vars[0], vars[1]
	if csi.Class != MATCell || csi.Len() != 29 || scaled.Class != MATCell || scaled.Len() != 29 {
		t.Fatalf("csi %v %v, csi_scaled %v %v", csi.Class, csi.Dims, scaled.Class, scaled.Dims)
	}
	first := csi.Cells[0]
	for name, want := range map[string]float64{
		"timestamp_low": 4, "bfee_count": 72, "Nrx": 3, "Ntx": 1, "rssi_a": 33, "rssi_b": 37,
		"rssi_c": 41, "noise": -127, "agc": 38, "rate": 0x100,
	} {
		if v := fieldOf(first, name); v == nil || len(v.Re) != 1 || v.Re[0] != want {
			t.Errorf("field %s: %+v, want %v", name, v, want)
		}
	}
	// SOURCES.md gives subcarrier 0 before the permutation of antennas 3,1,2.
	data, perm := fieldOf(first, "csi"), fieldOf(first, "perm")
	want := []complex128{-5 + 14i, 10 + 6i, 11 - 3i}
	for rx, p := range perm.Re {
		if at := int(p) - 1; complex(data.Re[at], data.Im[at]) != want[rx] {
			t.Errorf("antenna %d: %v%+vi, want %v", at, data.Re[at], data.Im[at], want[rx])
		}
	}
	last := fieldOf(csi.Cells[28], "bfee_count")
	if last == nil || last.Re[0] != 100 {
		t.Errorf("last bfee_count %v, want 100", last)
	}
	at := int(perm.Re[0]) - 1
	if re := scaled.Cells[0].Re[at]; math.Abs(re+2.882777) > 1e-6 {
		t.Errorf("scaled %v, want -2.882777", re)
	}
}

// matBuilder writes test files in either byte order with any stored type.
type matBuilder struct {
	order binary.AppendByteOrder
	buf   []byte
}

func newMATBuilder(order binary.AppendByteOrder) *matBuilder {
	b := &matBuilder{order: order, buf: bytes.Repeat([]byte{' '}, 124)}
	b.buf = order.AppendUint16(b.buf, 0x0100)
	b.buf = order.AppendUint16(b.buf, 'M'<<8|'I')
	return b
}

func (b *matBuilder) element(typ uint32, data []byte) []byte {
	var e []byte
	if len(data) > 0 && len(data) <= 4 { // the small form
		e = b.order.AppendUint32(e, uint32(len(data))<<16|typ)
		e = append(e, data...)
	} else {
		e = b.order.AppendUint32(b.order.AppendUint32(e, typ), uint32(len(data)))
		e = append(e, data...)
	}
	for len(e)%8 != 0 {
		e = append(e, 0)
	}
	return e
}

func (b *matBuilder) head(class MATClass, flags uint32, name string, dims ...int) []byte {
	out := b.element(miUINT32, b.order.AppendUint32(b.order.AppendUint32(nil, uint32(class)|flags), 0))
	var d []byte
	for _, n := range dims {
		d = b.order.AppendUint32(d, uint32(n))
	}
	out = append(out, b.element(miINT32, d)...)
	return append(out, b.element(miINT8, []byte(name))...)
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func pack(b []byte) []byte {
	var z bytes.Buffer
	w := zlib.NewWriter(&z)
	_, _ = w.Write(b)
	_ = w.Close()
	return z.Bytes()
}

func TestReadMATForms(t *testing.T) {
	for name, order := range map[string]binary.AppendByteOrder{"little": binary.LittleEndian, "big": binary.BigEndian} {
		t.Run(name, func(t *testing.T) {
			b := newMATBuilder(order)
			file := join(b.buf,
				// a double stored as int16 in the small form
				b.element(miMATRIX, join(b.head(MATDouble, 0, "small", 1, 2), b.element(miINT16, order.AppendUint16(order.AppendUint16(nil, 0xfffe), 300)))),
				// complex single, imaginary part stored as bytes
				b.element(miMATRIX, join(b.head(MATSingle, 0x0800, "z", 1, 1),
					b.element(miSINGLE, order.AppendUint32(nil, math.Float32bits(1.5))), b.element(miUINT8, []byte{200}))),
				// text in UTF-16
				b.element(miMATRIX, join(b.head(MATChar, 0, "text", 1, 2), b.element(miUINT16, order.AppendUint16(order.AppendUint16(nil, 'a'), 0x00e9)))),
				// struct with two fields, one an empty array
				b.element(miMATRIX, join(b.head(MATStruct, 0, "s", 1, 1),
					b.element(miINT32, order.AppendUint32(nil, 4)), b.element(miINT8, []byte("x\x00\x00\x00yy\x00\x00")),
					b.element(miMATRIX, join(b.head(MATInt64, 0, "", 1, 1), b.element(miINT64, order.AppendUint64(nil, 1<<63)))),
					b.element(miMATRIX, nil))),
				// a class that is not read, and one stored compressed
				b.element(miMATRIX, join(b.head(MATSparse, 0, "sparse", 5, 5))),
			)
			// Compressed elements carry no padding: build the tag by hand.
			packed := pack(b.element(miMATRIX, join(b.head(MATUint8, 0, "packed", 3, 1), b.element(miUINT8, []byte{7, 8, 9}))))
			file = order.AppendUint32(order.AppendUint32(file, miCOMPRESSED), uint32(len(packed)))
			file = append(file, packed...)
			file = append(file, b.element(miMATRIX, join(b.head(MATDouble, 0, "last", 1, 1), b.element(miDOUBLE, order.AppendUint64(nil, math.Float64bits(-0.25)))))...)

			got, err := ParseMAT(file)
			if err != nil {
				t.Fatal(err)
			}
			want := []*MATArray{
				{Name: "small", Class: MATDouble, Dims: []int{1, 2}, Re: []float64{-2, 300}},
				{Name: "z", Class: MATSingle, Dims: []int{1, 1}, Re: []float64{1.5}, Im: []float64{200}},
				{Name: "text", Class: MATChar, Dims: []int{1, 2}, Text: "aé"},
				{Name: "s", Class: MATStruct, Dims: []int{1, 1}, Fields: []string{"x", "yy"}, Cells: []*MATArray{
					{Class: MATInt64, Dims: []int{1, 1}, Re: []float64{math.MinInt64}},
					{Class: MATDouble, Dims: []int{0, 0}},
				}},
				{Name: "sparse", Class: MATSparse, Dims: []int{5, 5}},
				{Name: "packed", Class: MATUint8, Dims: []int{3, 1}, Re: []float64{7, 8, 9}},
				{Name: "last", Class: MATDouble, Dims: []int{1, 1}, Re: []float64{-0.25}},
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestReadMATErrors(t *testing.T) {
	le := binary.LittleEndian
	b := newMATBuilder(le)
	good := join(b.buf, b.element(miMATRIX, join(b.head(MATDouble, 0, "v", 1, 2), b.element(miDOUBLE, make([]byte, 16)))))
	compressed := func(data []byte) []byte {
		file := le.AppendUint32(le.AppendUint32(bytes.Clone(b.buf), miCOMPRESSED), uint32(len(data)))
		return append(file, data...)
	}
	// A bomb: a head that claims 3 values, followed by 8 MB of zeros.
	bomb := join(b.head(MATDouble, 0, "bomb", 3, 1), le.AppendUint32(le.AppendUint32(nil, miDOUBLE), 8<<20), make([]byte, 8<<20))
	bomb = append(le.AppendUint32(le.AppendUint32(nil, miMATRIX), uint32(len(bomb))), bomb...)
	hdf5 := append(make([]byte, 512), "\x89HDF\r\n\x1a\n....."...)
	deep := join(b.head(MATDouble, 0, "", 1, 1), b.element(miDOUBLE, make([]byte, 8)))
	for range maxMATDepth + 1 {
		deep = join(b.head(MATCell, 0, "", 1, 1), b.element(miMATRIX, deep))
	}
	badVersion := bytes.Clone(good)
	badVersion[125] = 7
	tests := []struct {
		name      string
		file      []byte
		want      string
		truncated bool
	}{
		{"empty", nil, "128 bytes", true},
		{"mark", make([]byte, 200), "offset 126", false},
		{"version", badVersion, "offset 124", false},
		{"hdf5", hdf5, "v7.3", false},
		{"tag cut", good[:132], "offset 128", true},
		{"variable cut", good[:len(good)-1], "offset 128", true},
		{"wrong count", join(b.buf, b.element(miMATRIX, join(b.head(MATDouble, 0, "v", 1, 3), b.element(miDOUBLE, make([]byte, 16))))), `"v": real part`, false},
		{"no imaginary part", join(b.buf, b.element(miMATRIX, join(b.head(MATDouble, 0x0800, "v", 1, 2), b.element(miDOUBLE, make([]byte, 16))))), `"v"`, true},
		{"huge dims", join(b.buf, b.element(miMATRIX, join(b.head(MATDouble, 0, "v", 1<<30, 1<<30), b.element(miDOUBLE, nil)))), "limit", false},
		{"negative dims", join(b.buf, b.element(miMATRIX, join(b.head(MATDouble, 0, "v", 1, -1), b.element(miDOUBLE, nil)))), "negative", false},
		{"many cells", join(b.buf, b.element(miMATRIX, b.head(MATCell, 0, "c", 1<<20, 1))), "cells", true},
		{"deep", join(b.buf, b.element(miMATRIX, deep)), "levels", false},
		{"not zlib", compressed([]byte("hello, world")), "zlib", false},
		{"zlib cut", compressed(pack(good[128:])[:20]), "zlib", true},
		{"bomb", compressed(pack(bomb)), "exceeds the limit", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := ParseMAT(tt.file)
			if err == nil {
				t.Fatal("no error")
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %q does not contain %q", err, tt.want)
			}
			if errors.Is(err, ErrTruncated) != tt.truncated {
				t.Errorf("error %q: truncated is not %v", err, tt.truncated)
			}
		})
	}
}

func TestCSIRoundTrip(t *testing.T) {
	amp, phase := make([]float64, csiValues), make([]float64, csiValues)
	for i := range amp {
		amp[i], phase[i] = float64(i), -float64(i)/7
	}
	amp[5], amp[6] = math.Inf(-1), math.NaN()
	file, err := EncodeCSI(amp, phase)
	if err != nil {
		t.Fatal(err)
	}
	gotAmp, gotPhase, err := DecodeCSI(file)
	if err != nil {
		t.Fatal(err)
	}
	for i := range amp {
		if math.Float64bits(gotAmp[i]) != math.Float64bits(amp[i]) || gotPhase[i] != phase[i] {
			t.Fatalf("value %d: %v %v, want %v %v", i, gotAmp[i], gotPhase[i], amp[i], phase[i])
		}
	}
	// In the file antenna runs fastest, then subcarrier, then packet.
	vars, err := ParseMAT(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range [][3]int{{0, 0, 1}, {0, 1, 0}, {2, 113, 9}, {1, 57, 4}} {
		a, s, p := at[0], at[1], at[2]
		if got, want := vars[0].Re[a+3*(s+114*p)], amp[(a*114+s)*10+p]; got != want {
			t.Errorf("antenna %d subcarrier %d packet %d: %v, want %v", a, s, p, got, want)
		}
	}
	if _, err := EncodeCSI(amp[1:], phase); err == nil {
		t.Error("short CSI was written")
	}
}

func TestDecodeCSIErrors(t *testing.T) {
	write := func(arrays ...*MATArray) []byte {
		var b bytes.Buffer
		if err := WriteMAT(&b, arrays...); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	amp := &MATArray{Name: "CSIamp", Class: MATDouble, Dims: csiDims, Re: make([]float64, csiValues)}
	flat := &MATArray{Name: "CSIamp", Class: MATDouble, Dims: []int{342, 10}, Re: make([]float64, csiValues)}
	for name, tt := range map[string]struct {
		file []byte
		want string
	}{
		"wrong phase": {write(amp, &MATArray{Name: "CSIphase", Class: MATDouble, Dims: []int{342, 10}, Re: make([]float64, csiValues)}), "shape [342 10]"},
		"wrong shape": {write(flat), "shape [342 10]"},
		"nothing":     {write(), "CSIamp is missing"},
	} {
		if _, _, err := DecodeCSI(tt.file); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want %q", name, err, tt.want)
		}
	}
}

func TestMATRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var arrays []*MATArray
		for range rapid.IntRange(0, 3).Draw(t, "variables") {
			dims := rapid.SliceOfN(rapid.IntRange(0, 4), 2, 4).Draw(t, "dims")
			a := &MATArray{Name: rapid.StringMatching(`[a-z][A-Za-z0-9_]{0,30}`).Draw(t, "name"), Class: MATDouble, Dims: dims, Re: []float64{}}
			for range a.Len() {
				a.Re = append(a.Re, rapid.Float64().Draw(t, "value"))
			}
			arrays = append(arrays, a)
		}
		var b bytes.Buffer
		if err := WriteMAT(&b, arrays...); err != nil {
			t.Fatal(err)
		}
		got, err := ParseMAT(b.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(arrays, got); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestWriteMATRefuses(t *testing.T) {
	for name, a := range map[string]*MATArray{
		"no name":     {Class: MATDouble, Dims: []int{1, 1}, Re: []float64{1}},
		"wrong count": {Name: "a", Class: MATDouble, Dims: []int{1, 2}, Re: []float64{1}},
		"not double":  {Name: "a", Class: MATCell, Dims: []int{0, 0}},
	} {
		if err := WriteMAT(io.Discard, a); err == nil {
			t.Errorf("%s: written", name)
		}
	}
}

func FuzzParseMAT(f *testing.F) {
	f.Add(testenv.ReadShared(f, "captures/csi-nexmon/example_4358.mat"))
	var plain bytes.Buffer
	if err := WriteMAT(&plain, &MATArray{Name: "a", Class: MATDouble, Dims: []int{2, 1, 2}, Re: []float64{1, 2, 3, 4}}); err != nil {
		f.Fatal(err)
	}
	f.Add(plain.Bytes())
	b := newMATBuilder(binary.BigEndian)
	f.Add(join(b.buf, b.element(miMATRIX, join(b.head(MATDouble, 0, "small", 1, 2), b.element(miINT16, []byte{1, 2, 3, 4})))))
	f.Add(join(b.buf, b.element(miMATRIX, join(b.head(MATStruct, 0, "s", 1, 1),
		b.element(miINT32, []byte{0, 0, 0, 2}), b.element(miINT8, []byte("x\x00")), b.element(miMATRIX, nil)))))
	f.Fuzz(func(t *testing.T, file []byte) {
		vars, err := ParseMAT(file)
		if err != nil {
			return
		}
		for _, v := range vars {
			if v.Class.numeric() && len(v.Re) != v.Len() {
				t.Fatalf("%q: %d values, dimensions %v", v.Name, len(v.Re), v.Dims)
			}
		}
	})
}
