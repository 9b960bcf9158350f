package capture

import (
	"bytes"
	"errors"
	"io"
	"net/netip"
	"testing"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"
)

// TestWrittenCaptureIsReadByOthers: gopacket finds the datagrams, with their times,
// lengths and checksums, and so does the reader here.
func TestWrittenCaptureIsReadByOthers(t *testing.T) {
	at := time.Unix(1_800_000_000, 123_456_789)
	for name, c := range map[string]struct{ from, to string }{
		"IPv4":   {"192.168.1.30:7502", "192.168.1.2:7502"},
		"mapped": {"[::ffff:10.0.0.1]:9", "127.0.0.1:1"},
		"IPv6":   {"[fd00::1]:7502", "[fd00::2]:7503"},
	} {
		t.Run(name, func(t *testing.T) {
			from, to := netip.MustParseAddrPort(c.from), netip.MustParseAddrPort(c.to)
			file := AppendHeader(nil, LinkEthernet)
			var payloads [][]byte
			for _, n := range []int{1, 1248, 24_896} { // the last one is an OS1-128's
				payloads = append(payloads, bytes.Repeat([]byte{byte(n)}, n))
				frame, err := EthernetUDP(from, to, payloads[len(payloads)-1])
				if err != nil {
					t.Fatal(err)
				}
				file = AppendPacket(file, at.Add(time.Duration(n)), frame)
			}
			r, err := pcapgo.NewReader(bytes.NewReader(file))
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range payloads {
				b, ci, rerr := r.ReadPacketData()
				if rerr != nil {
					t.Fatal(rerr)
				}
				if !ci.Timestamp.Equal(at.Add(time.Duration(len(want)))) || ci.Length != len(b) {
					t.Errorf("%d bytes: %+v", len(want), ci)
				}
				p := gopacket.NewPacket(b, r.LinkType(), gopacket.Default)
				if bad := p.ErrorLayer(); bad != nil {
					t.Fatal(bad.Error())
				}
				udp, ok := p.TransportLayer().(*layers.UDP)
				if !ok || !bytes.Equal(udp.Payload, want) || udp.SrcPort != layers.UDPPort(from.Port()) || udp.DstPort != layers.UDPPort(to.Port()) {
					t.Errorf("%d bytes: %v", len(want), p)
				}
				if src, _ := netip.AddrFromSlice(p.NetworkLayer().NetworkFlow().Src().Raw()); src != from.Addr().Unmap() {
					t.Errorf("from %v", src)
				}
			}
			if _, _, err = r.ReadPacketData(); !errors.Is(err, io.EOF) {
				t.Errorf("after the last: %v", err)
			}
			if name == "IPv6" {
				return // the reader here knows IPv4 alone
			}
			own, err := NewReader(bytes.NewReader(file))
			if err != nil {
				t.Fatal(err)
			}
			d := NewDecoder(func(outcome string, _ uint64) { t.Error(outcome) })
			for _, want := range payloads {
				p, err := own.Next()
				if err != nil {
					t.Fatal(err)
				}
				if g, ok := d.UDP(p); !ok || !bytes.Equal(g.Payload, want) || g.To != to || !p.Time.Equal(at.Add(time.Duration(len(want)))) {
					t.Errorf("%+v", g)
				}
			}
		})
	}
}

func TestEthernetRefuses(t *testing.T) {
	for _, c := range [][2]string{{"10.0.0.1:1", "[fd00::1]:1"}, {"[fd00::1]:1", "10.0.0.1:1"}} {
		if _, err := EthernetUDP(netip.MustParseAddrPort(c[0]), netip.MustParseAddrPort(c[1]), nil); err == nil {
			t.Errorf("%v pass", c)
		}
	}
	if _, err := EthernetUDP(netip.AddrPort{}, netip.AddrPort{}, nil); err == nil {
		t.Error("no addresses pass")
	}
	if _, err := EthernetUDP(netip.MustParseAddrPort("10.0.0.1:1"), netip.MustParseAddrPort("10.0.0.2:1"), make([]byte, 1<<16)); err == nil {
		t.Error("a datagram of 64 KiB passes")
	}
	if _, err := EthernetPacket(LinkRadiotap, []byte{0}); err == nil {
		t.Error("a WiFi frame passes")
	}
	ip := []byte{0x45, 0, 0, 20, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2}
	b, err := EthernetPacket(LinkIPv4, ip)
	if err != nil || !bytes.Equal(b[14:], ip) || gopacket.NewPacket(b, layers.LayerTypeEthernet, gopacket.Default).NetworkLayer() == nil {
		t.Errorf("% x, %v", b, err)
	}
}
