package camera

import (
	"bytes"
	"io"
	"net"
	"reflect"
	"strings"
	"testing"
	"time"

	"posefuse/sensors"
)

// FuzzKeypointLines: however a writer's bytes are cut on their way, the same lines
// come out, and each line becomes a sample or is counted once.
func FuzzKeypointLines(f *testing.F) {
	good := string(encode(f, message(1)))
	f.Add([]byte(good+"\n \r\n{}\n"+good), uint16(7))
	f.Add([]byte("POST / HTTP/1.1\r\n\r\n"+good), uint16(3))
	f.Add([]byte("GET\n"+good), uint16(1))
	f.Add([]byte("A B\n"), uint16(1))
	for _, n := range []int{MaxLineBytes - 1, MaxLineBytes, MaxLineBytes + 1, MaxLineBytes + 2, 2*MaxLineBytes + 2} {
		f.Add([]byte(strings.Repeat(" ", n)+"\n"+good), uint16(MaxLineBytes))
		f.Add([]byte(good+strings.Repeat("x", n)), uint16(1000))
	}
	f.Fuzz(func(t *testing.T, b []byte, cut uint16) {
		whole := readLines(t, b, len(b))
		if parts := readLines(t, b, int(cut)); !reflect.DeepEqual(whole, parts) {
			t.Fatalf("at once %d samples, %v; in parts of %d bytes %d samples, %v", len(whole.samples), whole.counts, cut, len(parts.samples), parts.counts)
		}
		if whole.counts[sensors.OutcomeHTTP] > 0 {
			if len(whole.samples) > 0 || len(whole.counts) > 1 {
				t.Fatalf("an HTTP request gave %d samples, %v", len(whole.samples), whole.counts)
			}
			return
		}
		want := uint64(0)
		for line := range bytes.Lines(b) {
			if len(line) > MaxLineBytes+1 || line[len(line)-1] != '\n' || len(bytes.TrimSpace(line)) > 0 {
				want++
			}
		}
		got := uint64(len(whole.samples))
		for _, n := range whole.counts {
			got += n
		}
		if got != want {
			t.Fatalf("%d lines, %d accounted for: %d samples, %v", want, got, len(whole.samples), whole.counts)
		}
	})
}

// readLines lets one writer send b in parts of at most n bytes.
func readLines(t *testing.T, b []byte, n int) *kept {
	sink := &kept{counts: map[string]uint64{}}
	r := &tcpRun{idle: time.Minute, sink: sink}
	c := &sent{rest: b, part: max(n, 1)}
	if !r.take(c) {
		t.Fatal("the first writer is refused")
	}
	r.read(t.Context(), c)
	if r.writer != nil || len(r.candidates) > 0 {
		t.Fatal("a connection that ended is kept")
	}
	return sink
}

// sent is a connection whose peer sent some bytes and left.
type sent struct {
	net.Conn
	rest []byte
	part int
}

func (c *sent) Read(b []byte) (int, error) {
	if len(c.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(b[:min(len(b), c.part)], c.rest)
	c.rest = c.rest[n:]
	return n, nil
}
func (c *sent) Close() error { return nil }

// kept is a sink that keeps everything, for one goroutine.
type kept struct {
	samples []*sensors.Sample
	counts  map[string]uint64
}

func (k *kept) Emit(s *sensors.Sample)         { k.samples = append(k.samples, s) }
func (k *kept) Count(outcome string, n uint64) { k.counts[outcome] += n }
func (k *kept) NowNS() int64                   { return 42 }
