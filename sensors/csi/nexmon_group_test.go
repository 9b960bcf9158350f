package csi

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/cmplx"
	"math/rand/v2"
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"posefuse/internal/testenv"
)

type counter map[string]uint64

func (c counter) count(o string, n uint64) { c[o] += n }

// groups collects what a grouper gives.
type groups []*NexmonGroup

func (l *groups) take(g *NexmonGroup) { *l = append(*l, g) }

func grouper(t interface {
	Helper()
	Fatal(args ...any)
}, cores int) (*NexmonGrouper, counter, *groups) {
	t.Helper()
	c, out := counter{}, &groups{}
	g, err := NewNexmonGrouper(cores, 0, out.take, c.count)
	if err != nil {
		t.Fatal(err)
	}
	return g, c, out
}

// packNexmon packs 114 used tones, ascending, of a 40 MHz channel into the 128
// FFT-order words of a 43455c0 frame. Values are rounded to integers; one
// outside int16 is an error. One frame holds one antenna: three frames with
// cores 0, 1 and 2 and the same sequence number make the model's 3 x 114.
//
// The old header (New false) keeps all 114 tones; under the new one readers
// must take tone +2 for overwritten.
func packNexmon(h []complex64) ([]uint32, error) {
	const n = 128
	tones := NexmonTones(n)
	if len(h) != len(tones) {
		return nil, fmt.Errorf("nexmon 40 mhz frame takes %d tones, got %d", len(tones), len(h))
	}
	words := make([]uint32, n)
	for i, k := range tones {
		re, im := math.RoundToEven(float64(real(h[i]))), math.RoundToEven(float64(imag(h[i])))
		if !(math.Abs(re) <= math.MaxInt16 && math.Abs(im) <= math.MaxInt16) {
			return nil, fmt.Errorf("csi value %v (tone %d) does not fit 16 bits: scale the recording", h[i], k)
		}
		words[(k+n)%n] = Int16Word(int16(re), int16(im))
	}
	return words, nil
}

// fakeNexmon returns the three datagrams' frames of one packet of the model's
// shape.
func fakeNexmon(t testing.TB, h []complex64, seq uint16) []*NexmonFrame {
	t.Helper()
	var out []*NexmonFrame
	for core := range ModelAntennas {
		words, err := packNexmon(h[core*ModelTones : (core+1)*ModelTones])
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, &NexmonFrame{MAC: [6]byte{2, 0, 0, 0, 0, 1}, SequenceCtl: seq << 4, Core: core, Chanspec: MakeChanspec(38, 40), Chip: Chip43455, Words: words})
	}
	return out
}

func randomH(seed uint64, n, limit int) []complex64 {
	rng := rand.New(rand.NewPCG(seed, 9))
	h := make([]complex64, n)
	for i := range h {
		h[i] = complex(float32(rng.IntN(2*limit)-limit), float32(rng.IntN(2*limit)-limit))
	}
	return h
}

// TestNexmonCarriesTheModelsPacket: words, datagrams, grouping and back give
// the same integers, whatever the order of the datagrams.
func TestNexmonCarriesTheModelsPacket(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := randomH(rapid.Uint64().Draw(t, "seed"), 3*ModelTones, 32767)
		var frames []*NexmonFrame
		for core := range ModelAntennas {
			words, err := packNexmon(h[core*ModelTones : (core+1)*ModelTones])
			if err != nil {
				t.Fatal(err)
			}
			frames = append(frames, &NexmonFrame{SequenceCtl: 16, Core: core, Chanspec: MakeChanspec(38, 40), Chip: Chip43455, Words: words})
		}
		g, c, out := grouper(t, 3)
		for i, k := range rapid.Permutation([]int{0, 1, 2}).Draw(t, "order") {
			b, encErr := AppendNexmon(nil, frames[k])
			f, decErr := ParseNexmon(b)
			if encErr != nil || decErr != nil || len(b) != 530 {
				t.Fatalf("%d bytes, %v, %v", len(b), encErr, decErr)
			}
			g.Add(int64(100+i), f)
		}
		if len(*out) != 1 || (*out)[0].FirstNS != 100 || len(c) != 0 {
			t.Fatalf("groups %v, counts %v", *out, c)
		}
		p, err := (*out)[0].reception(ChipAuto)
		if err != nil || !reflect.DeepEqual(p.h, h) || !reflect.DeepEqual(p.tones, AtherosTones(114)) || !reflect.DeepEqual(p.names, []int{0, 1, 2}) {
			t.Fatalf("packet of antennas %v with %d tones differs, %v", p.names, len(p.tones), err)
		}
	})
}

