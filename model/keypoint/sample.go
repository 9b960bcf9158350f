package keypoint

import (
	"image"
	"image/color"
	"image/draw"
	"math"
)

// sampler cuts a region out of a picture and scales it to the network's input
// by bilinear interpolation, black outside the picture.
type sampler struct {
	size                    int
	column, row             axis        // of the picture
	chromaColumn, chromaRow axis        // of its colour
	canvas                  *image.RGBA // of pictures in other forms
	lines                   []int32     // a row of each plane
}

// axis says from where along one side of a plane each place of the input comes.
type axis struct {
	lo, hi, frac []int32 // two neighbours, and 1/256 of the way to the second
	from, to     int     // the places inside the picture
}

// set fills the axis for a region of side pixels from start, over a plane of
// length values with one for sub pixels.
func (a *axis) set(size int, start, side float64, length, sub int) {
	if len(a.lo) != size {
		a.lo, a.hi, a.frac = make([]int32, size), make([]int32, size), make([]int32, size)
	}
	pixels := float64(length * sub)
	a.from, a.to = size, 0
	for i := range size {
		p := start + (float64(i)+0.5)*side/float64(size)
		if p >= 0 && p < pixels {
			a.from, a.to = min(a.from, i), i+1
		}
		p = min(max(p/float64(sub)-0.5, 0), float64(length-1))
		lo := math.Floor(p)
		a.lo[i], a.frac[i] = int32(lo), int32((p-lo)*256)
		a.hi[i] = min(a.lo[i]+1, int32(length-1))
	}
}

// sample writes the region as [size, size, 3] RGB.
func (s *sampler) sample(img image.Image, r region, to []uint8) {
	b := img.Bounds()
	s.column.set(s.size, r.x, r.side, b.Dx(), 1)
	s.row.set(s.size, r.y, r.side, b.Dy(), 1)
	clear(to)
	switch m := img.(type) {
	case *image.YCbCr:
		s.ycbcr(m, r, to)
	case *image.Gray:
		s.gray(m, to)
	case *image.RGBA:
		s.rgba(m, to)
	default:
		if s.canvas == nil || s.canvas.Rect.Size() != b.Size() {
			s.canvas = image.NewRGBA(image.Rect(0, 0, b.Dx(), b.Dy()))
		}
		draw.Draw(s.canvas, s.canvas.Rect, image.NewUniform(color.Black), image.Point{}, draw.Src)
		draw.Draw(s.canvas, s.canvas.Rect, img, b.Min, draw.Over)
		s.rgba(s.canvas, to)
	}
}

// blend interpolates places from..to of one output row between rows a and b of
// a plane whose values lie step apart.
func (a *axis) blend(up, down []uint8, step int, fy int32, to []int32) {
	for i := a.from; i < a.to; i++ {
		l, h, fx := int(a.lo[i])*step, int(a.hi[i])*step, a.frac[i]
		top := int32(up[l])*(256-fx) + int32(up[h])*fx
		bottom := int32(down[l])*(256-fx) + int32(down[h])*fx
		to[i] = (top*(256-fy) + bottom*fy + 1<<15) >> 16
	}
}

func (s *sampler) gray(m *image.Gray, to []uint8) {
	line := s.line(0)
	for y := s.row.from; y < s.row.to; y++ {
		s.column.blend(m.Pix[int(s.row.lo[y])*m.Stride:], m.Pix[int(s.row.hi[y])*m.Stride:], 1, s.row.frac[y], line)
		for x := s.column.from; x < s.column.to; x++ {
			v := uint8(line[x])
			at := to[(y*s.size+x)*3:][:3]
			at[0], at[1], at[2] = v, v, v
		}
	}
}

func (s *sampler) rgba(m *image.RGBA, to []uint8) {
	line := s.line(0)
	for y := s.row.from; y < s.row.to; y++ {
		up, down := m.Pix[int(s.row.lo[y])*m.Stride:], m.Pix[int(s.row.hi[y])*m.Stride:]
		for c := range 3 {
			s.column.blend(up[c:], down[c:], 4, s.row.frac[y], line)
			for x := s.column.from; x < s.column.to; x++ {
				to[(y*s.size+x)*3+c] = uint8(line[x])
			}
		}
	}
}

// subsampling returns how many pixels one chroma value stands for.
func subsampling(r image.YCbCrSubsampleRatio) (x, y int) {
	switch r {
	case image.YCbCrSubsampleRatio422:
		return 2, 1
	case image.YCbCrSubsampleRatio420:
		return 2, 2
	case image.YCbCrSubsampleRatio440:
		return 1, 2
	case image.YCbCrSubsampleRatio411:
		return 4, 1
	case image.YCbCrSubsampleRatio410:
		return 4, 2
	case image.YCbCrSubsampleRatio444:
	}
	return 1, 1
}

func (s *sampler) ycbcr(m *image.YCbCr, r region, to []uint8) {
	luma := m.Y[m.YOffset(m.Rect.Min.X, m.Rect.Min.Y):]
	at := m.COffset(m.Rect.Min.X, m.Rect.Min.Y)
	blue, red := m.Cb[at:], m.Cr[at:]
	sx, sy := subsampling(m.SubsampleRatio)
	s.chromaColumn.set(s.size, r.x, r.side, (m.Rect.Dx()+sx-1)/sx, sx)
	s.chromaRow.set(s.size, r.y, r.side, (m.Rect.Dy()+sy-1)/sy, sy)
	// The last chroma values may reach beyond the picture: luma decides.
	s.chromaColumn.from, s.chromaColumn.to = s.column.from, s.column.to
	ys, bs, rs := s.line(0), s.line(1), s.line(2)
	for y := s.row.from; y < s.row.to; y++ {
		s.column.blend(luma[int(s.row.lo[y])*m.YStride:], luma[int(s.row.hi[y])*m.YStride:], 1, s.row.frac[y], ys)
		lo, hi, f := int(s.chromaRow.lo[y])*m.CStride, int(s.chromaRow.hi[y])*m.CStride, s.chromaRow.frac[y]
		s.chromaColumn.blend(blue[lo:], blue[hi:], 1, f, bs)
		s.chromaColumn.blend(red[lo:], red[hi:], 1, f, rs)
		for x := s.column.from; x < s.column.to; x++ {
			out := to[(y*s.size+x)*3:][:3]
			out[0], out[1], out[2] = color.YCbCrToRGB(uint8(ys[x]), uint8(bs[x]), uint8(rs[x]))
		}
	}
}

// line returns room for a row of one of three planes.
func (s *sampler) line(plane int) []int32 {
	if len(s.lines) == 0 {
		s.lines = make([]int32, 3*s.size)
	}
	return s.lines[plane*s.size:][:s.size]
}
