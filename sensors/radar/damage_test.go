package radar

import (
	"math/rand/v2"
	"testing"

	"posefuse/sensors"
)

// One byte in a thousand flipped, dropped, inserted or doubled costs at most the
// frame that is hit and its neighbour.
func TestDamagedBytesCostLittle(t *testing.T) {
	for _, name := range streams {
		stream := recorded(t, name)
		whole := len(decodeAll(LayoutAuto, stream).Frames)
		if whole == 0 {
			continue
		}
		for kind := range 4 {
			rng := rand.New(rand.NewPCG(uint64(kind), 7))
			var b []byte
			hits := 0
			// So few hits that most frames have none.
			every := max(1000, 4*len(stream)/whole)
			for i, x := range stream {
				if rng.IntN(every) > 0 || i < 4*len(stream)/whole {
					b = append(b, x)
					continue
				}
				hits++
				switch kind {
				case 0:
					b = append(b, x^byte(1+rng.IntN(255)))
				case 1:
				case 2:
					b = append(b, x, byte(rng.IntN(256)))
				case 3:
					b = append(b, x, x)
				}
			}
			if got := len(decodeAll(LayoutAuto, b).Frames); got < whole-2*hits {
				t.Errorf("%s, kind %d: %d frames of %d after %d hits", name, kind, got, whole, hits)
			}
		}
	}
}

func TestTwoRadarsOnOnePort(t *testing.T) {
	sink := newCollector()
	m := frameMapper{name: "radar", cpuHz: DefaultCPUHz, sink: sink}
	for i := range uint32(10) {
		m.frame(&Frame{FrameNumber: 1000 + i, MagicNS: int64(i) * 1e8})
		if i == 4 && len(sink.findings) > 0 {
			t.Error("told before there was anything")
		}
	}
	for i := range uint32(10) {
		m.frame(&Frame{FrameNumber: 1010 + i, MagicNS: 1e9 + int64(i)*1e8})
		m.frame(&Frame{FrameNumber: 5 + i, MagicNS: 1e9 + int64(i)*1e8 + 5e7})
	}
	if sink.findings["two_senders"] == "" {
		t.Errorf("findings %v", sink.findings)
	}
	// One that restarts now and then is one.
	sink = newCollector()
	m = frameMapper{name: "radar", cpuHz: DefaultCPUHz, sink: sink}
	for i := range uint32(20) {
		m.frame(&Frame{FrameNumber: 1000 - i, MagicNS: int64(i) * 30e9})
	}
	if len(sink.findings) > 0 {
		t.Errorf("findings %v", sink.findings)
	}
	var _ sensors.Sink = sink
}
