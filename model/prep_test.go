package model

import (
	"encoding/binary"
	"math"
	"slices"
	"strconv"
	"testing"

	"pgregory.net/rapid"
)

func TestCleanCSI(t *testing.T) {
	inf, nan := math.Inf(1), math.NaN()
	for _, c := range []struct {
		name    string
		amp     []float64
		packets int
		want    []float32
		ok      bool
	}{
		{"worked example", []float64{1, inf, 3, 4, nan, 8}, 2, []float32{0, 5. / 7, 2. / 7, 3. / 7, 1. / 7, 1}, true},
		{"zero amplitude", []float64{1, -inf, 3, 4, 2, 8}, 2, []float32{0, 5. / 7, 2. / 7, 3. / 7, 1. / 7, 1}, true},
		{"packet without a value", []float64{0, nan, 2, inf, 4, -inf}, 2, []float32{0, .5, .5, .5, 1, .5}, true},
		{"flat", []float64{5, 5, 5, nan}, 2, []float32{0, 0, 0, 0}, false},
		{"beyond all bounds", []float64{1, 1e308, 3, 4, -1e308, 8}, 2, []float32{0, 5. / 7, 2. / 7, 3. / 7, 1. / 7, 1}, true},
		{"nothing finite", []float64{nan, inf, -inf, nan}, 2, []float32{0, 0, 0, 0}, false},
	} {
		got := make([]float32, len(c.amp))
		ok := cleanCSI(got, c.amp, c.packets)
		if ok != c.ok {
			t.Errorf("%s: ok = %v", c.name, ok)
		}
		for i := range got {
			if math.Abs(float64(got[i]-c.want[i])) > 1e-6 {
				t.Errorf("%s: %v, want %v", c.name, got, c.want)
				break
			}
		}
	}
}

func TestCleanCSIStaysInRange(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.OneOf(rapid.Float64Range(-80, 80), rapid.SampledFrom([]float64{math.NaN(), math.Inf(1), math.Inf(-1), math.MaxFloat64, -math.MaxFloat64}))
		amp := rapid.SliceOfN(value, 40, 40).Draw(t, "amp")
		dst := make([]float32, len(amp))
		cleanCSI(dst, amp, CSIPackets)
		for i, v := range dst {
			if !(v >= 0 && v <= 1) {
				t.Fatalf("value %d is %v", i, v)
			}
		}
	})
}

func TestCSIAmplitude(t *testing.T) {
	packets := make([][]complex64, CSIPackets)
	for p := range packets {
		packets[p] = make([]complex64, CSIAntennas*CSISubcarriers)
		packets[p][7] = complex(3, 4) * complex(float32(p), 0)
	}
	dst := make([]float64, CSIValues)
	if err := CSIAmplitude(dst, packets); err != nil {
		t.Fatal(err)
	}
	for p := range packets {
		want := 20 * math.Log10(5*float64(p)) // -Inf for p = 0
		if got := dst[7*CSIPackets+p]; got != want && !(math.Abs(got-want) < 1e-9) {
			t.Errorf("packet %d: %v dB, want %v", p, got, want)
		}
	}
	packets[3] = packets[3][:5]
	if err := CSIAmplitude(dst, packets); err == nil {
		t.Error("a short packet is accepted")
	}
	if err := CSIAmplitude(dst, packets[:9]); err == nil {
		t.Error("nine packets are accepted")
	}
}

func TestPrepKeypoints(t *testing.T) {
	var xy [NumJoints][2]float64
	xy[0] = [2]float64{0, 0}
	xy[1] = [2]float64{640, 480}
	xy[2] = [2]float64{320, 240}
	xy[3] = [2]float64{math.NaN(), 1}
	var dst [34]float32
	if PrepKeypoints(dst[:], &xy, 640, 480) {
		t.Error("a NaN keypoint goes unnoticed")
	}
	if want := []float32{-1, -.75, 1, .75, 0, 0, 0, 0}; !slices.Equal(dst[:8], want) {
		t.Errorf("%v, want %v", dst[:8], want)
	}
	for _, far := range []float64{math.Inf(-1), 1e300, -1e40} { // finite in float64, not in float32
		xy[3] = [2]float64{1, far}
		if PrepKeypoints(dst[:], &xy, 640, 480) || dst[6] != 0 || dst[7] != 0 {
			t.Errorf("a keypoint at %g becomes %v", far, dst[6:8])
		}
	}
	xy[3] = [2]float64{}
	if !PrepKeypoints(dst[:], &xy, 640, 480) {
		t.Error("finite keypoints are flagged")
	}
}

func TestPrepPoints(t *testing.T) {
	dst := make([]float32, 5*3)
	if n := PrepPoints(dst, []float64{1, 2, 3, 4, 5, math.NaN(), 7, 8, 9}, 3); n != 2 {
		t.Errorf("%d usable rows", n)
	}
	if want := []float32{1, 2, 3, 7, 8, 9, 1, 2, 3, 7, 8, 9, 1, 2, 3}; !slices.Equal(dst, want) {
		t.Errorf("repeat: %v", dst)
	}
	if n := PrepPoints(dst, []float64{math.Inf(1), 0, 0}, 3); n != 0 || slices.Max(dst) != 0 {
		t.Errorf("empty frame: %d rows, %v", n, dst)
	}
}

