package capture

import (
	"encoding/binary"
	"fmt"
	"math"
	"net"
	"net/netip"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
)

// PacketHeader is the length of what precedes a packet in a pcap file, bytes.
const PacketHeader = 16

// snapLen is the largest that tcpdump knows.
const snapLen = 262_144

// AppendHeader appends the head of a pcap file with stamps of a nanosecond's
// resolution, as every tool of today reads it.
func AppendHeader(b []byte, link LinkType) []byte {
	le := binary.LittleEndian
	b = le.AppendUint32(b, magicNano)
	b = le.AppendUint16(le.AppendUint16(b, 2), 4) // version
	b = le.AppendUint64(b, 0)                     // time zone and accuracy
	return le.AppendUint32(le.AppendUint32(b, snapLen), uint32(link))
}

// AppendPacket appends a packet, whole, with its time of reception.
func AppendPacket(b []byte, at time.Time, packet []byte) []byte {
	le := binary.LittleEndian
	b = le.AppendUint32(le.AppendUint32(b, uint32(at.Unix())), uint32(at.Nanosecond()))
	b = le.AppendUint32(le.AppendUint32(b, uint32(len(packet))), uint32(len(packet)))
	return append(b, packet...)
}

// Addresses of frames whose own are not known: locally administered ones.
var (
	anySender   = net.HardwareAddr{2, 0, 0, 0, 0, 1}
	anyReceiver = net.HardwareAddr{2, 0, 0, 0, 0, 2}
)

// maxPayload is the most of a datagram over IPv4, bytes.
const maxPayload = math.MaxUint16 - 20 - 8

// EthernetUDP returns a datagram in an Ethernet frame, with checksums. It is longer
// than a frame on a wire where the datagram came in fragments.
func EthernetUDP(from, to netip.AddrPort, payload []byte) ([]byte, error) {
	a, b := from.Addr().Unmap(), to.Addr().Unmap()
	if a.Is4() != b.Is4() || !a.IsValid() || !b.IsValid() {
		return nil, fmt.Errorf("datagram from %s to %s: not of one version of IP", from, to)
	}
	if len(payload) > maxPayload {
		return nil, fmt.Errorf("datagram from %s to %s: %d bytes, at most %d", from, to, len(payload), maxPayload)
	}
	eth := layers.Ethernet{SrcMAC: anySender, DstMAC: anyReceiver, EthernetType: layers.EthernetTypeIPv4}
	udp := layers.UDP{SrcPort: layers.UDPPort(from.Port()), DstPort: layers.UDPPort(to.Port())}
	var ip interface {
		gopacket.SerializableLayer
		gopacket.NetworkLayer
	} = &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolUDP, SrcIP: a.AsSlice(), DstIP: b.AsSlice()}
	if a.Is6() {
		eth.EthernetType = layers.EthernetTypeIPv6
		ip = &layers.IPv6{Version: 6, HopLimit: 64, NextHeader: layers.IPProtocolUDP, SrcIP: a.AsSlice(), DstIP: b.AsSlice()}
	}
	if err := udp.SetNetworkLayerForChecksum(ip); err != nil {
		return nil, fmt.Errorf("datagram from %s to %s: %w", from, to, err)
	}
	buf := gopacket.NewSerializeBuffer()
	opt := gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}
	if err := gopacket.SerializeLayers(buf, opt, &eth, ip, &udp, gopacket.Payload(payload)); err != nil {
		return nil, fmt.Errorf("datagram from %s to %s: %w", from, to, err)
	}
	return buf.Bytes(), nil
}

// EthernetPacket returns a captured packet in an Ethernet frame.
func EthernetPacket(link LinkType, packet []byte) ([]byte, error) {
	if link == LinkEthernet {
		return packet, nil
	}
	if link == LinkIPv4 {
		b := append(append(append([]byte{}, anyReceiver...), anySender...), etherIPv4>>8, etherIPv4&0xff)
		return append(b, packet...), nil
	}
	return nil, fmt.Errorf("packet of link type %d: only Ethernet (%d) and IPv4 (%d) are put into an Ethernet frame", link, LinkEthernet, LinkIPv4)
}
