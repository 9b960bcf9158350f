package radar

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// streams lists the captures with whole frames, by layout.
var streams = []string{
	"xwr68xx_oob_sdk3.3_processed_stream.dat",
	"iwr1443_oob_sdk2.1_scatter.dat",
	"iwr1443_oob_sdk2.1_profile_stats.dat",
	"awr1843_oob_sdk3.6_mer1.dat",
	"iwr6843_3d_people_counting_sdk3.5.bin",
}

// frameBytes cuts a capture into its good frames and tells their layout.
func frameBytes(t testing.TB, name string, n int) ([][]byte, Layout) {
	t.Helper()
	b := recorded(t, name)
	r := decodeAll(LayoutAuto, b)
	var out [][]byte
	for _, f := range r.Frames[:n] {
		i := bytes.Index(b, magic)
		for int(binary.LittleEndian.Uint32(b[i+20:])) != int(f.FrameNumber) {
			i += 8 + bytes.Index(b[i+8:], magic)
		}
		out = append(out, b[i:i+f.Bytes])
		b = b[i+f.Bytes:]
	}
	return out, r.Frames[0].Layout
}

func numbers(r result) []uint32 {
	var n []uint32
	for _, f := range r.Frames {
		n = append(n, f.FrameNumber)
	}
	return n
}

func TestCutAtEveryOffset(t *testing.T) {
	for _, name := range streams {
		t.Run(name, func(t *testing.T) {
			fr, layout := frameBytes(t, name, 3)
			want := numbers(decodeAll(layout, bytes.Join(fr[1:], nil)))
			for cut := range fr[0] {
				// The end of a frame, as when the stream is joined in the middle.
				if got := numbers(decodeAll(layout, bytes.Join([][]byte{fr[0][cut:], fr[1], fr[2]}, nil))); cut > 0 && !reflect.DeepEqual(got, want) {
					t.Fatalf("tail from %d: frames %v, want %v", cut, got, want)
				}
				// The start of a frame, as when the sensor restarts.
				if got := numbers(decodeAll(layout, bytes.Join([][]byte{fr[0][:cut], fr[1], fr[2]}, nil))); !reflect.DeepEqual(got, want) {
					t.Fatalf("head to %d: frames %v, want %v", cut, got, want)
				}
				if got := decodeAll(layout, fr[0][:cut]); len(got.Frames) != 0 {
					t.Fatalf("head to %d alone gives a frame", cut)
				}
			}
		})
	}
}

func TestOneByteMissingLosesOneFrame(t *testing.T) {
	for _, name := range streams {
		t.Run(name, func(t *testing.T) {
			fr, layout := frameBytes(t, name, 3)
			for hurt := range 2 {
				want := numbers(decodeAll(layout, bytes.Join([][]byte{fr[1-hurt], fr[2]}, nil)))
				for i := range fr[hurt] {
					parts := [][]byte{fr[0], fr[1], fr[2]}
					parts[hurt] = append(bytes.Clone(fr[hurt][:i]), fr[hurt][i+1:]...)
					if got := numbers(decodeAll(layout, bytes.Join(parts, nil))); !reflect.DeepEqual(got, want) {
						t.Fatalf("byte %d of frame %d missing: frames %v, want %v", i, hurt, got, want)
					}
				}
			}
		})
	}
}

func TestForeignFramesRejected(t *testing.T) {
	own, _ := frameBytes(t, "xwr68xx_oob_sdk3.3_processed_stream.dat", 8)
	for _, name := range []string{"iwr1443_oob_sdk2.1_scatter.dat", "iwr6843_3d_people_counting_sdk3.5.bin"} {
		foreign, _ := frameBytes(t, name, 5)
		stream := bytes.Join([][]byte{bytes.Join(own[:4], nil), bytes.Join(foreign, nil), bytes.Join(own[4:], nil)}, nil)
		got := decodeAll(LayoutAuto, stream)
		if want := numbers(decodeAll(Layout40, bytes.Join(own, nil))); !reflect.DeepEqual(numbers(got), want) {
			t.Errorf("%s in between: frames %v, want %v", name, numbers(got), want)
		}
		n := 0
		for _, c := range got.Rejects {
			n += c
		}
		if n != len(foreign) {
			t.Errorf("%s: %d rejected %v, want %d", name, n, got.Rejects, len(foreign))
		}
	}
	// A stray frame before the probe is done must not decide the layout.
	stray, _ := frameBytes(t, "iwr1443_oob_sdk2.1_scatter.dat", 1)
	got := decodeAll(LayoutAuto, bytes.Join(append([][]byte{stray[0]}, own...), nil))
	if len(got.Frames) != len(own) || got.Rejects[UnsupportedLayout] != 1 {
		t.Errorf("stray first frame: %d frames, rejects %v", len(got.Frames), got.Rejects)
	}
}