func TestPrepPointsOfBadClouds(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	for _, c := range []struct {
		name string
		raw  []float64
		have int
		want []float32 // two rows of three
	}{
		{"no point", nil, 0, []float32{0, 0, 0, 0, 0, 0}},
		{"one point", []float64{1, 2, 3}, 1, []float32{1, 2, 3, 1, 2, 3}},
		{"not a whole row", []float64{1, 2}, 0, []float32{0, 0, 0, 0, 0, 0}},
		{"a row and a half", []float64{1, 2, 3, 4}, 1, []float32{1, 2, 3, 1, 2, 3}},
		{"NaN first", []float64{nan, 2, 3, 4, 5, 6}, 1, []float32{4, 5, 6, 4, 5, 6}},
		{"infinite last", []float64{4, 5, 6, 1, 2, inf}, 1, []float32{4, 5, 6, 4, 5, 6}},
		{"nothing finite", []float64{nan, nan, nan, -inf, 0, 0}, 0, []float32{0, 0, 0, 0, 0, 0}},
		{"huge", []float64{1e30, 0, 0, 1, 1, 1}, 1, []float32{1, 1, 1, 1, 1, 1}},
		{"beyond float32", []float64{0, -1e300, 0}, 0, []float32{0, 0, 0, 0, 0, 0}},
		{"at the bound", []float64{MaxPointValue, -MaxPointValue, 0}, 1, []float32{MaxPointValue, -MaxPointValue, 0, MaxPointValue, -MaxPointValue, 0}},
	} {
		dst := []float32{9, 9, 9, 9, 9, 9}
		if have := PrepPoints(dst, c.raw, 3); have != c.have || !slices.Equal(dst, c.want) {
			t.Errorf("%s: %d usable rows, %v; want %d, %v", c.name, have, dst, c.have, c.want)
		}
	}
}

// FuzzPrepPoints reads any bits as a cloud: all that comes out must be finite
// and bounded, and the usable rows are those one by one.
func FuzzPrepPoints(f *testing.F) {
	f.Add([]byte{0, 0, 0xc0, 0x7f, 1, 2, 3, 4, 0, 0, 0x80, 0xff, 0, 0, 0, 0}, uint8(3), uint8(4))
	f.Add(make([]byte, 400), uint8(5), uint8(2))
	f.Fuzz(func(t *testing.T, data []byte, dim, n uint8) {
		d := 1 + int(dim)%6
		raw := make([]float32, len(data)/4)
		for i := range raw {
			raw[i] = math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:]))
		}
		dst := make([]float32, d*(1+int(n)%50))
		want := 0
		for i := 0; i+d <= len(raw); i += d {
			ok := true
			for _, v := range raw[i : i+d] {
				ok = ok && math.Abs(float64(v)) <= MaxPointValue
			}
			if ok {
				want++
			}
		}
		if have := PrepPoints(dst, raw, d); have != want {
			t.Fatalf("%d usable rows, want %d", have, want)
		}
		for i, v := range dst {
			if !(math.Abs(float64(v)) <= MaxPointValue) || want == 0 && v != 0 {
				t.Fatalf("value %d is %v", i, v)
			}
		}
	})
}

func BenchmarkPrepPoints(b *testing.B) {
	for _, rows := range []int{1024, 65536, 1_000_000} {
		b.Run(strconv.Itoa(rows), func(b *testing.B) {
			raw, dst := make([]float32, 3*rows), make([]float32, 3*1024)
			for i := range raw {
				raw[i] = float32(i % 1000)
			}
			b.ReportAllocs()
			for b.Loop() {
				PrepPoints(dst, raw, 3)
			}
		})
	}
}

// Points are chosen without replacement, in order, by their number alone.
func TestPrepPointsChoice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 40).Draw(t, "n")
		rows := rapid.IntRange(1, 200).Draw(t, "rows")
		a, b := make([]float32, n), make([]float32, n)
		x, y := make([]float64, rows), make([]float32, rows)
		for i := range x {
			x[i], y[i] = float64(i), float32(1000+i)
		}
		PrepPoints(a, x, 1)
		PrepPoints(b, y, 1)
		for i := range a {
			if b[i] != a[i]+1000 {
				t.Fatalf("the choice depends on the values: %v, %v", a, b)
			}
			if rows >= n && i > 0 && a[i] <= a[i-1] {
				t.Fatalf("not in order: %v", a)
			}
			if rows < n && a[i] != float32(i%rows) {
				t.Fatalf("not cyclic: %v", a)
			}
		}
	})
}

func TestPrepPointsChoosesEvenly(t *testing.T) {
	const rows, n = 1200, 512
	x, dst := make([]float64, rows), make([]float32, n)
	for i := range x {
		x[i] = float64(i)
	}
	PrepPoints(dst, x, 1)
	var sum float64
	for _, v := range dst {
		sum += float64(v)
	}
	if m := sum / n; math.Abs(m-(rows-1)/2.) > 45 { // three deviations of the mean
		t.Errorf("mean chosen index %.1f", m)
	}
}
