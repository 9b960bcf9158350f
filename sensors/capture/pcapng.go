package capture

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/bits"
	"time"
)

// Types of pcapng blocks that are read; others are skipped.
const (
	blockInterface = 1
	blockOldPacket = 2
	blockSimple    = 3
	blockPacket    = 6
)

// Options of an interface block.
const (
	optEnd      = 0
	optTSResol  = 9
	optTSOffset = 14
)

// maxIfaces bounds the interfaces of a section.
const maxIfaces = 1024

// iface is one interface of a pcapng section.
type iface struct {
	link    LinkType
	snapLen uint32
	// A time stamp counts ticks of a second divided by resol, or by two to the
	// power of resolBits if that is not 0, from offset.
	resol     uint64
	resolBits uint8
	offsetSec int64
}

// time turns a stamp into a time.
func (i *iface) time(ticks uint64) time.Time {
	if i.resolBits > 0 {
		sec := ticks >> i.resolBits
		hi, lo := bits.Mul64(ticks&(1<<i.resolBits-1), uint64(time.Second))
		return time.Unix(int64(sec)+i.offsetSec, int64(hi<<(64-i.resolBits)|lo>>i.resolBits))
	}
	sec, rest := ticks/i.resol, ticks%i.resol
	if i.resol > uint64(time.Second) {
		return time.Unix(int64(sec)+i.offsetSec, int64(rest/(i.resol/uint64(time.Second))))
	}
	return time.Unix(int64(sec)+i.offsetSec, int64(rest*(uint64(time.Second)/i.resol)))
}

// section reads a section header, whose type has been read. Each section has
// its own byte order and interfaces.
func (r *Reader) section() error {
	head, err := r.body(8)
	if err != nil {
		return wholeHeader(err)
	}
	switch {
	case binary.LittleEndian.Uint32(head[4:]) == 0x1A2B3C4D:
		r.order = binary.LittleEndian
	case binary.BigEndian.Uint32(head[4:]) == 0x1A2B3C4D:
		r.order = binary.BigEndian
	default:
		return fmt.Errorf("pcapng section without byte order at offset %d: %w", r.at-4, ErrFormat)
	}
	r.ifaces = r.ifaces[:0]
	n := r.order.Uint32(head)
	if n < 28 || n > maxPacket || n%4 != 0 {
		return fmt.Errorf("pcapng section header of %d bytes at offset %d: %w", n, r.at-8, ErrFormat)
	}
	_, err = r.body(int(n) - 12)
	return err
}

// nextBlock reads blocks up to the next packet.
func (r *Reader) nextBlock() (*Packet, error) {
	for {
		head, err := r.read(4)
		if err != nil {
			return nil, err
		}
		if binary.BigEndian.Uint32(head) == magicBlocks {
			if err = r.section(); err != nil {
				return nil, err
			}
			continue
		}
		kind := r.order.Uint32(head)
		if head, err = r.body(4); err != nil {
			return nil, err
		}
		n := int64(r.order.Uint32(head))
		if n < 12 || n%4 != 0 {
			return nil, fmt.Errorf("pcapng block of %d bytes at offset %d: the file is damaged there", n, r.at-8)
		}
		switch kind {
		case blockInterface, blockOldPacket, blockSimple, blockPacket:
		default:
			skipped, skipErr := io.CopyN(io.Discard, r.in, n-8)
			r.at += skipped
			if skipErr != nil {
				return nil, unexpected(skipErr)
			}
			continue
		}
		if n > maxPacket {
			return nil, fmt.Errorf("pcapng block of %d bytes at offset %d, want at most %d: the file is damaged there", n, r.at-8, maxPacket)
		}
		start := r.at - 8
		b, err := r.body(int(n) - 8)
		if err != nil {
			return nil, err
		}
		b = b[:len(b)-4] // the length again
		if kind == blockInterface {
			err = r.addInterface(b)
		} else if err = r.packet(kind, b); err == nil {
			return &r.pkt, nil
		}
		if err != nil {
			return nil, fmt.Errorf("pcapng block at offset %d: %w", start, err)
		}
	}
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

var errShortBlock = errors.New("too short for its kind: the file is damaged there")

func (r *Reader) addInterface(b []byte) error {
	if len(b) < 8 {
		return errShortBlock
	}
	if len(r.ifaces) >= maxIfaces {
		return fmt.Errorf("more than %d interfaces", maxIfaces)
	}
	i := iface{link: LinkType(r.order.Uint16(b)), snapLen: r.order.Uint32(b[4:]), resol: 1e6}
	for b = b[8:]; len(b) >= 4; {
		code, n := r.order.Uint16(b), int(r.order.Uint16(b[2:]))
		padded := 4 + (n+3)&^3
		if code == optEnd || padded > len(b) {
			break
		}
		v := b[4 : 4+n]
		switch {
		case code == optTSResol && n == 1:
			if err := i.setResolution(v[0]); err != nil {
				return err
			}
		case code == optTSOffset && n == 8:
			i.offsetSec = int64(r.order.Uint64(v))
		}
		b = b[padded:]
	}
	r.ifaces = append(r.ifaces, i)
	return nil
}

// setResolution takes the exponent of a time stamp's unit: of two if the
// highest bit is set, else of ten.
func (i *iface) setResolution(v uint8) error {
	switch e := v & 0x7F; {
	case v&0x80 != 0 && e < 64:
		i.resolBits = e
		if e == 0 {
			i.resol = 1
		}
	case v&0x80 == 0 && e < 20:
		i.resol = uint64(math.Round(math.Pow10(int(e))))
	default:
		return fmt.Errorf("time stamps in units of %#02x are not known", v)
	}
	return nil
}

// packet takes a block that holds a packet.
func (r *Reader) packet(kind uint32, b []byte) error {
	header := map[uint32]int{blockPacket: 20, blockOldPacket: 20, blockSimple: 4}[kind]
	if len(b) < header {
		return errShortBlock
	}
	id, ticks := 0, uint64(0)
	var n, length int
	switch kind {
	case blockPacket, blockOldPacket:
		id = int(r.order.Uint32(b))
		if kind == blockOldPacket {
			id = int(r.order.Uint16(b))
		}
		ticks = uint64(r.order.Uint32(b[4:]))<<32 | uint64(r.order.Uint32(b[8:]))
		n, length = int(r.order.Uint32(b[12:])), int(r.order.Uint32(b[16:]))
	case blockSimple:
		length = int(r.order.Uint32(b))
		n = length
	}
	if id >= len(r.ifaces) {
		return fmt.Errorf("a packet of interface %d, and %d are described", id, len(r.ifaces))
	}
	on := &r.ifaces[id]
	if kind == blockSimple {
		n = min(n, len(b)-header)
		if on.snapLen > 0 {
			n = min(n, int(on.snapLen))
		}
	}
	if n > len(b)-header {
		return errShortBlock
	}
	r.pkt = Packet{Link: on.link, Data: b[header : header+n], Length: max(length, n)}
	if kind != blockSimple {
		r.pkt.Time = on.time(ticks)
	}
	return nil
}