func TestFlushEndsTheWaitForTheNextMagic(t *testing.T) {
	// The last byte of the payload is the first of a magic, no padding.
	f := &Frame{FrameNumber: 1, CPUCycles: 5, Points: []Point{{X: 1}}}
	b, err := AppendFrame(nil, f)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)-1] = magic[0]
	var got []*Frame
	d := NewDecoder(Layout40, func(f *Frame) { got = append(got, cloneFrame(f)) }, func(r Reason) { t.Errorf("rejected: %s", r) })
	d.Feed(7, b)
	if len(got) != 0 {
		t.Fatal("frame delivered although its end may be the next frame's start")
	}
	d.Flush(9)
	if len(got) != 1 || got[0].MagicNS != 7 {
		t.Fatalf("after the flush: %d frames", len(got))
	}
}

func TestMagicTimeIsThatOfTheChunkWithItsLastByte(t *testing.T) {
	b, err := AppendFrame([]byte("junk"), &Frame{FrameNumber: 1})
	if err != nil {
		t.Fatal(err)
	}
	var got []*Frame
	d := NewDecoder(Layout40, func(f *Frame) { got = append(got, cloneFrame(f)) }, func(Reason) {})
	for i := range b {
		d.Feed(int64(i), b[i:i+1])
	}
	if len(got) != 1 || got[0].MagicNS != 4+7 {
		t.Fatalf("%d frames, magic at %d, want 11", len(got), got[0].MagicNS)
	}
}

// A frame says the same after any other as it says alone.
func TestAFrameLeavesNothingBehind(t *testing.T) {
	presence := uint32(1)
	full := &Frame{
		FrameNumber: 1, Points: []Point{{X: 1, Y: 2, SNRdB: 3}, {Y: 4, NoiseDB: 2}}, Presence: &presence,
		Spherical:   []SphericalPoint{{RangeM: 1, SNR: 9}, {RangeM: 2, AzimuthRad: 0.5}},
		Targets:     []Target{{ID: 3, Pos: [3]float32{1, 2, 3}, Covariance: make([]float32, 16), Gain: 2, Confidence: 0.5}, {ID: 4, Covariance: []float32{15: 7}}},
		TargetIndex: []uint8{3, 255}, Heights: []Height{{ID: 3, MaxZ: 2}},
		Stats: &Stats{FrameMarginUS: 5}, Temperature: &Temperature{TimeMS: 9}, Other: []TLV{{Type: 77, Payload: []byte("twelve bytes")}},
	}
	frames := []*Frame{full, {FrameNumber: 2}, {FrameNumber: 3, Points: []Point{{X: 5}}}, {FrameNumber: 4, Spherical: full.Spherical[:1], Points: full.Points[:1], Targets: []Target{{ID: 9, Covariance: make([]float32, 9)}}}, full}
	for _, layout := range probeOrder {
		var stream []byte
		var alone []*Frame
		for _, f := range frames {
			b, err := AppendFrameAs(nil, layout, f)
			if err != nil {
				continue // the layout cannot say it
			}
			stream = append(stream, b...)
			alone = append(alone, decodeAll(layout, b).Frames...)
		}
		if len(alone) < 3 {
			t.Errorf("%s: only %d frames decode alone", layout, len(alone))
		}
		if diff := cmp.Diff(alone, decodeAll(layout, stream).Frames); diff != "" {
			t.Errorf("%s: frames of a stream differ from themselves alone (-alone +stream):\n%s", layout, diff)
		}
	}
}

