package kernel

import (
	"math"
	"sync"
)

// SoftmaxRow writes the softmax of x to y; x and y have equal length, at least
// 1.
func SoftmaxRow[T Float](x, y []T) {
	f := 1 / ExpRow(x, y, rowTop(x))
	if v := vectors[T](8); v != nil {
		n := v.split8(len(y))
		if n > 0 {
			v.scalerow(n, float32(f), ptr(y))
		}
		y = y[n:]
	}
	for i := range y {
		y[i] *= f
	}
}

func rowTop[T Float](x []T) T {
	top := T(math.Inf(-1))
	if v := vectors[T](8); v != nil {
		if n := v.split8(len(x)); n > 0 {
			top = T(v.rowtop(n, ptr(x)))
			x = x[n:]
		}
	}
	for _, v := range x {
		top = max(top, v)
	}
	return top
}

// SoftmaxRowGrad turns dy, the gradient of the softmax y, into that of its
// input, and returns the sums of the result and of its products with x.
func SoftmaxRowGrad[T Float](y, x, dy []T) (sum, product T) {
	y, x = y[:len(dy)], x[:len(dy)]
	if v := vectors[T](len(dy)); v != nil && len(dy) > 0 {
		var s [2]float32
		v.softrowgrad(len(dy), ptr(y), ptr(x), ptr(dy), &s)
		return T(s[0]), T(s[1])
	}
	var dot T
	for j, v := range dy {
		dot += v * y[j]
	}
	for j, v := range dy {
		v = y[j] * (v - dot)
		dy[j] = v
		sum += v
		product += v * x[j]
	}
	return sum, product
}

// NormalizeRow writes y = (x - mean)*inv*w + b; all have equal length.
func NormalizeRow[T Float](mean, inv T, x, y, w, b []T) {
	y, w, b = y[:len(x)], w[:len(x)], b[:len(x)]
	if v := vectors[T](8); v != nil {
		n := v.split8(len(x))
		if n > 0 {
			v.normrow(n, float32(mean), float32(inv), ptr(x), ptr(y), ptr(w), ptr(b))
		}
		x, y, w, b = x[n:], y[n:], w[n:], b[n:]
	}
	for i, v := range x {
		y[i] = (v-mean)*inv*w[i] + b[i]
	}
}

// momentColumns is how many columns Moments reads a row as.
const momentColumns = 16

// moments are the columns' statistics; a variable of Moments would leave the
// stack, since BatchStats calls assembly by a pointer.
type moments[T Float] struct{ mean, sq [momentColumns]T }

var (
	moments32 = sync.Pool{New: func() any { return new(moments[float32]) }}
	moments64 = sync.Pool{New: func() any { return new(moments[float64]) }}
)

func momentPool[T Float]() *sync.Pool {
	var zero T
	if _, ok := any(zero).(float32); ok {
		return &moments32
	}
	return &moments64
}

// Moments returns the mean of the values of x, at least one, and the sum of
// squared deviations from it. The values are summed in parts of fixed size.
func Moments[T Float](x []T) (mean, sq float64) {
	const width, part = momentColumns, momentColumns * 512 // values that stay in the L1 cache
	columns, _ := momentPool[T]().Get().(*moments[T])
	m, q := &columns.mean, &columns.sq
	done := 0
	join := func(m, q T, n int) {
		w := float64(n) / float64(done+n)
		d := float64(m) - mean
		mean += d * w
		sq += float64(q) + d*d*float64(done)*w
		done += n
	}
	for len(x) >= width {
		rows := min(len(x), part) / width
		BatchStats(x, m[:], q[:], rows)
		for j := range m {
			join(m[j], q[j], rows)
		}
		x = x[rows*width:]
	}
	momentPool[T]().Put(columns)
	for _, v := range x {
		join(v, 0, 1)
	}
	return mean, sq
}
