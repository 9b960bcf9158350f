package camera

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"time"
)

// NUT is the container in which ffmpeg hands over raw pictures. Unlike YUV4MPEG
// it says the length of each picture, so that a change of size in mid-stream
// shows, and its time. This reader takes files of one video stream of raw
// planar 4:2:0 and nothing else.

const (
	nutMagic         = "nut/multimedia container\x00"
	nutMainStart     = 0x4E4D7A561F5F04AD
	nutStreamStart   = 0x4E5311405BF2F9DB
	nutSyncStart     = 0x4E4BE4ADEECA4569
	nutMaxHeader     = 64 << 10
	nutLongHeader    = 4096 // from here on a header has a checksum of its own
	nutMaxElision    = 256  // bytes of a header that frames need not repeat
	nutMaxReserved   = 64
	nutMaxTimeBases  = 16
	nutClassVideo    = 0
	nutFourccI420    = "I420"
	nutMaxPTSShift   = 32
	nutMaxTimeFactor = 1 << 31
)

// Flags of a frame.
const (
	nutCodedPTS  = 1 << 3
	nutStreamID  = 1 << 4
	nutSizeMSB   = 1 << 5
	nutChecksum  = 1 << 6
	nutReserved  = 1 << 7
	nutSideData  = 1 << 8
	nutHeaderIdx = 1 << 10
	nutMatchTime = 1 << 11
	nutCoded     = 1 << 12
	nutInvalid   = 1 << 13
)

// errPictureSize is a picture of another size than those before it.
var errPictureSize = errors.New("the size of the pictures changed")

func badNUT(format string, args ...any) error {
	return fmt.Errorf("not the pictures that were asked for: "+format, args...)
}

// nutFrameKind is what one value of a frame's first byte means.
type nutFrameKind struct {
	flags     uint64
	stream    uint64
	sizeMul   uint64
	sizeLSB   uint64
	ptsDelta  int64
	reserved  uint64
	headerIdx uint64
}

// nutTimeBase is the unit of time stamps, num/den seconds.
type nutTimeBase struct{ num, den uint64 }

// nutReader reads pictures.
type nutReader struct {
	in            *bufio.Reader
	kinds         [256]nutFrameKind
	bases         []nutTimeBase
	elided        [][]byte
	base          int // of the stream
	ptsShift      uint64
	lastPTS       int64
	width, height int // 0 until the stream's header came
}

// newNUTReader reads up to the first picture.
func newNUTReader(in *bufio.Reader) (*nutReader, error) {
	r := &nutReader{in: in}
	magic := make([]byte, len(nutMagic))
	if _, err := io.ReadFull(in, magic); err != nil {
		return nil, err
	}
	if string(magic) != nutMagic {
		return nil, badNUT("they begin with another mark")
	}
	return r, r.headers()
}

// headers reads headers until a picture comes.
func (r *nutReader) headers() error {
	for {
		first, err := r.in.Peek(1)
		if err != nil {
			return err
		}
		if first[0] != 'N' {
			return nil
		}
		if err := r.header(); err != nil {
			return err
		}
	}
}

// header reads one header.
func (r *nutReader) header() error {
	var code [8]byte
	if _, err := io.ReadFull(r.in, code[:]); err != nil {
		return err
	}
	length, err := readNUTNumber(r.in)
	if err != nil {
		return err
	}
	if length < 4 || length > nutMaxHeader {
		return badNUT("a header of %d bytes", length)
	}
	if length > nutLongHeader {
		if _, err = r.in.Discard(4); err != nil {
			return err
		}
	}
	body := make([]byte, length)
	if _, err = io.ReadFull(r.in, body); err != nil {
		return err
	}
	n := &nutNumbers{b: body[:length-4]} // the checksum follows
	switch binary.BigEndian.Uint64(code[:]) {
	case nutMainStart:
		err = r.main(n)
	case nutStreamStart:
		err = r.stream(n)
	case nutSyncStart:
		err = r.sync(n)
	}
	if err == nil && n.bad {
		err = badNUT("a header that is cut")
	}
	return err
}