func TestRejectReasons(t *testing.T) {
	base := func() []byte {
		b, err := AppendFrame(nil, &Frame{FrameNumber: 3, Points: []Point{{X: 1, Y: 2, SNRdB: 3}, {Y: 4}}})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	le := binary.LittleEndian
	tests := []struct {
		name  string
		spoil func(b []byte)
		want  Reason
	}{
		{"length zero", func(b []byte) { le.PutUint32(b[12:], 0) }, BadLength},
		{"length beyond the limit", func(b []byte) { le.PutUint32(b[12:], MaxFrameLen+1) }, BadLength},
		{"too many tlvs", func(b []byte) { le.PutUint32(b[32:], 33) }, BadTLV},
		{"tlv longer than the frame", func(b []byte) { le.PutUint32(b[44:], 1<<31) }, BadTLV},
		{"more tlvs than bytes", func(b []byte) { le.PutUint32(b[32:], 9) }, BadTLV},
		{"wrong count", func(b []byte) { le.PutUint32(b[28:], 3) }, PointCount},
		{"nan", func(b []byte) { le.PutUint32(b[48:], 0x7FC00000) }, BadValue},
		{"infinite", func(b []byte) { le.PutUint32(b[52:], 0x7F800000) }, BadValue},
		{"points without their tlv", func(b []byte) { b[40] = 100 }, PointCount},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			b := base()
			tc.spoil(b)
			good, _ := AppendFrame(nil, &Frame{FrameNumber: 4})
			r := decodeAll(Layout40, append(b, good...))
			if len(r.Frames) != 1 || r.Frames[0].FrameNumber != 4 || r.Rejects[tc.want] != 1 || len(r.Rejects) != 1 {
				t.Errorf("%d frames, rejects %v; want the next frame and one %s", len(r.Frames), r.Rejects, tc.want)
			}
		})
	}
	people, _ := frameBytes(t, "iwr6843_3d_people_counting_sdk3.5.bin", 1)
	b := bytes.Clone(people[0])
	b[30]++ // in the header, after everything that is checked otherwise
	if r := decodeAll(Layout48, b); r.Rejects[BadChecksum] != 1 {
		t.Errorf("spoiled people counting header: rejects %v", r.Rejects)
	}
}

// TestPlanarPeopleCounting builds the 52-byte form by hand: no capture exists.
func TestPlanarPeopleCounting(t *testing.T) {
	le := binary.LittleEndian
	var body []byte
	body = le.AppendUint32(body, 6)
	body = le.AppendUint32(body, 8+16+2*6)
	for _, u := range []uint32{0x3C23D70A, 0x3DCCCCCD, 0x3C23D70A, 0x3F000000} { // 0.01 rad, 0.1 m/s, 0.01 m, 0.5
		body = le.AppendUint32(body, u)
	}
	body = append(body, 0, 0xFE, 200, 0, 9, 0) // az 0, v -0.2, r 2, snr 4.5
	body = append(body, 50, 3, 100, 0, 4, 0)   // az 0.5, v 0.3, r 1, snr 2
	b := append([]byte(nil), magic...)
	for _, v := range []uint32{3 << 24, 0x000A6843, 77, uint32(52 + len(body)), 12, 0, 0, 0, 0, 0} {
		b = le.AppendUint32(b, v)
	}
	b = le.AppendUint16(b, 1)
	var sum uint32
	for i := 0; i < len(b); i += 2 {
		sum += uint32(le.Uint16(b[i:]))
	}
	for sum>>16 != 0 {
		sum = sum>>16 + sum&0xFFFF
	}
	b = le.AppendUint16(b, ^uint16(sum))
	b = append(b, body...)
	r := decodeAll(LayoutAuto, b)
	if len(r.Frames) != 1 {
		t.Fatalf("rejects %v", r.Rejects)
	}
	f := r.Frames[0]
	if f.Layout != Layout52 || f.FrameNumber != 12 || len(f.Points) != 2 || f.HasCycles {
		t.Fatalf("%+v", f)
	}
	if p := f.Points[0]; !near(float64(p.Y), 2) || p.X != 0 || !near(float64(p.Doppler), -0.2) || !near(float64(p.SNRdB), 6.532) || f.Spherical[0].SNR != 4.5 {
		t.Errorf("first point %+v", p)
	}
	if s := f.Spherical[1]; !near(float64(s.AzimuthRad), 0.5) || s.RangeM != 1 {
		t.Errorf("second point %+v", s)
	}
}

