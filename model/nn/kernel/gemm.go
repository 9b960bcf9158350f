package kernel

import "sync"

// Float is the element type of the network's numbers: float32 in training and
// inference, float64 where gradients are checked.
type Float interface{ float32 | float64 }

// Gemm computes C = alpha*op(A)*op(B) + beta*C on row-major matrices, where
// op transposes if the flag is set: op(A) is m x k, op(B) is k x n, C is
// m x n, and ld* are the row strides of the matrices as stored. With beta 0
// the old content of C is not read. Slices shorter than their matrix panic.
func Gemm[T Float](transA, transB bool, m, n, k int, alpha T, a []T, lda int, b []T, ldb int, beta T, c []T, ldc int) {
	if m == 0 || n == 0 {
		return
	}
	_ = c[(m-1)*ldc+n-1]
	if k == 0 || alpha == 0 {
		scale(m, n, beta, c, ldc)
		return
	}
	checkOperand(transA, m, k, a, lda)
	checkOperand(transB, k, n, b, ldb)
	if c32, ok := any(c).([]float32); ok {
		g := gemmPool.Get().(*gemm32)
		*g = gemm32{transA: transA, transB: transB, m: m, n: n, k: k, alpha: float32(alpha), beta: float32(beta),
			a: any(a).([]float32), lda: lda, b: any(b).([]float32), ldb: ldb, c: c32, ldc: ldc}
		g.run()
		*g = gemm32{}
		gemmPool.Put(g)
		return
	}
	gemmPortable(transA, transB, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc)
}

func checkOperand[T Float](trans bool, rows, cols int, x []T, ld int) {
	if trans {
		rows, cols = cols, rows
	}
	_ = x[(rows-1)*ld+cols-1]
}

func scale[T Float](m, n int, beta T, c []T, ldc int) {
	for i := range m {
		row := c[i*ldc : i*ldc+n]
		switch beta {
		case 0:
			clear(row)
		case 1:
		default:
			for j := range row {
				row[j] *= beta
			}
		}
	}
}

// gemmPortable is the reference every other path is tested against.
func gemmPortable[T Float](transA, transB bool, m, n, k int, alpha T, a []T, lda int, b []T, ldb int, beta T, c []T, ldc int) {
	scale(m, n, beta, c, ldc)
	for i := range m {
		row := c[i*ldc : i*ldc+n]
		for p := range k {
			var v T
			if transA {
				v = alpha * a[p*lda+i]
			} else {
				v = alpha * a[i*lda+p]
			}
			if v == 0 {
				continue
			}
			if transB {
				for j := range row {
					row[j] += v * b[j*ldb+p]
				}
				continue
			}
			for j, x := range b[p*ldb : p*ldb+n] {
				row[j] += v * x
			}
		}
	}
}

// Block sizes: a packed A block (mc x kc) stays in L2, a packed B panel
// (kc x nr) in L1.
const (
	blockK = 256
	blockM = 120 // a multiple of every path's mr
	blockN = 512 // a multiple of every path's nr
)

type gemm32 struct {
	transA, transB bool
	m, n, k        int
	alpha, beta    float32
	a, b, c        []float32
	lda, ldb, ldc  int
	byCols         bool

	packed    []float32 // op(B) as PackB lays it out, instead of b
	bias, add []float32 // the epilogue's
	ldAdd     int
	relu      bool
	cap       float32 // 0 for none
}

func (g *gemm32) hasEpilogue() bool { return g.bias != nil || g.add != nil || g.relu || g.cap > 0 }

// buffers are the packing areas of one thread.
type buffers struct {
	a    [blockM * blockK]float32
	b    [blockN * blockK]float32
	tile [12 * 32]float32
	args tile
}

var (
	gemmPool   = sync.Pool{New: func() any { return new(gemm32) }}
	bufferPool = sync.Pool{New: func() any { return new(buffers) }}
)

// run splits the product among threads by rows, or by columns where there are
// few rows. Small products stay on one thread.
func (g *gemm32) run() {
	const smallest = 1 << 18 // multiply-adds below which a second thread does not pay
	if Threads() == 1 || g.m*g.n*g.k < smallest {
		g.block(0, g.m, 0, g.n)
		return
	}
	if g.byCols = g.m < 4*active.mr && g.n >= 2*active.nr; g.byCols {
		Do(g.n, active.nr, g)
		return
	}
	Do(g.m, active.mr, g)
}

// Run computes rows lo..hi-1 of C, or columns when split by columns.
func (g *gemm32) Run(lo, hi int) {
	if g.byCols {
		g.block(0, g.m, lo, hi)
		return
	}
	g.block(lo, hi, 0, g.n)
}

func (g *gemm32) block(m0, m1, n0, n1 int) {
	if active.tiles != nil {
		g.blockDirect(m0, m1, n0, n1)
		return
	}
	buf := bufferPool.Get().(*buffers)
	mr, nr := active.mr, active.nr
	for jc := n0; jc < n1; jc += blockN {
		nc := min(blockN, n1-jc)
		for pc := 0; pc < g.k; pc += blockK {
			kc := min(blockK, g.k-pc)
			if g.packed == nil {
				g.packB(buf.b[:], pc, kc, jc, nc, nr)
			}
			acc := 1
			if pc == 0 {
				if g.beta == 0 {
					acc = 0
				} else {
					scaleBlock(g, m0, m1, jc, nc)
				}
			}
			for ic := m0; ic < m1; ic += blockM {
				mc := min(blockM, m1-ic)
				g.packA(buf.a[:], ic, mc, pc, kc, mr)
				g.tiles(buf, ic, mc, jc, nc, pc, kc, acc)
			}
		}
	}
	bufferPool.Put(buf)
}

