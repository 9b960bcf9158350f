package camera

import (
	"bytes"
	"image"
	"image/jpeg"
	"slices"
	"testing"
)

// gradient is a picture in which every place looks different.
func gradient(w, h int) *image.YCbCr {
	img := image.NewYCbCr(image.Rect(0, 0, w, h), image.YCbCrSubsampleRatio420)
	for i := range img.Y {
		img.Y[i] = byte(40 + 150*(i%img.YStride)/w + 60*(i/img.YStride)/h)
	}
	for i := range img.Cb {
		img.Cb[i], img.Cr[i] = byte(90+i%60), byte(160-i/img.CStride)
	}
	return img
}

// encodeJPEG is what a well-behaved camera sends.
func encodeJPEG(t testing.TB, img image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// pieces are the parts of a JPEG up to its end marker.
func pieces(t testing.TB, data []byte) (out []jpegPiece) {
	t.Helper()
	for w := walkFrom(0); ; {
		p, ok := w.next(data)
		if !ok {
			t.Fatal("no end marker")
		}
		if out = append(out, p); p.marker == markEOI {
			return out
		}
	}
}

// insert puts bytes in front of the first piece with a marker.
func insert(t testing.TB, data []byte, m byte, what string) []byte {
	t.Helper()
	for _, p := range pieces(t, data) {
		if p.marker == m {
			return slices.Insert(slices.Clone(data), p.start, []byte(what)...)
		}
	}
	t.Fatalf("no marker %X", m)
	return nil
}

// without removes the pieces with a marker.
func without(t testing.TB, data []byte, m byte) []byte {
	t.Helper()
	out := slices.Clone(data[:2])
	for _, p := range pieces(t, data) {
		if p.marker != m {
			out = append(out, data[p.start:p.end]...)
		}
	}
	return out
}

// patchSize gives a JPEG's frame header another size.
func patchSize(t testing.TB, data []byte, w, h int) []byte {
	t.Helper()
	data = slices.Clone(data)
	for _, p := range pieces(t, data) {
		if p.marker == markSOF0 || p.marker == markSOF2 {
			copy(data[p.body+1:], []byte{byte(h >> 8), byte(h), byte(w >> 8), byte(w)})
		}
	}
	return data
}

// setMarker replaces the marker of a piece.
func setMarker(t testing.TB, data []byte, from, to byte) []byte {
	t.Helper()
	data = slices.Clone(data)
	for _, p := range pieces(t, data) {
		if p.marker == from {
			data[p.body-3] = to
		}
	}
	return data
}

// flatJPEG makes a JPEG of evenly coloured blocks, whose colour of the same
// number i is levels[i] in all of them: what Go's encoder does not write.
func flatJPEG(sof byte, w, h int, levels ...byte) []byte {
	n := byte(len(levels))
	out := []byte{0xFF, markSOI}
	if n == 4 {
		out = append(out, 0xFF, markAPP14, 0, 14, 'A', 'd', 'o', 'b', 'e', 0, 100, 0, 0, 0, 0, 0)
	}
	out = append(out, 0xFF, 0xDB, 0, 67, 0)
	out = append(out, bytes.Repeat([]byte{8}, 64)...) // a step of the mean is a step of the colour
	out = append(out, 0xFF, sof, 0, 8+3*n, 8, byte(h>>8), byte(h), byte(w>>8), byte(w), n)
	for i := range n {
		out = append(out, i+1, 0x11, 0)
	}
	last := byte(63)
	if sof == markSOF2 {
		last = 0
	}
	out = append(out, 0xFF, markSOS, 0, 6+2*n, n)
	for i := range n {
		out = append(out, i+1, 0)
	}
	out = append(out, 0, last, 0)
	var acc, bits uint
	put := func(v, n uint) {
		for acc, bits = acc<<n|v, bits+n; bits >= 8; bits -= 8 {
			if b := byte(acc >> (bits - 8)); b == 0xFF {
				out = append(out, b, 0)
			} else {
				out = append(out, b)
			}
		}
	}
	// Codes of the standard table for a difference of so many bits.
	codes := [][2]uint{{0, 2}, {2, 3}, {3, 3}, {4, 3}, {5, 3}, {6, 3}, {14, 4}, {30, 5}, {62, 6}}
	for block := range ((w + 7) / 8) * ((h + 7) / 8) {
		for _, level := range levels {
			size, v := uint(0), 0
			if block == 0 {
				v = int(level) - 128
				for a := max(v, -v); a > 0; a >>= 1 {
					size++
				}
				if v < 0 {
					v += 1<<size - 1
				}
			}
			put(codes[size][0], codes[size][1])
			put(uint(v), size)
			if sof != markSOF2 {
				put(10, 4) // nothing else in the block
			}
		}
	}
	put(0x7F, 7)
	return append(out, 0xFF, markEOI)
}
