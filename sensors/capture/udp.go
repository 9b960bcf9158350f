package capture

import (
	"net/netip"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
)

// Outcomes of packets that give no datagram.
const (
	OutcomeOtherTraffic = "other_traffic"   // no UDP over IPv4
	OutcomeUnknownLink  = "unknown_link"    // a link type that is not read
	OutcomeTruncated    = "truncated"       // the capture kept less than was sent, or a length lies
	OutcomeFragment     = "fragment"        // a part of a datagram that came in several
	OutcomeLostFragment = "fragment_lost"   // a part of a datagram that never became whole
	OutcomeRepeated     = "datagram_repeat" // the same fragments once more
)

// Datagram is a UDP datagram.
type Datagram struct {
	Time     time.Time // of the packet that completed it
	From, To netip.AddrPort
	Payload  []byte // valid until the next call
}

// Decoder takes UDP datagrams out of captured packets and joins those that came
// in IPv4 fragments. Each packet becomes part of a datagram or is counted. It
// is not safe for concurrent use.
type Decoder struct {
	count func(outcome string, n uint64)
	ip    layers.IPv4
	udp   layers.UDP
	cut   cutFeedback
	parts reassembly
}

// NewDecoder returns a decoder. count takes what gives no datagram.
func NewDecoder(count func(outcome string, n uint64)) *Decoder {
	return &Decoder{count: count, parts: reassembly{count: count}}
}

// cutFeedback remembers that a header announced more than there is.
type cutFeedback bool

// SetTruncated implements gopacket.DecodeFeedback.
func (c *cutFeedback) SetTruncated() { *c = true }

var _ gopacket.DecodeFeedback = (*cutFeedback)(nil)

// UDP returns the datagram that a packet completes; false, and counted, if it
// completes none. The payload has the length that the UDP header says: frames
// may be padded.
func (d *Decoder) UDP(p *Packet) (Datagram, bool) {
	data, known := network(p.Link, p.Data)
	switch {
	case !known:
		return d.none(OutcomeUnknownLink)
	case data == nil:
		return d.none(OutcomeOtherTraffic)
	}
	d.cut = false
	if err := d.ip.DecodeFromBytes(data, &d.cut); err != nil || d.ip.Version != 4 {
		if bool(d.cut) || len(p.Data) < p.Length {
			return d.none(OutcomeTruncated)
		}
		return d.none(OutcomeOtherTraffic)
	}
	if d.ip.Protocol != layers.IPProtocolUDP {
		return d.none(OutcomeOtherTraffic)
	}
	// Some sensors give the IP packet a wrong length: of one that is whole, the
	// UDP header's decides.
	if bool(d.cut) && (d.ip.FragOffset > 0 || d.ip.Flags&layers.IPv4MoreFragments != 0) {
		return d.none(OutcomeTruncated)
	}
	from, _ := netip.AddrFromSlice(d.ip.SrcIP)
	to, _ := netip.AddrFromSlice(d.ip.DstIP)
	body := d.ip.Payload
	if d.ip.FragOffset > 0 || d.ip.Flags&layers.IPv4MoreFragments != 0 {
		part := fragment{
			key: fragmentKey{from, to, d.ip.Id}, at: 8 * int(d.ip.FragOffset), data: body,
			last: d.ip.Flags&layers.IPv4MoreFragments == 0,
		}
		if body = d.parts.add(p.Time, part); body == nil {
			return Datagram{}, false // counted
		}
	}
	d.cut = false
	if err := d.udp.DecodeFromBytes(body, &d.cut); err != nil || bool(d.cut) || len(d.udp.Payload) != int(d.udp.Length)-8 {
		return d.none(OutcomeTruncated)
	}
	return Datagram{
		Time: p.Time, Payload: d.udp.Payload,
		From: netip.AddrPortFrom(from, uint16(d.udp.SrcPort)), To: netip.AddrPortFrom(to, uint16(d.udp.DstPort)),
	}, true
}

func (d *Decoder) none(outcome string) (Datagram, bool) {
	d.count(outcome, 1)
	return Datagram{}, false
}

// Close counts the fragments of datagrams that never became whole.
func (d *Decoder) Close() { d.parts.close() }