func scaleBlock(g *gemm32, m0, m1, jc, nc int) {
	if g.beta != 1 {
		scale(m1-m0, nc, g.beta, g.c[m0*g.ldc+jc:], g.ldc)
	}
}

func (g *gemm32) tiles(buf *buffers, ic, mc, jc, nc, pc, kc, acc int) {
	mr, nr := active.mr, active.nr
	post := pc+kc == g.k && g.hasEpilogue()
	for j := 0; j < nc; j += nr {
		w, micro := min(nr, nc-j), active.wide
		full := nr
		if w <= nr/2 {
			micro, full = active.narrow, nr/2
		}
		b := &buf.b[j*kc]
		if g.packed != nil {
			b = &g.packed[(jc+j)*g.k+pc*full]
		}
		for i := 0; i < mc; i += mr {
			h := min(mr, mc-i)
			a := &buf.a[i*kc]
			at := (ic+i)*g.ldc + jc + j
			if h == mr && w == full {
				micro(kc, a, b, &g.c[at], g.ldc, acc)
			} else {
				micro(kc, a, b, &buf.tile[0], full, 0)
				addTile(g.c[at:], g.ldc, buf.tile[:], full, h, w, acc)
			}
			if post {
				g.finish(ic+i, h, jc+j, w)
			}
		}
	}
}

// finish applies the epilogue to h x w values of C from row i, column j.
func (g *gemm32) finish(i, h, j, w int) {
	e := Epilogue[float32]{LdAdd: g.ldAdd, ReLU: g.relu, Cap: g.cap}
	if g.bias != nil {
		e.Bias = g.bias[j:]
	}
	if g.add != nil {
		e.Add = g.add[i*g.ldAdd+j:]
	}
	if active.finish != nil && e.Bias != nil && e.Add == nil && w%4 == 0 {
		low, high := noLow, noHigh
		if e.ReLU {
			low = 0
		}
		if e.Cap > 0 {
			high = e.Cap
		}
		for r := range h {
			active.finish(w, &e.Bias[0], &g.c[(i+r)*g.ldc+j], low, high)
		}
		return
	}
	finish(h, w, g.c[i*g.ldc+j:], g.ldc, e)
}

// packA lays rows ic..ic+mc-1 of alpha*op(A) out in panels of mr rows, each
// panel k-major and zero-filled at the end.
func (g *gemm32) packA(dst []float32, ic, mc, pc, kc, mr int) {
	for i := 0; i < mc; i += mr {
		h := min(mr, mc-i)
		panel := dst[i*kc : i*kc+mr*kc]
		if g.transA {
			for p := range kc {
				src := g.a[(pc+p)*g.lda+ic+i:][:h]
				row := panel[p*mr : p*mr+mr]
				copy(row, src)
				clear(row[h:])
			}
		} else {
			for r := range h {
				src := g.a[(ic+i+r)*g.lda+pc:][:kc]
				for p, v := range src {
					panel[p*mr+r] = v
				}
			}
			for r := h; r < mr; r++ {
				for p := range kc {
					panel[p*mr+r] = 0
				}
			}
		}
		if g.alpha != 1 {
			for x := range panel {
				panel[x] *= g.alpha
			}
		}
	}
}

// packB lays columns jc..jc+nc-1 of op(B) out in panels of nr columns (nr/2
// for a last narrow one), k-major and zero-filled at the end.
func (g *gemm32) packB(dst []float32, pc, kc, jc, nc, nr int) {
	for j := 0; j < nc; j += nr {
		w := min(nr, nc-j)
		full := nr
		if w <= nr/2 {
			full = nr / 2
		}
		panel := dst[j*kc : j*kc+full*kc]
		if t := active.tiles; t != nil {
			if !g.transB && t.copyRows != nil {
				t.copyRows(kc, &g.b[pc*g.ldb+jc+j], 4*g.ldb, &panel[0], 4*full, uint32(1<<w-1), uint32(1<<full-1))
				continue
			}
			if g.transB {
				transposePanel(t, panel, full, g.b[(jc+j)*g.ldb+pc:], g.ldb, w, kc)
				continue
			}
		}
		if !g.transB {
			for p := range kc {
				row := panel[p*full : p*full+full]
				copy(row, g.b[(pc+p)*g.ldb+jc+j:][:w])
				clear(row[w:])
			}
			continue
		}
		if w < full {
			clear(panel)
		}
		for c := range w {
			src := g.b[(jc+j+c)*g.ldb+pc:][:kc]
			for p, v := range src {
				panel[p*full+c] = v
			}
		}
	}
}

// transposePanel writes w rows of k values as k rows of w, zero-filled to full.
func transposePanel(t *tileSet, panel []float32, full int, src []float32, lds, w, k int) {
	if w < full {
		clear(panel)
	}
	w8, k8 := w&^7, k&^7
	if k8 > 0 && t != nil {
		for c := 0; c < w8; c += 8 {
			t.transpose(k8/8, &src[c*lds], 4*lds, &panel[c], 4*full)
		}
	} else {
		w8 = 0
	}
	for c := range w {
		from := 0
		if c < w8 {
			from = k8
		}
		for p, v := range src[c*lds : c*lds+k][from:] {
			panel[(from+p)*full+c] = v
		}
	}
}
