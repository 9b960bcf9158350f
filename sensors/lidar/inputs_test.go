package lidar

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"

	"posefuse/internal/testenv"
	"posefuse/sensors"
)

// The failing inputs of the findings, played through the live driver in their
// own time. Each test says what inputs/sensors/README.md calls right.

const inputs = "inputs/sensors"

// sent is one datagram of a capture.
type sent struct {
	at      time.Time
	from    string
	payload []byte
}

func readInput(t *testing.T, name string) []sent {
	t.Helper()
	r, err := pcapgo.NewReader(bytes.NewReader(testenv.ReadShared(t, inputs, name)))
	if err != nil {
		t.Fatal(err)
	}
	var out []sent
	for {
		data, ci, err := r.ReadPacketData()
		if err != nil {
			return out
		}
		p := gopacket.NewPacket(data, r.LinkType(), gopacket.Default)
		ip, _ := p.Layer(layers.LayerTypeIPv4).(*layers.IPv4)
		udp, ok := p.Layer(layers.LayerTypeUDP).(*layers.UDP)
		if !ok || ip == nil {
			t.Fatalf("%s: a record is no UDP datagram", name)
		}
		out = append(out, sent{ci.Timestamp, ip.SrcIP.String(), bytes.Clone(udp.Payload)})
	}
}

// player sends the datagrams of a capture with the pauses between them, each
// sender from a loopback address of its own.
type player struct {
	to    string
	conns map[string]net.Conn
	start time.Time
}

func newPlayer(t *testing.T, to string) *player {
	p := &player{to: to, conns: map[string]net.Conn{}}
	t.Cleanup(func() {
		for _, c := range p.conns {
			_ = c.Close()
		}
	})
	return p
}

func (p *player) conn(t *testing.T, from string) net.Conn {
	t.Helper()
	if c, ok := p.conns[from]; ok {
		return c
	}
	d := net.Dialer{LocalAddr: &net.UDPAddr{IP: net.IPv4(127, 0, 0, byte(2+len(p.conns)))}}
	c, err := d.Dial("udp", p.to)
	if err != nil {
		t.Fatal(err)
	}
	p.conns[from] = c
	return c
}

func (p *player) play(t *testing.T, packets []sent) {
	t.Helper()
	p.start = time.Now()
	for _, s := range packets {
		time.Sleep(time.Until(p.start.Add(s.at.Sub(packets[0].at))))
		if _, err := p.conn(t, s.from).Write(s.payload); err != nil {
			t.Fatal(err)
		}
	}
}

// listenOnce starts a source and waits for its listener, without a datagram
// that it would take for a sender.
func listenOnce(t *testing.T, cfg sensors.Settings, listen *string) *testSink {
	t.Helper()
	sink, _ := startSource(t, cfg, listen)
	_, port, err := net.SplitHostPort(*listen)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	testenv.Wait(t, "a listener", func() bool {
		open, err := os.ReadFile("/proc/net/udp")
		return err == nil && strings.Contains(string(open), fmt.Sprintf(":%04X 00000000:0000 ", n))
	})
	return sink
}

// again repeats a play whose pace this machine did not keep: a sender that is
// held up looks like loss.
func again(t *testing.T, play func() string) {
	t.Helper()
	for try := 1; ; try++ {
		why := play()
		if why == "" {
			return
		}
		if try == 6 {
			t.Fatal(why)
		}
		t.Logf("%s; once more", why)
	}
}

// settled waits until the source has read n datagrams.
func settled(t *testing.T, sink *testSink, n int) {
	t.Helper()
	testenv.Wait(t, "every datagram to be counted", func() bool {
		sink.mu.Lock()
		defer sink.mu.Unlock()
		sum := uint64(0)
		for outcome, k := range sink.counts {
			if outcome != "lost_packet" && outcome != "restart" {
				sum += k
			}
		}
		return sum >= uint64(n)
	})
}

func (s *testSink) counted(outcome string) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts[outcome]
}

func (s *testSink) told(code string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.findings[code]
	return ok
}

func TestInputLivoxCounters(t *testing.T) {
	for name, want := range map[string]int{"livox_counter_wrap.pcap": 8, "livox_after_wrap.pcap": 5} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			packets := readInput(t, name)
			again(t, func() string {
				cfg := NewLivoxConfig()
				sink := listenOnce(t, cfg, &cfg.Listen)
				newPlayer(t, cfg.Listen).play(t, packets)
				settled(t, sink, len(packets))
				for k := range want {
					s := testenv.Receive(t, "a sweep", sink.samples)
					if s.Cloud.Complete != 1 || len(s.Cloud.XYZ) != 3*4*50 {
						return fmt.Sprintf("sweep %d: complete %g, %d points; want 50 datagrams of 4", k, s.Cloud.Complete, len(s.Cloud.XYZ)/3)
					}
				}
				if n := sink.counted("packet"); n != uint64(len(packets)) || sink.counted("lost_packet") != 0 {
					return fmt.Sprintf("%d packets of %d", n, len(packets))
				}
				return ""
			})
		})
	}
}

func TestInputTwoLivox(t *testing.T) {
	t.Parallel()
	packets := readInput(t, "livox_two_lidars.pcap")
	first := 0
	for _, p := range packets {
		if p.from == packets[0].from {
			first++
		}
	}
	again(t, func() string {
		cfg := NewLivoxConfig()
		sink := listenOnce(t, cfg, &cfg.Listen)
		newPlayer(t, cfg.Listen).play(t, packets)
		settled(t, sink, len(packets))
		for range first / 50 {
			if s := testenv.Receive(t, "a sweep", sink.samples); s.Cloud.Complete != 1 || s.Restarted {
				return fmt.Sprintf("complete %g, restarted %v", s.Cloud.Complete, s.Restarted)
			}
		}
		if sink.counted("packet") != uint64(first) || sink.counted("other_source") != uint64(len(packets)-first) || !sink.told("two_senders") {
			return fmt.Sprintf("%d packets, %d of the other lidar", sink.counted("packet"), sink.counted("other_source"))
		}
		return ""
	})
}

