package csi

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"posefuse/internal/testenv"
)

// logFormat is a format of a stream for the tests that all formats pass.
type logFormat struct {
	name string
	// decode feeds a decoder and tells what came out, and the counts.
	decoder func(emit func(any), count func(string)) streamDecoder
	// write encodes what decode gave.
	write func(dst []byte, record any) ([]byte, error)
	// random returns a record of any shape.
	random func(rng *rand.Rand, i int) any
	// captures are files whose decoded records encode to the file again.
	captures []string
}

func logFormats() []logFormat {
	values := func(rng *rand.Rand, n, limit int) []complex64 {
		h := make([]complex64, n)
		for i := range h {
			h[i] = complex(float32(rng.IntN(2*limit)-limit), float32(rng.IntN(2*limit)-limit))
		}
		return h
	}
	return []logFormat{
		{
			name: "intel5300",
			decoder: func(emit func(any), count func(string)) streamDecoder {
				return newIntelDecoder(func(r *IntelRecord) { emit(r) }, count)
			},
			write: func(dst []byte, r any) ([]byte, error) { return AppendIntel(dst, r.(*IntelRecord)) },
			random: func(rng *rand.Rand, i int) any {
				nrx, ntx := 1+rng.IntN(3), 1+rng.IntN(3)
				return &IntelRecord{TimeUS: uint32(10_000 * i), Count: uint16(i), NRx: uint8(nrx), NTx: uint8(ntx), RSSI: [3]uint8{40, 39, 0},
					NoiseDBm: -90, AGC: 30, AntennaSel: 0x24, Rate: uint16(rng.IntN(2) << 11), CSI: values(rng, nrx*ntx*intelGroups, 128)}
			},
			captures: []string{"captures/csi-intel5300/log.all_csi.6.7.6.dat", "captures/csi-intel5300/walk_1597159688.dat", "captures/csi-intel5300/sample_0x1_ap.dat"},
		},
		{
			name: "feitcsi",
			decoder: func(emit func(any), count func(string)) streamDecoder {
				return newFeitDecoder(func(r *FeitRecord) { emit(r) }, count)
			},
			write: func(dst []byte, r any) ([]byte, error) { return AppendFeit(dst, r.(*FeitRecord)) },
			random: func(rng *rand.Rand, i int) any {
				rx, tones := 1+rng.IntN(2), []int{52, 56, 114, 242}[rng.IntN(4)]
				r := &FeitRecord{FTMTicks: uint32(i), ClockUS: uint32(10_000 * i), NRx: uint8(rx), NTx: 1, Tones: tones, RSSIdBm: [2]int{-40, -41},
					Source: [6]byte{2, 0, 0, 0, 0, 7}, Rate: 0x10CA05, CSI: values(rng, rx*tones, 32768)}
				b, _ := AppendFeit(nil, r)
				r.header = [feitHeaderLen]byte(b)
				return r
			},
			captures: []string{"captures/csi-feitcsi/HT20_2452.csi", "captures/csi-feitcsi/HT40_2452.csi", "captures/csi-feitcsi/VHT80_5500.csi"},
		},
		{
			name: "esp32",
			decoder: func(emit func(any), count func(string)) streamDecoder {
				return NewESP32Decoder(func(l *ESP32Line) { emit(l) }, count)
			},
			write: func(dst []byte, l any) ([]byte, error) { return AppendESP32(dst, l.(*ESP32Line)) },
			random: func(rng *rand.Rand, i int) any {
				l := &ESP32Line{Dialect: ESP32Dialect(rng.IntN(3)), MAC: [6]byte{2, 0, 0, 0, 0, 7}, RSSIdBm: -40, Channel: 6, TimeUS: uint32(10_000 * i)}
				l.Len = []int{128, 256, 384}[rng.IntN(3)]
				limit := 128
				switch l.Dialect {
				case ESP32Tool:
					l.FirstInvalid, l.HT, l.Wide = true, true, l.Len == 384
				case ESPCSI:
					l.FirstInvalid, l.HT = rng.IntN(2) == 0, rng.IntN(2) == 0
				case ESPCSI6:
					limit = 2048
				}
				for range l.Len {
					l.Values = append(l.Values, int16(rng.IntN(2*limit)-limit))
				}
				return l
			},
		},
		{
			name: "atheros",
			decoder: func(emit func(any), count func(string)) streamDecoder {
				return NewAtherosDecoder(func(r *AtherosRecord) { emit(r) }, count)
			},
			write: func(dst []byte, r any) ([]byte, error) {
				return AppendAtheros(dst, binary.LittleEndian, r.(*AtherosRecord))
			},
			random: func(rng *rand.Rand, i int) any {
				tones, nr, nc := []int{56, 114}[rng.IntN(2)], 1+rng.IntN(3), 1+rng.IntN(3)
				return &AtherosRecord{TSFUS: uint64(10_000 * i), ChannelMHz: 5180, Rate: 0x87, Tones: uint8(tones), NR: uint8(nr), NC: uint8(nc),
					RSSI: 50, H: values(rng, tones*nr*nc, 512)}
			},
		},
	}
}