func TestEncodeDecode(t *testing.T) {
	value := rapid.Float32Range(-50, 50)
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 60).Draw(t, "n")
		f := &Frame{
			Layout: Layout40, Version: VersionSDK36, Platform: PlatformIWR6843,
			FrameNumber: rapid.Uint32().Draw(t, "number"), CPUCycles: rapid.Uint32().Draw(t, "cycles"), HasCycles: true,
			Subframe: rapid.Uint32Range(0, 3).Draw(t, "subframe"),
		}
		for i := range n {
			f.Points = append(f.Points, Point{
				X: value.Draw(t, fmt.Sprint("x", i)), Y: value.Draw(t, "y"), Z: value.Draw(t, "z"), Doppler: value.Draw(t, "v"),
				SNRdB: float32(rapid.Int16().Draw(t, "snr")) / 10, NoiseDB: float32(rapid.Int16().Draw(t, "noise")) / 10,
			})
		}
		b, err := AppendFrame([]byte{1, 2}, f)
		if err != nil {
			t.Fatal(err)
		}
		if len(b[2:])%32 != 0 {
			t.Fatalf("%d bytes, not a multiple of 32", len(b)-2)
		}
		f.Bytes = len(b) - 2
		for _, l := range []Layout{LayoutAuto, Layout40} {
			r := decodeAll(l, b)
			if len(r.Frames) != 1 || !reflect.DeepEqual(r.Frames[0], f) {
				t.Fatalf("%v: got %+v\nwant %+v\nrejects %v", l, r.Frames, f, r.Rejects)
			}
		}
		for _, p := range f.Points {
			q := PointFromSensor(p.Sensor())
			if q.X != p.X || q.Y != p.Y || q.Z != p.Z || q.Doppler != p.Doppler || q.SNRdB != p.SNRdB {
				t.Fatalf("axes: %+v became %+v", p, q)
			}
		}
	})
}

func TestEncodeRefuses(t *testing.T) {
	nan := float32(0)
	nan /= nan
	for name, f := range map[string]*Frame{
		"nan":      {Points: []Point{{X: nan}}},
		"too many": {Points: make([]Point, 5000)},
	} {
		if b, err := AppendFrame([]byte{9}, f); err == nil || len(b) != 1 {
			t.Errorf("%s: %d bytes, error %v", name, len(b), err)
		}
	}
}

func FuzzDecoder(f *testing.F) {
	for i, name := range streams {
		fr, _ := frameBytes(f, name, 3)
		f.Add(bytes.Join(fr, nil), uint16(100*i+1), uint8(i))
	}
	f.Add(recorded(f, "vital_signs_lab_unknown_tlvs.bin")[:288*4], uint16(50), uint8(0))
	f.Add([]byte("\x02\x01\x04\x03\x06\x05\x08\x07"), uint16(3), uint8(1))
	f.Fuzz(func(t *testing.T, b []byte, cut uint16, layout uint8) {
		l := Layout(layout % 5)
		whole := decodeAll(l, b)
		if single := decodeChunks(l, b, func() int { return 1 }); !reflect.DeepEqual(whole, single) {
			t.Fatal("byte by byte differs from at once")
		}
		prefix := b[:min(int(cut), len(b))]
		// The end may settle a probe on less, so compare what is delivered live.
		count := func(b []byte) (n int) {
			d := NewDecoder(l, func(*Frame) { n++ }, func(Reason) {})
			d.Feed(0, b)
			if cap(d.buf) > 4*(MaxFrameLen+len(b)) {
				t.Fatalf("buffer of %d bytes for %d", cap(d.buf), len(b))
			}
			return n
		}
		if count(prefix) > count(b) {
			t.Fatal("a prefix gives more frames than the whole")
		}
		used := 0
		for _, f := range whole.Frames {
			used += f.Bytes
		}
		if used+int(whole.Junk) > len(b) {
			t.Fatalf("%d frame bytes and %d junk bytes of %d", used, whole.Junk, len(b))
		}
	})
}
