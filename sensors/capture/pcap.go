// Package capture reads files that hold what sensors sent: packet captures
// (pcap and pcapng) down to their UDP datagrams, and the descriptors of the
// formats that a file may hold, for tools that decode one.
//
// Layouts follow the pcap and pcapng specifications and the link types of
// tcpdump.org. gopacket reads the headers above the link; its own file readers
// cut link types to eight bits and stop at pcapng sections of another byte
// order, so the files are read here.
package capture

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"
)

// LinkType is the number of the first header of a captured packet.
type LinkType uint16

// maxPacket bounds the captured bytes of a packet, and a block of pcapng.
const maxPacket = 1 << 20

// Packet is one captured packet.
type Packet struct {
	Time   time.Time // of reception, wall clock; zero if the file has none
	Link   LinkType
	Data   []byte // from the link's header on; valid until the next call of Next
	Length int    // bytes on the wire, more than len(Data) if the capture cut it
}

// Reader reads the packets of a pcap or pcapng stream. It reads no further than
// it must, so that the stream may still grow.
type Reader struct {
	in    *bufio.Reader
	order binary.ByteOrder
	at    int64 // bytes read
	buf   []byte
	pkt   Packet

	// Of a pcap file.
	link LinkType
	unit time.Duration // of the fraction of a second

	// Of a pcapng section.
	blocks bool
	ifaces []iface
}

// ErrFormat says that a stream is neither pcap nor pcapng.
var ErrFormat = errors.New("neither pcap nor pcapng")

// The first four bytes of a file, as a big-endian number.
const (
	magicMicro      = 0xA1B2C3D4
	magicMicroLE    = 0xD4C3B2A1
	magicNano       = 0xA1B23C4D
	magicNanoLE     = 0x4D3CB2A1
	magicModified   = 0xA1B2CD34 // an old Linux tcpdump: its records differ
	magicModifiedLE = 0x34CDB2A1
	magicBlocks     = 0x0A0D0D0A // a pcapng section, in either byte order
)

// Is reports whether a file that begins with head is a packet capture.
func Is(head []byte) bool {
	if len(head) < 4 {
		return false
	}
	switch binary.BigEndian.Uint32(head) {
	case magicMicro, magicMicroLE, magicNano, magicNanoLE, magicModified, magicModifiedLE, magicBlocks:
		return true
	}
	return false
}

// NewReader reads the head of a stream. An error is ErrFormat for what is no
// packet capture, io.EOF for an empty stream.
func NewReader(in io.Reader) (*Reader, error) {
	r := &Reader{in: bufio.NewReaderSize(in, 64<<10)}
	head, err := r.read(4)
	if err != nil {
		return nil, err
	}
	magic := binary.BigEndian.Uint32(head)
	r.order = binary.ByteOrder(binary.BigEndian)
	switch magic {
	case magicMicroLE, magicNanoLE:
		r.order = binary.LittleEndian
	case magicMicro, magicNano:
	case magicBlocks:
		r.blocks = true
		return r, r.section()
	case magicModified, magicModifiedLE:
		return nil, fmt.Errorf("a pcap of an old tcpdump with longer records: convert it with 'editcap -F pcap IN OUT': %w", ErrFormat)
	default:
		return nil, fmt.Errorf("it begins with % x: %w", head, ErrFormat)
	}
	r.unit = time.Microsecond
	if magic == magicNano || magic == magicNanoLE {
		r.unit = time.Nanosecond
	}
	if head, err = r.read(20); err != nil {
		return nil, wholeHeader(err)
	}
	// Above 16 bits lies the length of a frame check sequence.
	r.link = LinkType(r.order.Uint32(head[16:]))
	return r, nil
}

func wholeHeader(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("the file ends inside its header: %w", io.ErrUnexpectedEOF)
	}
	return err
}

// Next returns the next packet, which is valid until the call after. The error
// is io.EOF at the end, io.ErrUnexpectedEOF if the file ends inside a packet.
func (r *Reader) Next() (*Packet, error) {
	if r.blocks {
		return r.nextBlock()
	}
	head, err := r.read(16)
	if err != nil {
		return nil, err
	}
	sec, frac := r.order.Uint32(head), r.order.Uint32(head[4:])
	n, length := r.order.Uint32(head[8:]), r.order.Uint32(head[12:])
	if n > maxPacket {
		return nil, fmt.Errorf("packet of %d bytes at offset %d, want at most %d: the file is damaged there", n, r.at-16, maxPacket)
	}
	data, err := r.body(int(n))
	if err != nil {
		return nil, err
	}
	r.pkt = Packet{Time: time.Unix(int64(sec), int64(frac)*int64(r.unit)), Link: r.link, Data: data, Length: max(int(length), int(n))}
	return &r.pkt, nil
}

// read returns the next n bytes, valid until the next read: io.EOF if there is
// none of them, io.ErrUnexpectedEOF if there are some.
func (r *Reader) read(n int) ([]byte, error) {
	if cap(r.buf) < n {
		r.buf = make([]byte, max(n, 2048))
	}
	got, err := io.ReadFull(r.in, r.buf[:n])
	r.at += int64(got)
	return r.buf[:n], err
}

// body is read where the bytes have been announced.
func (r *Reader) body(n int) ([]byte, error) {
	b, err := r.read(n)
	if errors.Is(err, io.EOF) && n > 0 {
		err = io.ErrUnexpectedEOF
	}
	return b, err
}
