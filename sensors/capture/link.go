package capture

import (
	"encoding/binary"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
)

// Link types that are read, by their numbers at tcpdump.org.
const (
	LinkNull     LinkType = 0   // BSD loopback: a protocol family, host order
	LinkEthernet LinkType = 1   // with any number of VLAN tags
	LinkRawOld   LinkType = 12  // an IP packet, as OpenBSD numbers it
	LinkRaw      LinkType = 101 // an IP packet
	LinkWiFi     LinkType = 105 // IEEE 802.11
	LinkLoop     LinkType = 108 // OpenBSD loopback: a protocol family, network order
	LinkSLL      LinkType = 113 // Linux cooked, tcpdump -i any
	LinkRadiotap LinkType = 127 // IEEE 802.11 with what the receiver says of it
	LinkIPv4     LinkType = 228 // an IPv4 packet
	LinkSLL2     LinkType = 276 // Linux cooked, version 2
)

const (
	etherIPv4  = 0x0800
	etherVLAN  = 0x8100
	etherQinQ  = 0x88A8
	etherQinQ2 = 0x9100 // before the standard
	familyIPv4 = 2
)

// network returns the IPv4 packet behind a link's header. known is false for a
// link type that is not read; nil is another protocol.
func network(link LinkType, b []byte) (packet []byte, known bool) {
	switch link {
	case LinkIPv4:
		return b, true
	case LinkRaw, LinkRawOld:
		if len(b) > 0 && b[0]>>4 == 4 {
			return b, true
		}
		return nil, true
	case LinkEthernet:
		return behindTags(b, 12), true
	case LinkSLL:
		return behindTags(b, 14), true
	case LinkSLL2:
		if len(b) >= 20 && binary.BigEndian.Uint16(b) == etherIPv4 {
			return b[20:], true
		}
		return sll2Tagged(b), true
	case LinkNull, LinkLoop:
		if len(b) >= 4 && (binary.BigEndian.Uint32(b) == familyIPv4 || binary.LittleEndian.Uint32(b) == familyIPv4) {
			return b[4:], true
		}
		return nil, true
	case LinkWiFi:
		return behindWiFi(layers.LayerTypeDot11, b), true
	case LinkRadiotap:
		return behindWiFi(layers.LayerTypeRadioTap, b), true
	}
	return nil, false
}

// behindTags returns the IPv4 packet behind an EtherType at an offset and the
// VLAN tags that follow it.
func behindTags(b []byte, at int) []byte {
	for len(b) >= at+2 {
		switch binary.BigEndian.Uint16(b[at:]) {
		case etherIPv4:
			return b[at+2:]
		case etherVLAN, etherQinQ, etherQinQ2:
			at += 4
		default:
			return nil
		}
	}
	return nil
}

// sll2Tagged returns the IPv4 packet behind VLAN tags: their type stands at the
// start of the header, what they announce behind it.
func sll2Tagged(b []byte) []byte {
	if len(b) < 24 {
		return nil
	}
	switch binary.BigEndian.Uint16(b) {
	case etherVLAN, etherQinQ, etherQinQ2:
		return behindTags(b, 22)
	}
	return nil
}

// behindWiFi leaves the 802.11 headers to gopacket, which knows their options.
func behindWiFi(first gopacket.Decoder, b []byte) []byte {
	p := gopacket.NewPacket(b, first, gopacket.DecodeOptions{Lazy: true, NoCopy: true})
	if snap, ok := p.Layer(layers.LayerTypeSNAP).(*layers.SNAP); ok && snap.Type == layers.EthernetTypeIPv4 {
		return snap.Payload
	}
	return nil
}
