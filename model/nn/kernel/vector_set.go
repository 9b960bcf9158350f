package kernel

// vectorSet holds the float32 primitives of one CPU path; rows of c values lie
// one behind the other. Every primitive has a plain Go twin beside the function
// that calls it.
type vectorSet struct {
	anyWidth bool // masks take care of columns that fill no vector

	stats    func(rows, c int, inv float32, x, mean, sq *float32)
	apply    func(rows, c int, x, y, scale, shift *float32, relu int)
	normgrad func(rows, c int, x, dy, mean, scale, shift, s, q *float32, relu int)
	normdx   func(rows, c int, x, dy, dx, scale, shift, ca, cb, cc *float32, relu int)
	colsum   func(rows, c int, x, sum *float32)

	addrelu  func(n int, x, y *float32)
	relugrad func(n int, y, dy, dx *float32)
	multiply func(n int, x, y *float32)

	exprow       func(n int, x, y *float32, top float32) float32
	gelu         func(n int, x, y, slope *float32)
	softcols     func(k, c int, x, h, hs *float32)
	softcolsgrad func(k, c int, y, dy *float32)

	rowtop      func(n int, x *float32) float32
	scalerow    func(n int, a float32, x *float32)
	normrow     func(n int, mean, inv float32, x, y, w, b *float32)
	softrowgrad func(n int, y, x, dy *float32, sums *[2]float32)

	mixh       func(k, c int, idx *int32, table, base, h, a, w *float32)
	attendh    func(k, c, e int, idx *int32, table, att, bias, a, hs, out *float32)
	gathermax  func(k, c int, idx *int32, table, sub, out *float32)
	mix        func(k, c int, idx *int32, table, q, r, w *float32)
	scatter    func(k, c int, idx *int32, table, dr, dw, sum *float32)
	attend     func(k, c, e int, idx *int32, table, r, att, out *float32)
	attendgrad func(k, c, e int, idx *int32, table, r, att, dout, dtable, dr, datt *float32)
	rowmax     func(k, c int, x, out *float32, arg *int32)
}

// vectors returns the primitives that can work on rows of c values of type T,
// or nil.
func vectors[T Float](c int) *vectorSet {
	var z T
	if _, ok := any(z).(float32); !ok || active.vec == nil {
		return nil
	}
	if !active.vec.anyWidth && c%8 != 0 {
		return nil
	}
	return active.vec
}

// ptr returns the address of the first value, nil if there is none. The type
// must be float32.
func ptr[T Float](x []T) *float32 {
	s, _ := any(x).([]float32)
	if len(s) == 0 {
		return nil
	}
	return &s[0]
}

func flag(b bool) int {
	if b {
		return 1
	}
	return 0
}

// split8 returns how many of n values a primitive that may want whole vectors
// can take.
func (v *vectorSet) split8(n int) int {
	if v.anyWidth {
		return n
	}
	return n &^ 7
}
