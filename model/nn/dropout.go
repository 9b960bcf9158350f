package nn

// Dropout zeroes values with a probability and scales the others so that the
// mean stays. Masks are a pure function of (seed, step, stream, index).
type Dropout[T Float] struct {
	Rate float64

	ctx    *Context
	stream uint64
	mask   []uint8
	x      []T
	active bool
	maskF  func(lo, hi int)
	backF  func(lo, hi int)
}

// NewDropout returns a dropout layer, or nil for rate 0.
func NewDropout[T Float](ctx *Context, rate float64) *Dropout[T] {
	ctx.streams++
	if rate <= 0 {
		return nil
	}
	d := &Dropout[T]{Rate: rate, ctx: ctx, stream: ctx.streams}
	d.maskF, d.backF = d.maskRange, d.backRange
	return d
}

// Forward works in place; it does nothing outside Train mode.
func (d *Dropout[T]) Forward(x []T) {
	d.active = d.ctx.Mode == Train && !d.ctx.NoDropout
	if !d.active {
		return
	}
	if cap(d.mask) < len(x) {
		d.mask = make([]uint8, len(x))
	}
	d.mask, d.x = d.mask[:len(x)], x
	split((len(x)+3)/4, 8, d.maskF)
}

// Backward works in place with the mask of the last Forward.
func (d *Dropout[T]) Backward(dy []T) {
	if !d.active {
		return
	}
	d.x = dy
	split(len(dy), 1, d.backF)
}

func (d *Dropout[T]) maskRange(lo, hi int) {
	limit := uint64(d.Rate * 65536)
	keep := T(1 / (1 - d.Rate))
	key := splitmix(d.ctx.Seed ^ splitmix(d.ctx.Step<<16|d.stream))
	for q := lo; q < hi; q++ {
		z := splitmix(key + uint64(q))
		for i := 4 * q; i < min(4*q+4, len(d.x)); i++ {
			if z&0xffff < limit {
				d.mask[i] = 0
				d.x[i] = 0
			} else {
				d.mask[i] = 1
				d.x[i] *= keep
			}
			z >>= 16
		}
	}
}

func (d *Dropout[T]) backRange(lo, hi int) {
	keep := T(1 / (1 - d.Rate))
	x, m := d.x[lo:hi], d.mask[lo:hi]
	for i, k := range m {
		if k == 0 {
			x[i] = 0
		} else {
			x[i] *= keep
		}
	}
}

// splitmix is the finaliser of SplitMix64.
func splitmix(z uint64) uint64 {
	z += 0x9E3779B97F4A7C15
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	return z ^ z>>31
}
