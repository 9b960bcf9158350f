package camera

import (
	"fmt"
	"image"
)

// yuyv spreads the packed pixels to planes of 4:2:2 with the full range of
// pictures.
func (d *decoder) yuyv(f *Frame) (image.Image, error) {
	w, h, stride := f.Width, f.Height, f.Stride
	if stride == 0 {
		stride = 2 * w
	}
	if w%2 != 0 || stride < 2*w {
		return nil, &ImageError{ImageSize, fmt.Sprintf("%d pixels in rows of %d bytes; packed pixels come in pairs of 4 bytes", w, stride)}
	}
	if need := stride*(h-1) + 2*w; len(f.Data) < need {
		return nil, &ImageError{ImageCut, fmt.Sprintf("%d bytes, want %d", len(f.Data), need)}
	}
	p := &d.planes
	if p.Rect.Dx() != w || p.Rect.Dy() != h || p.SubsampleRatio != image.YCbCrSubsampleRatio422 {
		*p = *image.NewYCbCr(image.Rect(0, 0, w, h), image.YCbCrSubsampleRatio422)
	}
	luma, chroma := &fullLuma, &fullChroma
	if f.FullRange {
		luma, chroma = &sameValue, &sameValue
	}
	for r := range h {
		row := f.Data[r*stride:][:2*w]
		y, cb, cr := p.Y[r*p.YStride:][:w], p.Cb[r*p.CStride:][:w/2], p.Cr[r*p.CStride:][:w/2]
		for i := range cb {
			q := row[4*i:][:4]
			y[2*i], y[2*i+1] = luma[q[0]], luma[q[2]]
			cb[i], cr[i] = chroma[q[1]], chroma[q[3]]
		}
	}
	return p, nil
}

// Limited to full range: luma 16..235 and chroma 16..240 become 0..255.
var fullLuma, fullChroma = rangeTable(16, 219, 0), rangeTable(128, 224, 128)

// sameValue leaves the full range as it is.
var sameValue = rangeTable(0, 255, 0)

func rangeTable(zero, span, to int) (t [256]byte) {
	for v := range t {
		full := float64(v-zero)*255/float64(span) + float64(to) + 0.5
		t[v] = byte(min(max(full, 0), 255))
	}
	return t
}