func TestGrouping(t *testing.T) {
	const ms = int64(1e6)
	type in struct {
		at     int64
		seq    uint16
		core   int
		stream int
		mac    byte
	}
	tests := []struct {
		name   string
		in     []in
		groups int
		want   counter
	}{
		{"in order", []in{{seq: 16}, {seq: 16, core: 1}, {seq: 16, core: 2}}, 1, counter{}},
		{"interleaved", []in{{seq: 16}, {seq: 32}, {seq: 16, core: 1}, {seq: 32, core: 2}, {seq: 32, core: 1}, {seq: 16, core: 2}}, 2, counter{}},
		{"two senders", []in{{seq: 16}, {seq: 16, mac: 1}, {seq: 16, core: 1}, {seq: 16, core: 2}}, 1, counter{OutcomeIncomplete: 1}},
		{"one core missing", []in{{seq: 16}, {seq: 16, core: 2}, {at: 6 * ms, seq: 32}}, 0, counter{OutcomeIncomplete: 3}},
		{"last core too late", []in{{seq: 16}, {seq: 16, core: 1}, {at: 5*ms + 1, seq: 16, core: 2}}, 0, counter{OutcomeIncomplete: 3}},
		{"last core just in time", []in{{seq: 16}, {seq: 16, core: 1}, {at: 5 * ms, seq: 16, core: 2}}, 1, counter{}},
		{"duplicate inside", []in{{seq: 16}, {seq: 16}, {seq: 16, core: 1}, {seq: 16, core: 2}}, 1, counter{OutcomeDuplicate: 1}},
		{"duplicate after", []in{{seq: 16}, {seq: 16, core: 1}, {seq: 16, core: 2}, {at: ms, seq: 16, core: 1}}, 1, counter{OutcomeDuplicate: 1}},
		{"sequence number used again later", []in{{seq: 16}, {seq: 16, core: 1}, {seq: 16, core: 2}, {at: 9 * ms, seq: 16}, {at: 9 * ms, seq: 16, core: 1}, {at: 9 * ms, seq: 16, core: 2}}, 2, counter{}},
		{"unnumbered", []in{{}, {core: 1}, {core: 2}, {at: ms}, {at: ms, core: 1}, {at: 2 * ms}, {at: 2 * ms, core: 1}, {at: 2 * ms, core: 2}}, 2, counter{OutcomeIncomplete: 2}},
		{"other stream and core", []in{{seq: 16, stream: 1}, {seq: 16, core: 3}}, 0, counter{OutcomeOtherPart: 2}},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			g, c, out := grouper(t, 3)
			for _, x := range tc.in {
				g.Add(x.at, &NexmonFrame{MAC: [6]byte{x.mac}, SequenceCtl: x.seq, Core: x.core, Stream: x.stream})
			}
			g.Close()
			for _, got := range *out {
				for core, f := range got.Frames {
					if f.Core != core {
						t.Errorf("core %d at place %d", f.Core, core)
					}
				}
			}
			if len(*out) != tc.groups || !reflect.DeepEqual(c, tc.want) {
				t.Errorf("%d groups, counts %v; want %d, %v", len(*out), c, tc.groups, tc.want)
			}
		})
	}
}

// TestGroupingLosesNothing: every datagram ends in a group or in a counter,
// and memory stays bounded.
func TestGroupingLosesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cores := rapid.SampledFrom([]int{0, 1, 3}).Draw(t, "cores")
		g, c, out := grouper(t, cores)
		n := rapid.IntRange(0, 300).Draw(t, "n")
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		spread := rapid.SampledFrom([]int{3, 200}).Draw(t, "sequences")
		now, turns := int64(0), false
		for range n {
			now += rng.Int64N(2e5)
			f := &NexmonFrame{SequenceCtl: uint16(rng.IntN(spread)) << 4, Core: rng.IntN(4), Stream: rng.IntN(8) / 7}
			g.Add(now, f)
			turns = turns || g.learned.turns
			if len(g.open) > groupMaxOpen || len(g.done) > groupMaxOpen*4 || len(g.held) > learnFirst {
				t.Fatalf("%d open, %d done, %d held groups", len(g.open), len(g.done), len(g.held))
			}
		}
		g.Close()
		if turns || g.learned.turns {
			return // there a datagram is in several packets
		}
		sum := 0
		for _, got := range *out {
			sum += len(got.Frames)
		}
		for _, v := range c {
			sum += int(v)
		}
		if sum != n {
			t.Fatalf("%d datagrams in, %d accounted for: %v", n, sum, c)
		}
	})
}