// main reads the main header.
func (r *nutReader) main(n *nutNumbers) error {
	if version := n.u(); version < 2 || version > 4 {
		return badNUT("version %d", version)
	} else if version > 3 {
		n.u()
	}
	if streams := n.u(); streams != 1 {
		return badNUT("%d streams", streams)
	}
	n.u() // how far syncpoints lie apart
	count := n.u()
	if count < 1 || count > nutMaxTimeBases {
		return badNUT("%d time bases", count)
	}
	r.bases = r.bases[:0]
	for range count {
		b := nutTimeBase{n.u(), n.u()}
		if b.num < 1 || b.den < 1 || b.num >= nutMaxTimeFactor || b.den >= nutMaxTimeFactor {
			return badNUT("a time base of %d/%d s", b.num, b.den)
		}
		r.bases = append(r.bases, b)
	}
	if err := r.table(n); err != nil {
		return err
	}
	headers := n.u()
	r.elided = append(r.elided[:0], nil)
	for range min(headers, 128) {
		b := n.bytes()
		if len(b) == 0 || len(b) > nutMaxElision {
			return badNUT("a repeated part of %d bytes", len(b))
		}
		r.elided = append(r.elided, b)
	}
	return nil
}

// table reads what the first byte of a frame means.
func (r *nutReader) table(n *nutNumbers) error {
	var k nutFrameKind
	k.sizeMul = 1
	for i := 0; i < len(r.kinds); {
		k.flags = n.u()
		fields := n.u()
		values := [8]uint64{1: k.sizeMul, 2: k.stream}
		given := func(field uint64) bool { return fields > field }
		if given(0) {
			k.ptsDelta = n.s()
		}
		for f := uint64(1); f < min(fields, 8); f++ {
			values[f] = n.u() // the sixth is signed, but nobody needs it
		}
		for f := uint64(8); f < fields; f++ {
			if n.u(); n.bad {
				break
			}
		}
		k.sizeMul, k.stream, k.sizeLSB, k.reserved = values[1], values[2], values[3], values[4]
		if given(7) {
			k.headerIdx = values[7]
		}
		count := values[5]
		if !given(5) {
			count = k.sizeMul - k.sizeLSB
		}
		if n.bad || count == 0 || count > 256 {
			return badNUT("a table of frames that is broken")
		}
		for j := uint64(0); j < count && i < len(r.kinds); i++ {
			if i == 'N' {
				r.kinds[i].flags = nutInvalid
				continue
			}
			r.kinds[i] = k
			r.kinds[i].sizeLSB += j
			j++
		}
	}
	return nil
}

// stream reads the header of the stream.
func (r *nutReader) stream(n *nutNumbers) error {
	if id, class := n.u(), n.u(); id != 0 || class != nutClassVideo {
		return badNUT("stream %d of class %d", id, class)
	}
	if fourcc := string(n.bytes()); fourcc != nutFourccI420 {
		return badNUT("pictures as %q", fourcc[:min(len(fourcc), 4)])
	}
	base := n.u()
	if base >= uint64(len(r.bases)) {
		return badNUT("time base %d of %d", base, len(r.bases))
	}
	r.base = int(base)
	if r.ptsShift = n.u(); r.ptsShift > nutMaxPTSShift {
		return badNUT("times of %d bits", r.ptsShift)
	}
	n.u()     // how far times lie apart
	n.u()     // delay of the decoder
	n.u()     // flags
	n.bytes() // of the codec
	w, h := n.u(), n.u()
	if n.bad || w > MaxImageSide || h > MaxImageSide {
		return badNUT("pictures of %d x %d", w, h)
	}
	r.width, r.height = int(w), int(h)
	return checkSize(r.width, r.height)
}

