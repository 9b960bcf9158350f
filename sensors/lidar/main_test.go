package lidar

import (
	"bytes"
	"sync"
	"testing"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/ip4defrag"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"
	"go.uber.org/goleak"

	"posefuse/internal/testenv"
	"posefuse/sensors"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const captures = "captures/lidar-ouster"

func readCapture(t testing.TB, name string) []byte {
	t.Helper()
	return testenv.ReadShared(t, captures, name)
}

// datagrams returns the UDP payloads of a capture sent to port (0: any).
func datagrams(t testing.TB, name string, port int) [][]byte {
	t.Helper()
	r, err := pcapgo.NewReader(bytes.NewReader(readCapture(t, name)))
	if err != nil {
		t.Fatal(err)
	}
	defrag := ip4defrag.NewIPv4Defragmenter()
	var out [][]byte
	for {
		data, _, err := r.ReadPacketData()
		if err != nil {
			return out
		}
		p := gopacket.NewPacket(data, r.LinkType(), gopacket.Default)
		ip, ok := p.Layer(layers.LayerTypeIPv4).(*layers.IPv4)
		if !ok {
			continue
		}
		whole, err := defrag.DefragIPv4(ip)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if whole == nil {
			continue
		}
		var udp layers.UDP
		if err := udp.DecodeFromBytes(whole.Payload, gopacket.NilDecodeFeedback); err != nil {
			continue
		}
		if port == 0 || int(udp.DstPort) == port {
			out = append(out, bytes.Clone(udp.Payload))
		}
	}
}

func metadata(t testing.TB, name string) *Metadata {
	t.Helper()
	m, err := ParseMetadata(readCapture(t, name))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return m
}

// outcomes counts like a sink.
type outcomes map[string]uint64

func (o outcomes) count(name string, n uint64) { o[name] += n }

// testSink collects samples.
type testSink struct {
	mu       sync.Mutex
	samples  chan *sensors.Sample
	counts   map[string]uint64
	findings map[string]string
	start    time.Time
}

func newTestSink() *testSink {
	return &testSink{samples: make(chan *sensors.Sample, 64), counts: map[string]uint64{}, findings: map[string]string{}, start: time.Now()}
}
func (s *testSink) Emit(x *sensors.Sample) { s.samples <- x }
func (s *testSink) Count(o string, n uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts[o] += n
}
func (s *testSink) Tell(f sensors.Finding) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.findings[f.Code] = f.Text
}
func (s *testSink) NowNS() int64 { return int64(time.Since(s.start)) }