func TestNullTonesAreLeftOut(t *testing.T) {
	f := nexmonFrames(t, "40mhz_1600085286.pcap")[0]
	h, raw := f.Values(ChipAuto), f.RawValues(ChipAuto)
	if len(h) != 114 {
		t.Fatalf("%d tones", len(h))
	}
	tones := NexmonTones(128)
	for i, k := range tones {
		want := raw[(k+128)%128]
		if k == 2 { // overwritten by receiver status
			want = (raw[126] + raw[3]) / 2
		}
		if h[i] != want {
			t.Errorf("tone %d: %v, want %v", k, h[i], want)
		}
	}
	old := nexmonFrames(t, "test_pi.pcap")[0]
	if h = old.Values(ChipAuto); len(h) != 242 {
		t.Fatalf("%d tones", len(h))
	}
	re, im := int16Word(old.Words[2])
	if h[121] != complex(float32(re), float32(im)) {
		t.Errorf("old firmware: tone +2 is %v, want the word %d %d", h[121], re, im)
	}
}

func TestParseNexmonReasons(t *testing.T) {
	good, err := AppendNexmon(nil, fakeNexmon(t, randomH(1, 342, 200), 7)[0])
	if err != nil {
		t.Fatal(err)
	}
	edit := func(f func(b []byte) []byte) []byte { return f(append([]byte(nil), good...)) }
	for name, tc := range map[string]struct {
		b    []byte
		want error
	}{
		"good":         {good, nil},
		"padded":       {append(append([]byte(nil), good...), 0, 0, 0, 0), nil},
		"padded more":  {append(append([]byte(nil), good...), 0, 0, 0, 0, 0), NexmonLength},
		"empty":        {nil, NexmonShort},
		"header alone": {good[:18], NexmonLength},
		"cut":          {good[:len(good)-4], NexmonLength},
		"short":        {good[:17], NexmonShort},
		"magic":        {edit(func(b []byte) []byte { b[1] = 0; return b }), NexmonMagic},
		"bandwidth":    {edit(func(b []byte) []byte { b[15] = b[15]&^0x38 | 4<<3; return b }), NexmonBandwidth},
		"192 words":    {append(append([]byte(nil), good...), make([]byte, 256)...), NexmonLength},
	} {
		f, err := ParseNexmon(tc.b)
		if !errors.Is(err, tc.want) || (tc.want == nil) != (f != nil) {
			t.Errorf("%s: error %v, want %v", name, err, tc.want)
		}
	}
}

func FuzzParseNexmon(f *testing.F) {
	for _, name := range []string{"40mhz_1600085286.pcap", "example_4358.pcap", "test_pi.pcap"} {
		p, _ := nexmonPayloads(f, name)
		f.Add(p[0], uint8(0))
	}
	f.Fuzz(func(t *testing.T, b []byte, chip uint8) {
		fr, err := ParseNexmon(b)
		if err != nil {
			return
		}
		back, err := AppendNexmon(nil, fr)
		if err != nil || len(b)-len(back) > nexmonMaxExtra {
			t.Fatalf("does not encode back: %d of %d bytes, %v", len(back), len(b), err)
		}
		c := []Chip{ChipAuto, Chip4339, Chip4358, Chip43455, Chip4366}[chip%5]
		for i, v := range fr.Values(c) {
			if cmplx.IsNaN(complex128(v)) || cmplx.IsInf(complex128(v)) {
				t.Fatalf("tone %d is %v", i, v)
			}
		}
	})
}

func FuzzAtherosDecoder(f *testing.F) {
	f.Add(testenv.ReadShared(f, "captures/csi-atheros", "ath_csi_1.dat")[:1907*4], uint16(500))
	f.Add(testenv.ReadShared(f, "captures/csi-atheros", "sample_bigEndian.dat")[:4000], uint16(3000))
	for _, o := range []binary.AppendByteOrder{binary.LittleEndian, binary.BigEndian} {
		var b []byte
		for i := range 4 { // short records, which a fuzzer can do more with
			b, _ = AppendAtheros(b, o, &AtherosRecord{TSFUS: uint64(i), Tones: 56, NR: 1, NC: 1, H: make([]complex64, 56)})
		}
		f.Add(b, uint16(200))
	}
	f.Fuzz(func(t *testing.T, b []byte, cut uint16) {
		whole := decodeAtheros(b, atOnce(b))
		if !reflect.DeepEqual(whole, decodeAtheros(b, func() int { return 1 })) {
			t.Fatal("byte by byte differs from at once")
		}
		count := func(b []byte) (n int) {
			d := NewAtherosDecoder(func(*AtherosRecord) { n++ }, func(string) {})
			d.Feed(b)
			return n
		}
		if count(b[:min(int(cut), len(b))]) > count(b) {
			t.Fatal("a prefix gives more records than the whole")
		}
		if whole.Junk > uint64(len(b)) {
			t.Fatalf("%d junk bytes of %d", whole.Junk, len(b))
		}
		for _, r := range whole.Records {
			if r.H == nil {
				continue
			}
			if p := r.reception(0, false); len(p.h) != len(p.names)*len(p.tones) || len(p.h) == 0 {
				t.Fatalf("%d values of %d antennas and %d tones", len(p.h), len(p.names), len(p.tones))
			}
		}
	})
}