// sync reads a syncpoint, which starts the count of times anew.
func (r *nutReader) sync(n *nutNumbers) error {
	if len(r.bases) == 0 {
		return badNUT("a syncpoint before the main header")
	}
	count := uint64(len(r.bases))
	v := n.u()
	from, to := r.bases[v%count], r.bases[r.base]
	high, low := bits.Mul64(v/count, from.num*to.den)
	by := from.den * to.num
	if high >= by {
		return badNUT("a time beyond all clocks")
	}
	pts, _ := bits.Div64(high, low, by)
	r.lastPTS = int64(pts)
	return nil
}

// picture reads the next picture behind data and returns its time.
func (r *nutReader) picture(data []byte) ([]byte, time.Duration, error) {
	if err := r.headers(); err != nil {
		return data, 0, err
	}
	if r.width == 0 {
		return data, 0, badNUT("a picture before its header")
	}
	code, err := r.in.ReadByte()
	if err != nil {
		return data, 0, err
	}
	size, head, err := r.frameHeader(&r.kinds[code])
	if err != nil {
		return data, 0, noEOF(err)
	}
	cw, ch := (r.width+1)/2, (r.height+1)/2
	if want := r.width*r.height + 2*cw*ch; size != uint64(want) {
		return data, 0, errPictureSize
	}
	data = append(data, head...)
	start := len(data)
	data = grow(data, int(size)-len(head))
	if _, err := io.ReadFull(r.in, data[start:]); err != nil {
		return data, 0, noEOF(err)
	}
	b := r.bases[r.base]
	// Both factors are below 2^31, so a second's part fits.
	seconds, rest := r.lastPTS/int64(b.den), r.lastPTS%int64(b.den)
	at := time.Duration(seconds)*time.Duration(b.num)*time.Second + time.Duration(float64(rest)*float64(b.num)/float64(b.den)*float64(time.Second))
	return data, at, nil
}

// frameHeader reads what lies between a frame's first byte and its data, and
// returns the length of the data and their first part, which is left out.
func (r *nutReader) frameHeader(k *nutFrameKind) (size uint64, head []byte, err error) {
	var failed error
	number := func() uint64 {
		v, err := readNUTNumber(r.in)
		if err != nil && failed == nil {
			failed = err
		}
		return v
	}
	flags, index, reserved := k.flags, k.headerIdx, k.reserved
	if flags&nutInvalid != 0 {
		return 0, nil, badNUT("an impossible frame")
	}
	if flags&nutCoded != 0 {
		flags ^= number()
	}
	stream := k.stream
	if flags&nutStreamID != 0 {
		stream = number()
	}
	if flags&nutCodedPTS != 0 {
		r.time(number())
	} else {
		r.lastPTS += k.ptsDelta
	}
	size = k.sizeLSB
	if flags&nutSizeMSB != 0 {
		size += k.sizeMul * min(number(), 4*MaxPixels)
	}
	if flags&nutMatchTime != 0 {
		number()
	}
	if flags&nutHeaderIdx != 0 {
		index = number()
	}
	if flags&nutReserved != 0 {
		reserved = number()
	}
	if stream != 0 || flags&nutSideData != 0 || index >= uint64(len(r.elided)) || reserved > nutMaxReserved {
		return 0, nil, errors.Join(failed, badNUT("a frame of stream %d, flags %#x", stream, flags))
	}
	for range reserved {
		number()
	}
	if flags&nutChecksum != 0 && failed == nil {
		_, failed = r.in.Discard(4)
	}
	head = r.elided[index]
	if failed == nil && uint64(len(head)) > size {
		failed = badNUT("a frame of %d bytes", size)
	}
	return size, head, failed
}

// time takes a coded time: the low bits of it, or all.
func (r *nutReader) time(coded uint64) {
	one := uint64(1) << r.ptsShift
	if coded >= one {
		r.lastPTS = int64(coded - one)
		return
	}
	mask := int64(one - 1)
	from := r.lastPTS - mask/2
	r.lastPTS = (int64(coded)-from)&mask + from
}

// grow lengthens b by n bytes of any value.
func grow(b []byte, n int) []byte {
	if cap(b)-len(b) < n {
		b = append(make([]byte, 0, len(b)+n), b...)
	}
	return b[:len(b)+n]
}
