package sensors

import (
	"fmt"
	"net/netip"
	"slices"
)

// Transport is the way by which bytes came from a sensor.
type Transport uint8

// The ways by which bytes come.
const (
	UDP     Transport = iota + 1 // the payload of one datagram
	Stream                       // what one read of a serial port, a connection, a FIFO or a file gave
	Packet                       // one captured packet, from the header of Raw.Link on
	Record                       // one record, line or message that came whole
	File                         // a file that the driver decodes by, as a sensor's metadata
	Silence                      // nothing: the driver waits no longer for the rest of what it has
)

// transports are their names in recordings.
var transports = [...]string{UDP: "udp", Stream: "stream", Packet: "packet", Record: "record", File: "file", Silence: "silence"}

// String returns the transport's name.
func (t Transport) String() string {
	if int(t) < len(transports) && t > 0 {
		return transports[t]
	}
	return fmt.Sprintf("transport(%d)", uint8(t))
}

// ParseTransport is the inverse of String.
func ParseTransport(s string) (Transport, error) {
	if i := slices.Index(transports[:], s); i > 0 {
		return Transport(i), nil
	}
	return 0, fmt.Errorf("transport %q: want one of %v", s, transports[1:])
}

// Raw is what a driver read from its wire or port, before it decoded it. What the
// driver leaves unread for its sender, and counts, is not among it; nor is a picture,
// ever.
type Raw struct {
	Transport Transport
	AtNS      int64          // room clock at reception, ns
	From      netip.AddrPort // sender of a datagram
	Begin     bool           // of a stream: these are the first bytes of a new sender
	Link      uint16         // of a packet: its link type, as in pcap files
	Name      string         // of a file: the key of the driver's settings that names it
	Data      []byte         // valid during the call
}

// hearer is a Sink that takes raw bytes.
type hearer interface{ Heard(r *Raw) int64 }

// Heard shows what was read to whoever runs the source, if it listens, and returns
// when it came, on the room clock, ns: r.AtNS, unless the bytes are those of a
// recording that knows better. It never blocks.
func Heard(sink Sink, r *Raw) int64 {
	if h, ok := sink.(hearer); ok {
		return h.Heard(r)
	}
	return r.AtNS
}
