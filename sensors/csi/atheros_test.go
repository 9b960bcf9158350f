package csi

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"posefuse/internal/testenv"
)

type atherosResult struct {
	Records []*AtherosRecord
	Rejects map[string]int
	Junk    uint64
	Order   binary.ByteOrder
}

func decodeAtheros(b []byte, next func() int) atherosResult {
	r := atherosResult{Rejects: map[string]int{}}
	d := NewAtherosDecoder(func(x *AtherosRecord) { r.Records = append(r.Records, x) }, func(o string) { r.Rejects[o]++ })
	for len(b) > 0 {
		n := min(max(next(), 1), len(b))
		d.Feed(b[:n])
		b = b[n:]
	}
	d.Finish()
	r.Junk, r.Order = d.JunkBytes(), d.order
	return r
}

func atOnce(b []byte) func() int { return func() int { return len(b) } }

func TestAtherosCaptures(t *testing.T) {
	tests := []struct {
		file    string
		order   binary.ByteOrder
		records int
		junk    uint64
		channel uint16
		tsf     uint64
		recLen  int // of record 0
		allSame bool
		rssi    [4]uint8
		tone0   []complex64 // [stream][chain]
		re, im  float64     // sums of record 0
	}{
		{file: "ath_csi_1.dat", order: binary.LittleEndian, records: 401, channel: 2437, tsf: 1461024888, recLen: 1905, allSame: true,
			rssi:  [4]uint8{52, 38, 52, 36},
			tone0: []complex64{-177 + 84i, -33 + 103i, 41 - 21i, 60 + 196i, -36 - 59i, -126 - 177i}, re: 4826, im: -3870},
		{file: "sample_bigEndian.dat", order: binary.BigEndian, records: 16, junk: 1, channel: 2462, tsf: 2953585446, recLen: 981,
			rssi:  [4]uint8{70, 70, 59, 57},
			tone0: []complex64{58 - 143i, -47 + 62i, -113 - 123i}, re: 1023, im: -1794},
	}
	for _, tc := range tests {
		t.Run(tc.file, func(t *testing.T) {
			b := testenv.ReadShared(t, "captures/csi-atheros", tc.file)
			got := decodeAtheros(b, atOnce(b))
			if len(got.Records) != tc.records || got.Junk != tc.junk || got.Order != tc.order || len(got.Rejects) != 0 {
				t.Fatalf("%d records, %d junk bytes, %v, rejects %v", len(got.Records), got.Junk, got.Order, got.Rejects)
			}
			r := got.Records[0]
			if r.TSFUS != tc.tsf || [4]uint8{r.RSSI, r.RSSIChain[0], r.RSSIChain[1], r.RSSIChain[2]} != tc.rssi {
				t.Errorf("first record %+v", r)
			}
			for i, want := range tc.tone0 {
				if got := r.At(i%3, i/3, 0); got != want {
					t.Errorf("tone 0 stream %d chain %d: %v, want %v", i/3, i%3, got, want)
				}
			}
			var re, im float64
			for _, v := range r.H {
				re += float64(real(v))
				im += float64(imag(v))
			}
			if re != tc.re || im != tc.im {
				t.Errorf("sums %v %v, want %v %v", re, im, tc.re, tc.im)
			}
			// Encoding what was decoded gives the same file.
			enc := slices.Clone(b[:tc.junk])
			for i, r := range got.Records {
				if r.ChannelMHz != tc.channel || r.H == nil {
					t.Errorf("record %d: channel %d, %d values", i, r.ChannelMHz, len(r.H))
				}
				from := len(enc)
				var err error
				if enc, err = AppendAtheros(enc, tc.order.(binary.AppendByteOrder), r); err != nil {
					t.Fatal(err)
				}
				if n := len(enc) - from - 2; (i == 0 || tc.allSame) && n != tc.recLen {
					t.Errorf("record %d has %d bytes, want %d", i, n, tc.recLen)
				}
			}
			if !bytes.Equal(enc, b[:len(enc)]) || len(b)-len(enc) > 2 {
				t.Errorf("encoding the records does not give the file back (%d of %d bytes)", len(enc), len(b))
			}
			if one := decodeAtheros(b, func() int { return 1 }); !reflect.DeepEqual(one, got) {
				t.Error("byte by byte differs from at once")
			}
			rng := rand.New(rand.NewPCG(3, 4))
			for range 5 {
				if r := decodeAtheros(b, func() int { return rng.IntN(900) }); !reflect.DeepEqual(r, got) {
					t.Error("random split differs from at once")
				}
			}
		})
	}
}

func TestAtherosMedianPeriod(t *testing.T) {
	b := testenv.ReadShared(t, "captures/csi-atheros/ath_csi_1.dat")
	r := decodeAtheros(b, atOnce(b)).Records
	var steps []uint64
	for i := 1; i < len(r); i++ {
		steps = append(steps, r[i].TSFUS-r[i-1].TSFUS)
	}
	slices.Sort(steps)
	if m := float64(steps[199]+steps[200]) / 2; m != 2108.5 {
		t.Errorf("median step %v us, want 2108.5", m)
	}
}

func genAtheros(t *rapid.T) *AtherosRecord {
	r := &AtherosRecord{
		TSFUS: rapid.Uint64().Draw(t, "tsf"), ChannelMHz: rapid.Uint16().Draw(t, "channel"),
		Rate: 0x87, Bandwidth: 1,
		Tones: rapid.SampledFrom([]uint8{56, 114}).Draw(t, "tones"),
		NR:    rapid.Uint8Range(1, 3).Draw(t, "nr"), NC: rapid.Uint8Range(1, 3).Draw(t, "nc"),
		RSSI: 50, RSSIChain: [3]uint8{49, 48, 128},
		Payload: rapid.SliceOfN(rapid.Byte(), 0, 60).Draw(t, "payload"),
	}
	if len(r.Payload) == 0 {
		r.Payload = nil
	}
	n := int(r.Tones) * int(r.NR) * int(r.NC)
	seed := rapid.Uint64().Draw(t, "seed")
	rng := rand.New(rand.NewPCG(seed, 1))
	r.H = make([]complex64, n)
	for i := range r.H {
		r.H[i] = complex(float32(rng.IntN(1024)-512), float32(rng.IntN(1024)-512))
	}
	return r
}

func TestAtherosRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := genAtheros(t)
		for _, o := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
			b, err := AppendAtheros(nil, o.(binary.AppendByteOrder), r)
			if err != nil {
				t.Fatal(err)
			}
			got, err := ParseAtheros(b[2:], o)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, r) {
				t.Fatalf("got %+v, want %+v", got, r)
			}
		}
	})
}

func TestAtherosModelShapeLength(t *testing.T) {
	r := &AtherosRecord{Tones: 114, NR: 3, NC: 1, H: make([]complex64, 3*114), Bandwidth: 1}
	b, err := AppendAtheros(nil, binary.BigEndian, r)
	if err != nil || len(b) != 2+25+855 {
		t.Fatalf("%d bytes, %v; want 882", len(b), err)
	}
}