// decodeLog feeds a stream in pieces.
func decodeLog(f logFormat, b []byte, next func() int) (records []any, counts counter, junk uint64) {
	counts = counter{}
	d := f.decoder(func(r any) { records = append(records, r) }, func(o string) { counts[o]++ })
	for len(b) > 0 {
		n := min(max(next(), 1), len(b))
		d.Feed(b[:n])
		b = b[n:]
	}
	d.Finish()
	return records, counts, d.JunkBytes()
}

// stream encodes n random records.
func (f logFormat) stream(t testing.TB, seed uint64, n int) (b []byte, records []any, ends []int) {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 5))
	for i := range n {
		r := f.random(rng, i+1)
		var err error
		if b, err = f.write(b, r); err != nil {
			t.Fatalf("%s: %v", f.name, err)
		}
		records, ends = append(records, r), append(ends, len(b))
	}
	return b, records, ends
}

func TestLogsRoundTrip(t *testing.T) {
	for _, f := range logFormats() {
		t.Run(f.name, func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				b, want, _ := f.stream(t, rapid.Uint64().Draw(rt, "seed"), rapid.IntRange(3, 6).Draw(rt, "records"))
				piece := rapid.IntRange(1, 900).Draw(rt, "piece")
				got, counts, junk := decodeLog(f, b, func() int { return piece })
				if !reflect.DeepEqual(got, want) || len(counts) > 0 || junk > 0 {
					rt.Fatalf("%d of %d records, %v, %d junk bytes", len(got), len(want), counts, junk)
				}
			})
			for _, file := range f.captures {
				b := testenv.ReadShared(t, file)
				records, _, _ := decodeLog(f, b, func() int { return len(b) })
				var back []byte
				for _, r := range records {
					var err error
					if back, err = f.write(back, r); err != nil {
						t.Fatal(err)
					}
				}
				if len(records) == 0 || !bytes.Equal(back, b[:len(back)]) || len(b)-len(back) >= 400 {
					t.Errorf("%s: %d records encode to %d of %d bytes, or to others", file, len(records), len(back), len(b))
				}
			}
		})
	}
}

// TestLogsSurviveDamage: one byte flipped, lost, inserted or doubled costs at
// most the record that it hits and the next; and the result does not depend on
// how the stream is split.
func TestLogsSurviveDamage(t *testing.T) {
	for _, f := range logFormats() {
		t.Run(f.name, func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 7))
				b, want, ends := f.stream(t, rng.Uint64(), 12)
				// Not in the first records, by which the byte order is told, nor
				// in the last, which no other follows.
				hit := ends[3] + rng.IntN(ends[9]-ends[3])
				damaged := bytes.Clone(b[:hit])
				switch rapid.SampledFrom([]string{"flipped", "lost", "inserted", "doubled"}).Draw(rt, "damage") {
				case "flipped":
					damaged = append(append(damaged, b[hit]^byte(1+rng.IntN(255))), b[hit+1:]...)
				case "lost":
					damaged = append(damaged, b[hit+1:]...)
				case "inserted":
					damaged = append(append(damaged, byte(rng.Uint32())), b[hit:]...)
				case "doubled":
					damaged = append(append(damaged, b[hit]), b[hit:]...)
				}
				got, counts, junk := decodeLog(f, damaged, func() int { return len(damaged) })
				lost := 0
				for _, w := range want {
					found := false
					for _, g := range got {
						found = found || reflect.DeepEqual(g, w)
					}
					if !found {
						lost++
					}
				}
				if lost > 2 || len(got) > len(want)+1 {
					rt.Fatalf("hit at %d of records that end at %v: %d of %d records lost, %d came, %v, %d junk bytes", hit, ends, lost, len(want), len(got), counts, junk)
				}
				again, againCounts, againJunk := decodeLog(f, damaged, func() int { return 1 + rng.IntN(50) })
				if !reflect.DeepEqual(again, got) || !reflect.DeepEqual(againCounts, counts) || againJunk != junk {
					rt.Fatalf("in pieces: %d records, %v, %d junk; at once %d, %v, %d", len(again), againCounts, againJunk, len(got), counts, junk)
				}
			})
		})
	}
}

