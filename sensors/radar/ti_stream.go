package radar

import (
	"bytes"
	"encoding/binary"
)

// magic is the eight bytes that start every frame. No proper prefix of it is
// also a suffix, so occurrences cannot overlap.
var magic = []byte{0x02, 0x01, 0x04, 0x03, 0x06, 0x05, 0x08, 0x07}

// headerPrefix is how much of a header must be there to read the declared
// length of every layout.
const headerPrefix = 24

// Decoder turns the byte stream of a data port into frames. It resynchronises
// after any damage, and what it decides depends on the bytes alone, not on how
// they were split. It is not safe for concurrent use.
type Decoder struct {
	layout Layout // LayoutAuto while it is not known
	auto   bool   // the layout is to be found out
	emit   func(*Frame)
	reject func(Reason)

	buf     []byte
	inFrame bool  // buf starts with a magic
	magicNS int64 // time of the chunk that completed that magic
	clean   int   // no second magic begins before this byte of buf
	junk    uint64
	probe   probe
	store   frameStore
}

// NewDecoder returns a decoder for one stream. emit takes each good frame, which
// is the decoder's until emit returns: the next one is written over it. reject
// takes the reason of each bad one. Both are called from Feed and Flush and must
// not be nil.
func NewDecoder(layout Layout, emit func(*Frame), reject func(Reason)) *Decoder {
	return &Decoder{layout: layout, auto: layout == LayoutAuto, emit: emit, reject: reject}
}

// JunkBytes returns how many bytes belonged to no frame: those before the
// first magic and those of rejected frames.
func (d *Decoder) JunkBytes() uint64 { return d.junk }

// Feed takes the next bytes of the stream, received at nowNS.
func (d *Decoder) Feed(nowNS int64, p []byte) {
	// Pieces of one frame's size keep the buffer bounded whatever p is.
	for len(p) > 0 {
		n := min(len(p), MaxFrameLen)
		d.buf = append(d.buf, p[:n]...)
		p = p[n:]
		d.process(nowNS, false)
	}
}

// Flush says that nothing more came for a while: a complete frame that only
// waited to see whether its last bytes begin the next magic is accepted.
func (d *Decoder) Flush(nowNS int64) { d.process(nowNS, true) }

// process consumes d.buf as far as its bytes allow a decision.
func (d *Decoder) process(nowNS int64, flush bool) {
	for {
		if !d.inFrame {
			i := bytes.Index(d.buf, magic)
			if i < 0 {
				keep := magicPrefixLen(d.buf)
				d.discard(len(d.buf) - keep)
				return
			}
			d.discard(i)
			d.inFrame, d.magicNS = true, nowNS
		}
		if j := d.innerMagic(headerPrefix); j > 0 {
			d.drop(CutFrame, j)
			continue
		}
		if len(d.buf) < headerPrefix {
			return
		}
		total, ok := d.declaredLen()
		if !ok {
			d.drop(BadLength, len(magic))
			continue
		}
		// A magic that begins inside the frame, even one that ends beyond it,
		// means that bytes are missing or the length lied.
		if j := d.innerMagic(total + len(magic) - 1); j > 0 {
			d.drop(CutFrame, j)
			continue
		}
		if len(d.buf) < total {
			return
		}
		if !flush && d.maybeOverlapped(total) {
			return
		}
		d.finish(d.buf[:total])
		d.cutFront(total)
		d.inFrame = false
	}
}

// innerMagic returns where in d.buf[:end] a second magic begins, 0 if nowhere
// so far.
func (d *Decoder) innerMagic(end int) int {
	from, end := max(d.clean, len(magic)), min(len(d.buf), end)
	if end < from+len(magic) {
		return 0
	}
	if j := bytes.Index(d.buf[from:end], magic); j >= 0 {
		return from + j
	}
	d.clean = end - len(magic) + 1
	return 0
}

// maybeOverlapped reports whether the bytes around the frame's end could still
// become a magic that begins inside the frame.
func (d *Decoder) maybeOverlapped(total int) bool {
	for j := 1; j < len(magic); j++ {
		tail := d.buf[total-j:]
		if len(tail) < len(magic) && bytes.HasPrefix(magic, tail) {
			return true
		}
	}
	return false
}

// drop rejects the frame at the front and moves on to byte n.
func (d *Decoder) drop(r Reason, n int) {
	d.refuse(r)
	d.discard(n)
	d.inFrame = false
}

func (d *Decoder) discard(n int) {
	d.junk += uint64(n)
	d.cutFront(n)
}

func (d *Decoder) cutFront(n int) {
	rest := copy(d.buf, d.buf[n:])
	d.buf = d.buf[:rest]
	d.clean = 0
}

// declaredLen returns the frame's length, and whether it is possible.
func (d *Decoder) declaredLen() (int, bool) {
	l := d.layout
	if l == LayoutAuto {
		// Platform 0x000A.... tells where the length is.
		switch {
		case binary.LittleEndian.Uint16(d.buf[18:]) == 0x000A:
			l = Layout36
		case binary.LittleEndian.Uint16(d.buf[14:]) == 0x000A:
			l = Layout52
		default:
			return 0, false
		}
	}
	n := totalLen(l, d.buf)
	return n, n >= l.HeaderLen() && n <= MaxFrameLen
}

// totalLen returns the declared frame length of a raw header prefix of at
// least 24 bytes.
func totalLen(l Layout, b []byte) int {
	off := 12
	if l == Layout52 {
		off = 20
	}
	v := binary.LittleEndian.Uint32(b[off:])
	if v > MaxFrameLen {
		return MaxFrameLen + 1
	}
	return int(v)
}

// magicPrefixLen returns how many bytes at the end of b could begin a magic.
func magicPrefixLen(b []byte) int {
	for n := min(len(b), len(magic)-1); n > 0; n-- {
		if bytes.HasPrefix(magic, b[len(b)-n:]) {
			return n
		}
	}
	return 0
}
