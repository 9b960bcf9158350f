package camera

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"io"
	"sync"
)

const (
	// maxImageBytes bounds the data of one compressed picture.
	maxImageBytes = 16 << 20
	// maxProgressivePixels bounds a progressive JPEG: a decoder keeps 256 bytes
	// for 64 pixels of each of its colours.
	maxProgressivePixels = MaxPixels / 4
	// maxScans bounds how often a JPEG goes over its picture. Encoders make ten.
	maxScans = 64
)

// jpegDecoder decodes the JPEGs of one camera.
type jpegDecoder struct {
	whole []byte // the repaired JPEG, memory that is used again
}

// decode returns the picture of a JPEG. What motion JPEG leaves out, Huffman
// tables and the end marker, is put in its place. The error is an *ImageError.
func (d *jpegDecoder) decode(data []byte) (image.Image, error) {
	r := jpegRepair{out: d.whole[:0]}
	err := r.run(data)
	d.whole = r.out
	if err != nil {
		return nil, err
	}
	img, err := jpeg.Decode(bytes.NewReader(d.whole))
	switch {
	case err == nil:
		return img, nil
	case !r.ended, errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, errShortCode), errors.Is(err, errMarkerInCode):
		return nil, &ImageError{ImageCut, err.Error()}
	}
	return nil, &ImageError{BadImage, err.Error()}
}

// What image/jpeg says when the coded data ends too early.
var (
	errShortCode    error = jpeg.FormatError("short Huffman data")
	errMarkerInCode error = jpeg.FormatError("missing 0xff00 sequence")
)

// jpegRepair copies a JPEG so that image/jpeg takes it, and finds out first
// what it would cost to decode.
type jpegRepair struct {
	out []byte

	width, height int
	blocks        int // of 8 x 8 pixels
	colours       []byte
	scanned       map[byte]bool // colours that a scan brought
	scans         int
	coded         int  // bytes of coded data
	ended         bool // the end marker is there
}

// run fills out.
func (r *jpegRepair) run(data []byte) error {
	start := bytes.Index(data, jpegStart)
	if start < 0 {
		return &ImageError{BadImage, "no start of a JPEG"}
	}
	r.scanned = map[byte]bool{}
	r.out = append(r.out, 0xFF, markSOI)
	// A table that the picture brings replaces the standard one.
	r.out = append(r.out, standardTables()...)
	w := walkFrom(start)
	for {
		p, ok := w.next(data)
		if !ok || p.marker == markSOI || p.marker == markEOI {
			r.ended = ok && p.marker == markEOI
			if !ok && w.inScan { // cut, or without its end marker only
				r.scan(bytes.TrimRight(data[w.pos:], "\xff"))
			}
			break
		}
		if err := r.piece(data, p); err != nil {
			return err
		}
	}
	r.out = append(r.out, 0xFF, markEOI)
	return r.whole()
}

// piece copies what the decoder needs.
func (r *jpegRepair) piece(data []byte, p jpegPiece) error {
	m := p.marker
	switch {
	case m == 0:
		r.scan(data[p.start:p.end])
		return nil
	case alone(m), m == markCOM, m >= markAPP0 && m <= markAPP15 && m != markAPP0 && m != markAPP14:
		return nil // previews, positions, remarks, however broken
	case p.body == p.end && m >= markAPP0:
		return nil // a segment without a length
	case m >= markSOF0 && m <= markSOF15 && m != markDHT && m != markJPG && m != markDAC:
		if err := r.frame(m, data[p.body:p.end]); err != nil {
			return err
		}
	case m == markSOS:
		if r.scans++; r.scans > maxScans {
			return &ImageError{BadImage, fmt.Sprintf("more than %d scans", maxScans)}
		}
		head := data[p.body:p.end]
		for i := 1; len(head) > 0 && i <= 2*int(head[0]) && i < len(head); i += 2 {
			r.scanned[head[i]] = true
		}
	}
	r.out = append(r.out, data[p.start:p.end]...)
	return nil
}

// scan copies the coded data of a scan.
func (r *jpegRepair) scan(coded []byte) {
	r.coded += len(coded)
	r.out = append(r.out, coded...)
}

// frame reads a frame header, which tells the picture's size.
func (r *jpegRepair) frame(m byte, head []byte) error {
	if m > markSOF2 {
		return &ImageError{BadImage, fmt.Sprintf("JPEG of kind %d; baseline and progressive ones can be read", m-markSOF0)}
	}
	if len(head) < 6 || len(head) < 6+3*int(head[5]) {
		return &ImageError{BadImage, "the frame header is too short"}
	}
	if r.blocks > 0 {
		return &ImageError{BadImage, "two frame headers"}
	}
	r.height, r.width = int(head[1])<<8|int(head[2]), int(head[3])<<8|int(head[4])
	if err := checkSize(r.width, r.height); err != nil {
		return err
	}
	if m == markSOF2 && r.width*r.height > maxProgressivePixels {
		return &ImageError{ImageSize, fmt.Sprintf("%d x %d pixels, a progressive JPEG may have %d", r.width, r.height, maxProgressivePixels)}
	}
	r.blocks = ((r.width + 7) / 8) * ((r.height + 7) / 8)
	for i := range int(head[5]) {
		r.colours = append(r.colours, head[6+3*i])
	}
	return nil
}

// whole refuses what cannot be the whole picture, before memory is taken for
// its pixels.
func (r *jpegRepair) whole() error {
	switch {
	case r.blocks == 0 || r.scans == 0:
		if r.ended {
			return &ImageError{BadImage, "a JPEG without a picture"}
		}
		return &ImageError{ImageCut, "the data ends before the pixels"}
	case 8*r.coded < r.blocks: // each takes a bit at least
		return &ImageError{ImageCut, fmt.Sprintf("%d bytes for %d x %d pixels", r.coded, r.width, r.height)}
	}
	for _, c := range r.colours {
		if !r.scanned[c] {
			return &ImageError{ImageCut, "a colour is missing"}
		}
	}
	return nil
}

// standardTables returns the Huffman tables that motion JPEG takes for granted
// (ITU-T T.81, K.3), as a segment. image/jpeg writes them in front of all it
// encodes.
var standardTables = sync.OnceValue(func() []byte {
	var b bytes.Buffer
	if err := jpeg.Encode(&b, image.NewYCbCr(image.Rect(0, 0, 8, 8), image.YCbCrSubsampleRatio420), nil); err != nil {
		panic("camera: encode an empty picture: " + err.Error())
	}
	w := walkFrom(0)
	for {
		p, ok := w.next(b.Bytes())
		if !ok {
			panic("camera: image/jpeg wrote no Huffman tables")
		}
		if p.marker == markDHT {
			return b.Bytes()[p.start:p.end]
		}
	}
})