func TestLogsOfNothingButNoise(t *testing.T) {
	for _, f := range logFormats() {
		rng := rand.New(rand.NewPCG(1, 2))
		b := make([]byte, 200_000)
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		if got, _, _ := decodeLog(f, b, func() int { return 4096 }); len(got) > 0 {
			t.Errorf("%s: %d records in noise, such as %+v", f.name, len(got), got[0])
		}
	}
}

func TestLogsRefuseToWrite(t *testing.T) {
	for name, f := range map[string]func() ([]byte, error){
		"intel value": func() ([]byte, error) {
			return AppendIntel(nil, &IntelRecord{NRx: 1, NTx: 1, CSI: append(make([]complex64, 29), 128)})
		},
		"intel shape": func() ([]byte, error) {
			return AppendIntel(nil, &IntelRecord{NRx: 2, NTx: 1, CSI: make([]complex64, 30)})
		},
		"feit value": func() ([]byte, error) {
			return AppendFeit(nil, &FeitRecord{NRx: 1, NTx: 1, Tones: 2, CSI: []complex64{0, 40000i}})
		},
		"feit shape": func() ([]byte, error) {
			return AppendFeit(nil, &FeitRecord{NRx: 1, NTx: 1, Tones: 3, CSI: make([]complex64, 3)})
		},
		"esp32 value":    func() ([]byte, error) { return AppendESP32(nil, &ESP32Line{Values: []int16{1, 2, 3, 128}}) },
		"esp32 too few":  func() ([]byte, error) { return AppendESP32(nil, &ESP32Line{Values: []int16{1, 2}}) },
		"esp32 dialect":  func() ([]byte, error) { return AppendESP32(nil, &ESP32Line{Dialect: 9, Values: make([]int16, 4)}) },
		"esp32 unpaired": func() ([]byte, error) { return AppendESP32(nil, &ESP32Line{Values: make([]int16, 5)}) },
	} {
		if b, err := f(); err == nil || len(b) > 0 {
			t.Errorf("%s: %d bytes, %v", name, len(b), err)
		}
	}
}

func fuzzLog(f *testing.F, format logFormat, seeds ...[]byte) {
	f.Helper()
	for _, s := range seeds {
		f.Add(s, uint16(300))
	}
	b, _, _ := format.stream(f, 1, 4)
	f.Add(b, uint16(500))
	f.Fuzz(func(t *testing.T, b []byte, cut uint16) {
		whole, counts, junk := decodeLog(format, b, func() int { return len(b) })
		split, splitCounts, splitJunk := decodeLog(format, b, func() int { return 1 })
		if fmt.Sprint(counts, junk, len(whole)) != fmt.Sprint(splitCounts, splitJunk, len(split)) || !reflect.DeepEqual(whole, split) {
			t.Fatal("byte by byte differs from at once")
		}
		n := 0
		d := format.decoder(func(any) { n++ }, func(string) {})
		d.Feed(b[:min(int(cut), len(b))])
		if n > len(whole) || junk > uint64(len(b)) {
			t.Fatalf("%d records of a part, %d of the whole, %d junk bytes of %d", n, len(whole), junk, len(b))
		}
		for _, r := range whole {
			if l, ok := r.(*ESP32Line); ok {
				if h, tones := l.Tones(); len(h) != len(tones) || len(h) == 0 {
					t.Fatalf("%d values at %d tones", len(h), len(tones))
				}
			}
			if _, err := format.write(nil, r); err != nil {
				t.Fatalf("does not encode again: %v", err)
			}
		}
	})
}

func FuzzIntelDecoder(f *testing.F) {
	fuzzLog(f, logFormats()[0], testenv.ReadShared(f, "captures/csi-intel5300/log.all_csi.6.7.6.dat")[:900])
}

func FuzzFeitDecoder(f *testing.F) {
	fuzzLog(f, logFormats()[1], testenv.ReadShared(f, "captures/csi-feitcsi/HT20_2452.csi")[:1440])
}

func FuzzESP32Decoder(f *testing.F) {
	fuzzLog(f, logFormats()[2], testenv.ReadShared(f, "captures/csi-esp32/example_csi.csv")[:1200])
}
