package rtsptest

import (
	"bufio"
	"encoding/binary"
	"io"
	"slices"
)

// readPacket reads an interleaved packet with its header of four bytes.
func readPacket(in *bufio.Reader) ([]byte, error) {
	head, err := in.Peek(4)
	if err != nil {
		return nil, err
	}
	b := make([]byte, 4+int(binary.BigEndian.Uint16(head[2:])))
	_, err = io.ReadFull(in, b)
	return b, err
}

// shift moves one player's packets to the numbers that its camera promised.
type shift struct {
	started bool
	seq     uint16
	time    uint32
}

// apply returns the packet as the make sends it on its channel.
func (s *shift) apply(packet []byte, m *Make, channel byte) []byte {
	p := slices.Clone(packet)
	p[1] += channel // the recorder uses 0 and 1
	body := p[4:]
	if packet[1] == 0 && len(body) >= 12 {
		if !s.started {
			s.started = true
			s.seq = m.seq - binary.BigEndian.Uint16(body[2:])
			s.time = m.time - binary.BigEndian.Uint32(body[4:])
		}
		body[1] = body[1]&0x80 | m.payload
		binary.BigEndian.PutUint16(body[2:], binary.BigEndian.Uint16(body[2:])+s.seq)
		binary.BigEndian.PutUint32(body[4:], binary.BigEndian.Uint32(body[4:])+s.time)
	}
	if packet[1] == 1 && len(body) >= 28 && body[1] == 200 { // sender report
		binary.BigEndian.PutUint32(body[16:], binary.BigEndian.Uint32(body[16:])+s.time)
	}
	return p
}
