package kernel

import "math"

// stripFunc computes a few rows of C = A·B, or C += A·B if acc is 1, for one
// or two vectors of columns: A's element (row, k) is at row·am + k·ak, B's row
// k at k·bk, C's row at row·cm, all strides in bytes; k is at least 1.
type stripFunc func(k int, a *float32, am, ak int, b *float32, bk int, c *float32, cm, acc int)

// conv holds the kernels of convolution of one CPU path; with lanes 0 the
// portable code runs.
type conv struct {
	lanes    int
	narrower *conv // with fewer lanes; nil for none
	// strips by number of vectors of columns - 1 and number of rows - 1; nil
	// where those of Gemm do their work, as they do without lanes
	strips [2][]stripFunc
	// input and gradient transform one tile of n vectors of channels: rows
	// point to the tile's image rows (zeros for a row outside), off is the
	// first column's offset from them and step that of the next, bit j of cols
	// tells whether column j lies inside; product f goes to dst + f·fstride.
	input, gradient func(rows *[6]*float32, off, step, cols, n int, dst *float32, fstride int)
	// output transforms 36 products, fstride apart, to h x w outputs row and
	// col apart and adds bias and, unless nil, res; nothing stays below floor.
	output func(m *float32, fstride, n int, bias, y *float32, row, col, h, w int, res *float32, floor float32)
	// weights transforms one vector of 3 x 3 filters to 36 vectors, filter the
	// gradient of those to that of the filters.
	weights func(w *float32, wstride int, u *float32, ustride int)
	filter  func(u *float32, ustride int, w *float32, wstride int)
}

// noConv are the kernels of types without any.
var noConv conv

// convKernels returns the kernels of a convolution on the path in use: those of
// the widest vectors that its channels fill.
func convKernels[T Float](cin, cout int) *conv {
	var z T
	if _, ok := any(z).(float32); !ok {
		return &noConv
	}
	k := &active.conv
	for k.narrower != nil && min(cin, cout) < k.lanes {
		k = k.narrower
	}
	return k
}

// striped tells whether there are strips.
func (k *conv) striped() bool { return k.strips[0] != nil }

// panelWidth is the number of columns of a full panel of a packed matrix.
func panelWidth[T Float](k *conv) int {
	if k.lanes > 0 {
		return 2 * k.lanes
	}
	if tiled[T]() {
		return active.nr
	}
	return 16
}

// tiled tells whether T has the micro-kernels of Gemm on the path in use; their
// panels are laid out as those of convolution.
func tiled[T Float]() bool {
	var z T
	_, ok := any(z).(float32)
	return ok
}

// wholePanels returns n rounded up to half a panel.
func wholePanels(n, width int) int {
	h := width / 2
	return (n + h - 1) / h * h
}

// panelAt returns where column c of a packed matrix starts and the width of
// its panel.
func panelAt(k, np, width, c int) (at, w int) {
	j := c / width * width
	return j*k + c - j, min(width, np-j)
}

// evenly returns the size of the next of the blocks of at most most rows that
// m rows are cut into, as equal as possible.
func evenly(m, most int) int {
	n := (m + most - 1) / most
	return (m + n - 1) / n
}

func mulPanels[T Float](kern *conv, m, k, np int, a []T, lda int, b []T, width int, c []T, ldc int) {
	if m == 0 || k == 0 || np == 0 {
		return
	}
	_, _, _ = a[(m-1)*lda+k-1], b[k*np-1], c[(m-1)*ldc+np-1]
	if !kern.striped() {
		if tiled[T]() {
			g := gemmPool.Get().(*gemm32)
			*g = gemm32{m: m, n: np, k: k, alpha: 1, a: any(a).([]float32), lda: lda, packed: any(b).([]float32), c: any(c).([]float32), ldc: ldc}
			g.block(0, m, 0, np)
			*g = gemm32{}
			gemmPool.Put(g)
			return
		}
		for j := 0; j < np; j += width {
			w := min(width, np-j)
			mulPanelPortable(m, k, w, a, lda, b[j*k:], c[j:], ldc)
		}
		return
	}
	a32, b32, c32 := any(a).([]float32), any(b).([]float32), any(c).([]float32)
	for j := 0; j < np; j += width {
		w := min(width, np-j)
		strips := kern.strips[w/kern.lanes-1]
		for i := 0; i < m; {
			h := evenly(m-i, len(strips))
			strips[h-1](k, &a32[i*lda], 4*lda, 4, &b32[j*k], 4*w, &c32[i*ldc+j], 4*ldc, 0)
			i += h
		}
	}
}

func mulPanelPortable[T Float](m, k, w int, a []T, lda int, b, c []T, ldc int) {
	for i := range m {
		row := c[i*ldc : i*ldc+w]
		clear(row)
		for p, v := range a[i*lda : i*lda+k] {
			for x, y := range b[p*w : p*w+w] {
				row[x] += v * y
			}
		}
	}
}

// mulTransposed computes C = Aᵀ·B, or C += Aᵀ·B if acc is 1, of row-major
// matrices: A is k x m, B k x np, C m x np; np is a multiple of half a panel.
func mulTransposed[T Float](kern *conv, m, k, np int, a []T, lda int, b []T, ldb int, c []T, ldc, acc int) {
	if m == 0 || k == 0 || np == 0 {
		return
	}
	_, _, _ = a[(k-1)*lda+m-1], b[(k-1)*ldb+np-1], c[(m-1)*ldc+np-1]
	if !kern.striped() {
		if tiled[T]() {
			g := gemmPool.Get().(*gemm32)
			*g = gemm32{transA: true, m: m, n: np, k: k, alpha: 1, beta: float32(acc), a: any(a).([]float32), lda: lda,
				b: any(b).([]float32), ldb: ldb, c: any(c).([]float32), ldc: ldc}
			g.block(0, m, 0, np)
			*g = gemm32{}
			gemmPool.Put(g)
			return
		}
		for i := range m {
			row := c[i*ldc : i*ldc+np]
			if acc == 0 {
				clear(row)
			}
			for p := range k {
				v := a[p*lda+i]
				for x, y := range b[p*ldb : p*ldb+np] {
					row[x] += v * y
				}
			}
		}
		return
	}
	a32, b32, c32 := any(a).([]float32), any(b).([]float32), any(c).([]float32)
	width := 2 * kern.lanes
	for j := 0; j < np; j += width {
		w := min(width, np-j)
		strips := kern.strips[w/kern.lanes-1]
		for i := 0; i < m; {
			h := evenly(m-i, len(strips))
			strips[h-1](k, &a32[i], 4, 4*lda, &b32[j], 4*ldb, &c32[i*ldc+j], 4*ldc, acc)
			i += h
		}
	}
}

// ConvEpilogue is what follows a convolution: y = product + Bias + Res, with
// ReLU nothing below 0. Bias holds a value per channel and may be nil, as may
// Res, which has the shape of the output and may be the output itself.
type ConvEpilogue[T Float] struct {
	Bias, Res []T
	ReLU      bool
}

func (e *ConvEpilogue[T]) floor() T {
	if e.ReLU {
		return 0
	}
	return T(math.Inf(-1))
}