// TestFromThatIsSilent: the setting names another address than the one that
// sends, and the finding names both.
func TestFromThatIsSilent(t *testing.T) {
	t.Parallel()
	packets := readInput(t, "livox_after_wrap.pcap")
	cfg := NewLivoxConfig()
	cfg.From = "192.168.50.99"
	sink := listenOnce(t, cfg, &cfg.Listen)
	newPlayer(t, cfg.Listen).play(t, packets)
	testenv.Wait(t, "the finding", func() bool { return sink.told("other_source") })
	if sink.counted("packet") != 0 || sink.counted("other_source") == 0 {
		t.Errorf("%d packets, %d of another source", sink.counted("packet"), sink.counted("other_source"))
	}
	// Once it speaks, others beside it are no fault.
	s := senders{only: netip.MustParseAddr("192.168.50.99")}
	if !s.accept(s.only, 5e9) {
		t.Fatal("the chosen one is refused")
	}
	if f, ok := s.finding(netip.MustParseAddr("127.0.0.1"), 6e9); ok {
		t.Errorf("told %v", f)
	}
	if f, ok := s.finding(netip.MustParseAddr("127.0.0.1"), 8e9); !ok || !strings.Contains(f.Text, "127.0.0.1") || !strings.Contains(f.Text, "192.168.50.99") {
		t.Errorf("told %v", f)
	}
}

// shared returns a file's path for settings.
func shared(t *testing.T, name string) string { return testenv.Shared(t, inputs, name) }

func TestInputOusterReconfigured(t *testing.T) {
	t.Parallel()
	cfg := NewOusterConfig()
	cfg.MetadataFile = filepath.Join(t.TempDir(), "ouster.json")
	put := func(name string) {
		t.Helper()
		temporary := cfg.MetadataFile + ".new"
		if err := os.WriteFile(temporary, testenv.ReadShared(t, inputs, name), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(temporary, cfg.MetadataFile); err != nil {
			t.Fatal(err)
		}
	}
	put("ouster_init_before.json")
	sink := listenOnce(t, cfg, &cfg.Listen)
	packets := readInput(t, "ouster_init_id_changes.pcap")
	p := newPlayer(t, cfg.Listen)
	p.play(t, packets)
	if s := testenv.Receive(t, "the sweep before", sink.samples); s.Cloud.Complete != 1 {
		t.Errorf("complete %g", s.Cloud.Complete)
	}
	testenv.Wait(t, "refusals", func() bool { return sink.counted("bad_init_id") == uint64(len(packets)/2) })
	if !sink.told("reconfigured") {
		t.Errorf("findings %v", sink.findings)
	}
	put("ouster_init_after.json")
	testenv.Wait(t, "a sweep of the new configuration", func() bool {
		p.play(t, packets[len(packets)/2:])
		select {
		case s := <-sink.samples:
			return s.Restarted // not whole, if the metadata came amid its packets
		default:
			return false
		}
	})
}

func TestInputOusterOnePacketLost(t *testing.T) {
	t.Parallel()
	packets := readInput(t, "ouster_one_packet_lost.pcap")
	again(t, func() string {
		cfg := NewOusterConfig()
		cfg.MetadataFile = shared(t, "ouster_one_packet_lost.json")
		sink := listenOnce(t, cfg, &cfg.Listen)
		newPlayer(t, cfg.Listen).play(t, packets)
		settled(t, sink, len(packets))
		for range 2 {
			s := testenv.Receive(t, "a sweep", sink.samples)
			if s.Cloud.Complete < 0.96 || s.Cloud.Complete > 0.98 {
				return fmt.Sprintf("complete %g", s.Cloud.Complete)
			}
		}
		if sink.counted("lost_packet") != 2 || sink.counted("late") != 0 {
			return fmt.Sprintf("%d lost, %d late", sink.counted("lost_packet"), sink.counted("late"))
		}
		return ""
	})
}

// A VLP-16 through the live driver: whole sweeps behind the first, cut behind the
// sensor.
func TestUDPSourceVelodyne(t *testing.T) {
	t.Parallel()
	var packets []sent
	for i, b := range velodynePackets(t, "vlp16_strongest_1000x1206.bin")[:260] {
		packets = append(packets, sent{time.Time{}.Add(time.Duration(i) * 1327 * time.Microsecond), "velodyne", b})
	}
	again(t, func() string {
		cfg := NewVelodyneConfig()
		sink := listenOnce(t, cfg, &cfg.Listen)
		newPlayer(t, cfg.Listen).play(t, packets)
		settled(t, sink, len(packets))
		testenv.Receive(t, "the part of a sweep at the start", sink.samples)
		for range 2 {
			s := testenv.Receive(t, "a sweep", sink.samples)
			if n := len(s.Cloud.XYZ) / 3; s.Cloud.Complete != 1 || n < 14_000 || !s.HasDevice {
				return fmt.Sprintf("%d points, complete %g", n, s.Cloud.Complete)
			}
		}
		if sink.counted("lost_packet") != 0 || sink.counted("packet") != 260 {
			return fmt.Sprintf("%d packets, %d lost", sink.counted("packet"), sink.counted("lost_packet"))
		}
		return ""
	})
}
