package csi

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"posefuse/internal/testenv"
)

func TestESP32Captures(t *testing.T) {
	for file, want := range map[string]struct {
		lines, sum int // of the good lines
		counts     counter
		rssi       int
		timeUS     uint32
		first      []int16
	}{
		// SOURCES.md gives 26859 with the 127 values of the line that is refused.
		"example_100hz_pitraffic.csv": {833, 26083, counter{"bad_length": 1, OutcomeOtherLine: 1}, -52, 7313, []int16{38, 96, 2, 0, 27, -6}},
		"example_csi.csv":             {13, 1409, counter{}, -73, 80272146, []int16{101, -48, 5, 0}},
	} {
		var lines []*ESP32Line
		counts := counter{}
		d := NewESP32Decoder(func(l *ESP32Line) { lines = append(lines, l) }, func(o string) { counts[o]++ })
		d.Feed(testenv.ReadShared(t, "captures/csi-esp32", file))
		d.Finish()
		sum := 0
		for _, l := range lines {
			for _, v := range l.Values {
				sum += int(v)
			}
		}
		if len(lines) != want.lines || sum != want.sum || !reflect.DeepEqual(counts, want.counts) || d.Records() != uint64(len(lines)+int(counts["bad_length"])) {
			t.Fatalf("%s: %d lines, sum %d, %v", file, len(lines), sum, counts)
		}
		if l := lines[0]; l.RSSIdBm != want.rssi || l.TimeUS != want.timeUS || !reflect.DeepEqual(l.Values[:len(want.first)], want.first) {
			t.Errorf("%s: %+v", file, l)
		}
	}
}

// TestESP32Lines: both dialects, what stands around a line, and what is wrong
// with one.
func TestESP32Lines(t *testing.T) {
	pair := strings.Repeat("1,2,", 63) + "1,2"
	esp := func(n, first, values string) string {
		return "CSI_DATA,7,02:00:00:00:00:07,-40,11,1,7,1,1,1,0,0,0,0,-93,0,6,1,4294967295,0,101,0," + n + "," + first + ",\"[" + values + "]\""
	}
	for name, c := range map[string]struct {
		line string
		err  error
	}{
		"esp-csi":           {esp("128", "1", pair), nil},
		"esp-csi on a C6":   {"CSI_DATA,7,02:00:00:00:00:07,-40,11,-93,3,4,6,4000,101,0,128,0,\"[" + strings.ReplaceAll(pair, "2", "-2047") + "]\"", nil},
		"only 128 of 384":   {esp("384", "0", pair), nil},
		"fewer than it has": {esp("130", "0", pair), nil},
		"more than it says": {esp("126", "0", pair), errESPLength},
		"odd":               {esp("127", "0", pair[:len(pair)-2]), errESPLength},
		"cut":               {strings.TrimSuffix(esp("128", "0", pair), "]\""), errESPLength},
		"too large":         {esp("128", "0", strings.Replace(pair, "2", "128", 1)), errESPValue},
		"no number":         {esp("128", "0", strings.Replace(pair, "2", "2x", 1)), errESPValue},
		"a field too few":   {strings.Replace(esp("128", "0", pair), ",7,", ",", 1), errESPFields},
		"no address":        {strings.Replace(esp("128", "0", pair), "02:00:00:00:00:07", "phone", 1), errESPFields},
		"no rssi":           {strings.Replace(esp("128", "0", pair), "-40", "?", 1), errESPFields},
		"no values":         {"CSI_DATA,AP", errESPFields},
	} {
		l, err := ParseESP32([]byte(c.line))
		if !errors.Is(err, c.err) || (err == nil) != (l != nil && len(l.Values) == 128) {
			t.Errorf("%s: %v, want %v", name, err, c.err)
		}
	}
	l, _ := ParseESP32([]byte(esp("128", "1", pair)))
	if !l.FirstInvalid || l.TimeUS != 1<<32-1 || l.Channel != 6 || !l.HT || !l.Wide || l.MAC != [6]byte{2, 0, 0, 0, 0, 7} {
		t.Errorf("%+v", l)
	}
	// A message that the line cut short, a boot message, a line that never ends.
	text := "rst:0x1 (POWERON)\r\n\r\nI (31) wifi: sta" + esp("128", "0", pair) + "\r\n" + strings.Repeat("x", MaxESP32Line+1) + "\n" + esp("128", "0", pair)
	got, counts, junk := decodeLog(logFormats()[2], []byte(text), func() int { return 100 })
	if len(got) != 2 || !reflect.DeepEqual(counts, counter{OutcomeOtherLine: 1, OutcomeLongLine: 1}) || junk < MaxESP32Line {
		t.Errorf("%d lines, %v, %d junk bytes", len(got), counts, junk)
	}
}

// TestESP32Tones: the training field that is used, in ascending frequency.
func TestESP32Tones(t *testing.T) {
	line := func(n int, ht, wide, invalid bool) *ESP32Line {
		l := &ESP32Line{HT: ht, Wide: wide, FirstInvalid: invalid, Len: n}
		for i := range n / 2 {
			l.Values = append(l.Values, int16(i%100), int16(i%100))
		}
		return l
	}
	for name, c := range map[string]struct {
		l     *ESP32Line
		tones []int
		at    func(k int) int // place of tone k in the line
	}{
		"legacy":          {line(128, false, false, false), toneRange(1, 26), func(k int) int { return (k + 64) % 64 }},
		"high throughput": {line(256, true, false, false), toneRange(1, 28), func(k int) int { return 64 + (k+64)%64 }},
		"40 MHz":          {line(384, true, true, true), AtherosTones(114), func(k int) int { return 64 + (k+128)%128 }},
		"only the legacy": {line(128, true, true, false), toneRange(1, 26), func(k int) int { return (k + 64) % 64 }},
	} {
		h, tones := c.l.Tones()
		if !reflect.DeepEqual(tones, c.tones) {
			t.Fatalf("%s: tones %v", name, tones)
		}
		for i, k := range tones {
			want := float32(c.at(k) % 100)
			if h[i] != complex(want, want) {
				t.Errorf("%s: tone %d is %v, want %v", name, k, h[i], want)
			}
		}
	}
	h, tones := line(128, false, false, true).Tones() // tone +1 lies in the first word
	for i, k := range tones {
		if k == 1 && h[i] != (h[i-1]+h[i+1])/2 {
			t.Errorf("tone +1 is %v between %v and %v", h[i], h[i-1], h[i+1])
		}
	}
}

// TestWrappingClock: 71.6 minutes are no end, and a restart is one.
func TestWrappingClock(t *testing.T) {
	const minute = int64(60e9)
	var c wrappingClock
	at := func(us uint32, nowNS, want int64, again bool) {
		t.Helper()
		if got, restarted := c.ns(us, nowNS); got != want || restarted != again {
			t.Errorf("stamp %d at %d: %d, restarted %v; want %d, %v", us, nowNS, got, restarted, want, again)
		}
	}
	at(4_294_000_000, 0, 4_294_000_000_000, false)
	at(32_704, 1e9, (1<<32+32_704)*1000, false) // a wrap
	at(32_704, 2e9, (1<<32+32_704)*1000, false) // stands still
	at(1_032_704, 143*minute+3e9, (3<<32+1_032_704)*1000, false)
	at(500, 143*minute+4e9, 500_000, true) // switched off and on
	at(10_500, 143*minute+4e9+1e7, 10_500_000, false)
}
