package csi

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"

	"posefuse/internal/testenv"
)

// nexmonPayloads returns the UDP/5500 payloads of a capture and the lengths of
// the link frames.
func nexmonPayloads(t testing.TB, name string) (payloads [][]byte, frameLens []int) {
	t.Helper()
	r, err := pcapgo.NewReader(bytes.NewReader(testenv.ReadShared(t, "captures/csi-nexmon", name)))
	if err != nil {
		t.Fatal(err)
	}
	for {
		data, _, err := r.ReadPacketData()
		if errors.Is(err, io.EOF) {
			return payloads, frameLens
		}
		if err != nil {
			t.Fatal(err)
		}
		p := gopacket.NewPacket(data, r.LinkType(), gopacket.Default)
		udp, ok := p.Layer(layers.LayerTypeUDP).(*layers.UDP)
		if !ok || udp.DstPort != NexmonPort {
			continue
		}
		payloads = append(payloads, udp.Payload)
		frameLens = append(frameLens, len(data))
	}
}

func nexmonFrames(t testing.TB, name string) []*NexmonFrame {
	t.Helper()
	payloads, _ := nexmonPayloads(t, name)
	var frames []*NexmonFrame
	for i, p := range payloads {
		f, err := ParseNexmon(p)
		if err != nil {
			t.Fatalf("packet %d: %v", i, err)
		}
		back, err := AppendNexmon(nil, f)
		if err != nil || !bytes.Equal(back, p) {
			t.Errorf("packet %d does not encode back to itself: %v", i, err)
		}
		frames = append(frames, f)
	}
	return frames
}

func wordSums(frames []*NexmonFrame) (re, im int) {
	for _, f := range frames {
		for _, w := range f.Words {
			r, i := int16Word(w)
			re += int(r)
			im += int(i)
		}
	}
	return re, im
}

func TestNexmonCaptures(t *testing.T) {
	tests := []struct {
		file           string
		packets, words int
		isNew          bool
		chip           Chip
		chanspec       uint16
		mhz            int
		re, im         int
		hasSums        bool
		mac            string
	}{
		{file: "example_43455c0.pcap", packets: 566, words: 256, isNew: true, chip: Chip43455, chanspec: 0xE02A, mhz: 80, re: 2971376, im: -22886065, hasSums: true, mac: "\x98\xde\xd0\x48\x92\x66"},
		{file: "40mhz_1600085286.pcap", packets: 81, words: 128, isNew: true, chip: Chip43455, chanspec: 0xD826, mhz: 40, re: -488247, im: -3013672, hasSums: true},
		{file: "test_pi.pcap", packets: 20, words: 256, chip: Chip43455, chanspec: 0xE06A, mhz: 80, re: 246040, im: -528012, hasSums: true, mac: "\xdc\xa6\x32\x99\xe4\x29"},
		{file: "example_4339_first300.pcap", packets: 300, words: 256, chip: Chip4339, mhz: 80},
		{file: "example_4358.pcap", packets: 4, words: 256, chip: chipOldTag, mhz: 80},
	}
	for _, tc := range tests {
		t.Run(tc.file, func(t *testing.T) {
			frames := nexmonFrames(t, tc.file)
			if len(frames) != tc.packets {
				t.Fatalf("%d packets, want %d", len(frames), tc.packets)
			}
			for i, f := range frames {
				if len(f.Words) != tc.words || f.New != tc.isNew || f.Chip != tc.chip || f.BandwidthMHz() != tc.mhz ||
					tc.chanspec != 0 && f.Chanspec != tc.chanspec || tc.mac != "" && string(f.MAC[:]) != tc.mac {
					t.Fatalf("packet %d: %d words, new %v, chip %#x, chanspec %#x, mac %x", i, len(f.Words), f.New, uint16(f.Chip), f.Chanspec, f.MAC)
				}
			}
			if re, im := wordSums(frames); tc.hasSums && (re != tc.re || im != tc.im) {
				t.Errorf("sums %d %d, want %d %d", re, im, tc.re, tc.im)
			}
		})
	}
}

