package camera

import "bytes"

// Markers of a JPEG that this package knows; each follows a byte 0xFF.
const (
	markSOF0  = 0xC0 // frame header: baseline
	markSOF2  = 0xC2 // frame header: progressive
	markDHT   = 0xC4
	markJPG   = 0xC8 // reserved
	markDAC   = 0xCC // arithmetic coding
	markSOF15 = 0xCF
	markRST0  = 0xD0
	markRST7  = 0xD7
	markSOI   = 0xD8 // start of the picture
	markEOI   = 0xD9 // its end
	markSOS   = 0xDA // header of a scan; coded data follows
	markAPP0  = 0xE0 // JFIF
	markAPP14 = 0xEE // Adobe: which colours
	markAPP15 = 0xEF
	markCOM   = 0xFE
)

// jpegStart is how every JPEG begins.
var jpegStart = []byte{0xFF, markSOI, 0xFF}

// jpegPiece is a part of a JPEG: a marker with what belongs to it, or the coded
// data of a scan, which has the marker 0.
type jpegPiece struct {
	marker     byte
	start, end int
	body       int // where the segment's content begins, after its length
}

// jpegWalker finds the pieces of a JPEG, which may still be growing.
type jpegWalker struct {
	pos    int // of the next piece
	inScan bool
	looked int // coded data before this has been looked through
}

// walkFrom returns a walker behind the start of a picture.
func walkFrom(start int) jpegWalker { return jpegWalker{pos: start + 2} }

// next returns the next piece, false if data ends before it does.
func (w *jpegWalker) next(data []byte) (jpegPiece, bool) {
	if w.inScan {
		return w.coded(data)
	}
	at, after := marker(data, w.pos)
	if after < 0 {
		return jpegPiece{}, false
	}
	p := jpegPiece{marker: data[after-1], start: at, end: after, body: after}
	if alone(p.marker) {
		w.pos = p.end
		return p, true
	}
	if len(data) < after+2 {
		return jpegPiece{}, false
	}
	if n := int(data[after])<<8 | int(data[after+1]); n >= 2 {
		p.body, p.end = after+2, after+n
	} // else what follows is no segment: the next marker is searched for
	if len(data) < p.end {
		return jpegPiece{}, false
	}
	w.pos = p.end
	if p.marker == markSOS {
		w.inScan, w.looked = true, w.pos
	}
	return p, true
}

// coded returns the coded data up to the marker that ends it.
func (w *jpegWalker) coded(data []byte) (jpegPiece, bool) {
	for {
		at, after := marker(data, w.looked)
		if after < 0 {
			w.looked = at
			return jpegPiece{}, false
		}
		if m := data[after-1]; m < markRST0 || m > markRST7 {
			p := jpegPiece{start: w.pos, end: at}
			w.pos, w.inScan = at, false
			return p, true
		}
		w.looked = after
	}
}

// marker finds the next marker from pos on: the position of its first 0xFF and
// that behind it. Without one, after is negative, and at is where to go on when
// there is more data.
func marker(data []byte, pos int) (at, after int) {
	for {
		i := bytes.IndexByte(data[min(pos, len(data)):], 0xFF)
		if i < 0 {
			return max(pos, len(data)), -1
		}
		at = pos + i
		after = at + 1
		for after < len(data) && data[after] == 0xFF { // fill bytes
			after++
		}
		if after == len(data) {
			return at, -1
		}
		if data[after] != 0 { // else a stuffed byte of coded data
			return at, after + 1
		}
		pos = after
	}
}

// alone reports whether nothing belongs to a marker.
func alone(m byte) bool { return m == 0x01 || m >= markRST0 && m <= markEOI }
