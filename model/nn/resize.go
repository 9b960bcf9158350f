package nn

// Resize is a bilinear resize of single-channel images with half-pixel centres
// (align_corners false) and clamped edges.
type Resize[T Float] struct {
	H, W, Ho, Wo int
	y, x         []tap[T]
}

type tap[T Float] struct {
	a, b int
	f    T // weight of b
}

// NewResize plans a resize from h x w to ho x wo.
func NewResize[T Float](h, w, ho, wo int) *Resize[T] {
	return &Resize[T]{H: h, W: w, Ho: ho, Wo: wo, y: taps[T](h, ho), x: taps[T](w, wo)}
}

func taps[T Float](in, out int) []tap[T] {
	t := make([]tap[T], out)
	for i := range t {
		s := max((float64(i)+0.5)*float64(in)/float64(out)-0.5, 0)
		a := min(int(s), in-1)
		t[i] = tap[T]{a, min(a+1, in-1), T(s - float64(a))}
	}
	return t
}

// Apply resizes one image.
func (r *Resize[T]) Apply(dst, src []T) {
	for i, ty := range r.y {
		p, q := src[ty.a*r.W:(ty.a+1)*r.W], src[ty.b*r.W:(ty.b+1)*r.W]
		d := dst[i*r.Wo : (i+1)*r.Wo]
		for j, tx := range r.x {
			u := p[tx.a] + tx.f*(p[tx.b]-p[tx.a])
			v := q[tx.a] + tx.f*(q[tx.b]-q[tx.a])
			d[j] = u + ty.f*(v-u)
		}
	}
}