func TestNexmon43455Details(t *testing.T) {
	_, lens := nexmonPayloads(t, "example_43455c0.pcap")
	padded := 0
	for _, n := range lens {
		if n == 1088 {
			padded++
		}
	}
	if padded != 18 {
		t.Errorf("%d padded frames, want 18", padded)
	}
	frames := nexmonFrames(t, "example_43455c0.pcap")
	f := frames[0]
	if re, im := int16Word(f.Words[3]); re != -12 || im != -15 {
		t.Errorf("word 3 is %d%+di, want -12-15i", re, im)
	}
	if f.Words[0] != 0x00003825 || f.Words[1] != 0x8080c600 || f.Words[2] != 0x00000080 {
		t.Errorf("words 0..2 are %08x", f.Words[:3])
	}
	for i, f := range frames {
		if f.RSSIdBm < -59 || f.RSSIdBm > -58 || f.FrameControl != 0x94 || f.Core != 0 || f.Stream != 0 {
			t.Fatalf("packet %d: rssi %d, frame control %#x, core %d, stream %d", i, f.RSSIdBm, f.FrameControl, f.Core, f.Stream)
		}
	}
	for i, f := range nexmonFrames(t, "40mhz_1600085286.pcap") {
		if f.RSSIdBm < -52 || f.RSSIdBm > -51 || i == 0 && (f.SequenceCtl != 9712 || f.Sequence() != 607) {
			t.Fatalf("40 MHz packet %d: rssi %d, sequence %d", i, f.RSSIdBm, f.SequenceCtl)
		}
	}
}

func TestNexmon4339Streams(t *testing.T) {
	for i, f := range nexmonFrames(t, "example_4339_first300.pcap") {
		if f.Core != 0 || f.Stream != i%3 {
			t.Fatalf("packet %d: core %d stream %d", i, f.Core, f.Stream)
		}
		if i > 0 {
			continue
		}
		h := f.RawValues(ChipAuto)
		if f.SequenceCtl != 56816 || f.Sequence() != 3551 || h[0] != -136+19i || h[1] != 1974-8170i {
			t.Errorf("packet 0: sequence %d, words %v %v", f.SequenceCtl, h[0], h[1])
		}
	}
}

func TestNexmon4358Float(t *testing.T) {
	frames := nexmonFrames(t, "example_4358.pcap")
	seen := map[[2]int]bool{}
	for _, f := range frames {
		seen[[2]int{f.Core, f.Stream}] = true
	}
	if len(seen) != 4 {
		t.Errorf("cores and streams %v, want 2 x 2", seen)
	}
	for i, f := range frames {
		if c := f.wordChip(ChipAuto); c != Chip4358 {
			t.Errorf("packet %d with chip 0xDEAD is read as that of chip %#x", i, uint16(c))
		}
	}
	q, _ := Chip4358.floatFormat()
	re, im, exp := q.split(frames[0].Words[10])
	if re != -48 || im != 131 || exp != -7 {
		t.Errorf("word 10 is %d %d exponent %d, want -48 131 -7", re, im, exp)
	}
	if h := frames[0].RawValues(Chip4358); h[10] != complex(-48.0/128, 131.0/128) {
		t.Errorf("word 10 is %v", h[10])
	}
}

// TestChipOfWords: where the chip's number says nothing, its words do.
func TestChipOfWords(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 8))
	for _, words := range []int{64, 128, 256} {
		for chip, bits := range map[Chip]int{Chip4358: 23, Chip4366: 30, Chip43455: 32} {
			f := NexmonFrame{New: true, Chip: chipOldTag, Words: make([]uint32, words)}
			for i := range f.Words {
				f.Words[i] = rng.Uint32() >> (32 - bits)
			}
			for i := f.statusWords()[0]; i < f.statusWords()[1]; i++ {
				f.Words[i] = 0xFFFFFFFF // receiver status
			}
			if got := f.wordChip(ChipAuto); got != chip {
				t.Errorf("%d words of chip %#x are read as those of %#x", words, uint16(chip), uint16(got))
			}
			if got := f.wordChip(Chip4339); got != Chip4339 {
				t.Errorf("the setting is overruled by %#x", uint16(got))
			}
		}
	}
	zeros := NexmonFrame{Chip: chipOldTag, Words: make([]uint32, 64)}
	for i, v := range zeros.Values(ChipAuto) {
		if v != 0 {
			t.Errorf("tone %d of nothing is %v", i, v)
		}
	}
}
