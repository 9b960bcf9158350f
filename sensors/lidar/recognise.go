package lidar

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// Kind is what a datagram looks like.
type Kind struct {
	Driver string // that reads it, "" if none of this package does
	What   string // for people, "" if it looks like nothing known
}

// Recognise says what a datagram looks like, by its size and by what no other
// format has in the same places. It is for messages to people: no driver is
// chosen by it.
func Recognise(b []byte) Kind {
	var v VelodynePacket
	var l LivoxPacket
	switch {
	case DecodeVelodyne(b, &v) == nil:
		return Kind{"velodyne", "Velodyne " + v.Product.String()}
	case DecodeVelodynePosition(b, &VelodynePosition{}) == nil:
		return Kind{"velodyne", "Velodyne position packets"}
	case DecodeLivox(b, &l) == nil && l.Type == LivoxIMU:
		return Kind{"livox", "readings of a Livox's inertial sensor"}
	case DecodeLivox(b, &l) == nil:
		return Kind{"livox", fmt.Sprintf("Livox points of type %d", l.Type)}
	case len(b) == ousterIMUSize && looksLikeOusterIMU(b):
		return Kind{"ouster", "readings of an Ouster's inertial sensor"}
	}
	if f, ok := guessOuster(b); ok {
		return Kind{"ouster", fmt.Sprintf("Ouster packets of profile %s with %d rows", f.Profile, f.Rows)}
	}
	for _, k := range []struct{ prefix, what string }{
		{"\x11\x11", "Nexmon CSI"}, {"RTSP/", "RTSP"}, {"HTTP/", "HTTP"}, {"{", "JSON"},
		{"\x02\x01\x04\x03\x06\x05\x08\x07", "a TI radar's frames"}, {"\xd4\xc3\xb2\xa1", "a pcap file"}, {"\x0a\x0d\x0d\x0a", "a pcapng file"},
	} {
		if bytes.HasPrefix(b, []byte(k.prefix)) {
			return Kind{"", k.what}
		}
	}
	return Kind{}
}

// guessOuster finds a format whose columns are where the datagram has
// consecutive ones. Profiles of the same size cannot be told apart: the first
// one is named.
func guessOuster(b []byte) (Format, bool) {
	for _, rows := range []int{16, 32, 64, 128} {
		for p := range numProfiles {
			f := Format{Profile: p, Rows: rows, ColumnsPerPacket: 16, Columns: 4096}
			var x Packet
			if f.Decode(b, &x) != nil {
				continue
			}
			if head := x.Column(0); x.firstValid() == 0 && consecutive(&x, 0, head) && x.Column(15).ID-head.ID == 15 {
				return f, true
			}
		}
	}
	return Format{}, false
}

// looksLikeOusterIMU reports whether a legacy IMU packet's three times are
// within a second of each other.
func looksLikeOusterIMU(b []byte) bool {
	le := binary.LittleEndian
	sys, accel, gyro := le.Uint64(b), le.Uint64(b[8:]), le.Uint64(b[16:])
	near := func(x uint64) bool { return max(x, sys)-min(x, sys) < restartNS }
	return sys != 0 && near(accel) && near(gyro)
}
