package lidar

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"posefuse/internal/testenv"
)

// A sender that is followed and sends rubbish keeps the port for a while only;
// one that is understood keeps it.
func TestRubbishFollowsNobody(t *testing.T) {
	rubbish, lidar := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
	var s senders
	const ms = int64(time.Millisecond)
	for now := ms; now < int64(senderIdle); now += 10 * ms {
		if !s.accept(rubbish, now) || s.accept(lidar, now) {
			t.Fatalf("at %d ms: not the first that came", now/ms)
		}
	}
	after := int64(senderIdle) + 2*ms
	for now := after; now < 3*after; now += 10 * ms {
		if !s.accept(lidar, now) {
			t.Fatalf("at %d ms: rubbish keeps the port", now/ms)
		}
		s.understood(now)
		if s.accept(rubbish, now) {
			t.Fatalf("at %d ms: rubbish came back", now/ms)
		}
	}
}

// waiting is an assembler whose sweep should have ended, and which refuses
// what begins with a zero.
type waiting struct {
	out     *output
	expired int
	added   chan int // how often it had expired when a good datagram came
}

func (w *waiting) Deadline() int64 { return 1 }
func (w *waiting) Expire(int64)    { w.expired++ }
func (w *waiting) Add(_ int64, b []byte) {
	if b[0] == 0 {
		w.out.count(string(BadVersion), 1)
		return
	}
	w.added <- w.expired
}

// What is thrown away must not hold a sweep open, however much comes and
// wherever from: here the socket is full before it is read.
func TestRubbishHoldsNoSweepOpen(t *testing.T) {
	for name, from := range map[string]string{"another address": "127.0.0.2", "the lidar's own": "127.0.0.1"} {
		t.Run(name, func(t *testing.T) {
			pc, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
			if err != nil {
				t.Fatal(err)
			}
			send := func(from string, b byte) {
				d := net.Dialer{LocalAddr: &net.UDPAddr{IP: net.ParseIP(from)}}
				c, err := d.Dial("udp", pc.LocalAddr().String())
				if err != nil {
					t.Fatal(err)
				}
				if _, err = c.Write([]byte{b}); err != nil {
					t.Fatal(err)
				}
				_ = c.Close()
			}
			for range 20 {
				send(from, 0)
			}
			send("127.0.0.1", 1)
			s := &UDPSource{from: netip.MustParseAddr("127.0.0.1")}
			out := &output{sink: newTestSink()}
			w := &waiting{out: out, added: make(chan int, 1)}
			done := make(chan error, 1)
			go func() { done <- s.read(pc, w, out) }()
			if n := testenv.Receive(t, "the good datagram", w.added); n == 0 {
				t.Error("20 datagrams of rubbish came and the sweep did not end")
			}
			_ = pc.Close()
			if err := testenv.Receive(t, "the reader's end", done); err == nil {
				t.Error("a closed socket is no error")
			}
		})
	}
}
