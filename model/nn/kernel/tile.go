package kernel

import (
	"math"
	"unsafe"
)

// tile is the argument of a tile kernel; gen/tile knows its offsets. Strides
// are in bytes.
type tile struct {
	a, b, c *float32
	k       int // at least 1
	lda     int // from row to row, or with keys from k to k
	ldb     int // from k to k
	ldc     int
	acc     int // not 0: add to C
	bias    *float32
	add     *float32
	ldAdd   int
	alpha   float32
	low     float32 // 0 to clamp there, else noLow
	mask    uint32  // a bit per column of the tile
	high    float32 // nothing stays above it; noHigh for no cap
}

var (
	noLow  = float32(math.Inf(-1))
	noHigh = float32(math.Inf(1))
)

// tileKernel takes a *tile; its columns are 1 or 2 vectors.
type tileKernel func(t *byte)

// tileSet holds the kernels of one CPU path that read A where it lies, by
// height and number of vectors.
type tileSet struct {
	rows      [][3]tileKernel // A row by row: every height up to mr
	keys      [][3]tileKernel // A as one row of all heights per k: nil where a height is missing
	masked    bool            // the kernels obey mask
	transpose func(blocks int, src *float32, lds int, dst *float32, ldd int)
	copyRows  func(rows int, src *float32, lds int, dst *float32, ldd int, read, write uint32) // may be nil
}

func (f tileKernel) call(t *tile) { f((*byte)(unsafe.Pointer(t))) }

// directRows is how many row tiles must share a part of B before copying it
// into panels pays.
const directRows = 6

// blockDirect is block for paths with tile kernels.
func (g *gemm32) blockDirect(m0, m1, n0, n1 int) {
	buf := bufferPool.Get().(*buffers)
	p := &active
	mr, nr := p.mr, p.nr
	stepK := blockK
	if g.packed != nil && g.m <= mr && !g.transA {
		stepK = g.k // every part of B is read once
	}
	copyB := g.packed == nil && (g.transB || g.m > directRows*mr)
	copyA := g.transA && p.tiles.copyRows != nil && n1-n0 > 2*nr
	for jc := n0; jc < n1; jc += blockN {
		nc := min(blockN, n1-jc)
		for pc := 0; pc < g.k; pc += stepK {
			kc := min(stepK, g.k-pc)
			if copyB {
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
				if copyA {
					for i := 0; i < mc; i += mr {
						h := uint32(1)<<min(mr, mc-i) - 1
						p.tiles.copyRows(kc, &g.a[pc*g.lda+ic+i], 4*g.lda, &buf.a[i*kc], 4*mr, h, h)
					}
				}
				for j := 0; j < nc; j += nr {
					g.column(buf, ic, mc, jc, j, min(nr, nc-j), pc, kc, acc, copyA, copyB)
				}
			}
		}
	}
	bufferPool.Put(buf)
}

// column computes the tiles of one panel of w columns.
func (g *gemm32) column(buf *buffers, ic, mc, jc, j, w, pc, kc, acc int, copiedA, copiedB bool) {
	p := &active
	mr, nv, full := p.mr, 2, p.nr
	if w <= p.nr/2 {
		nv, full = 1, p.nr/2
	}
	t := &buf.args
	*t = tile{k: kc, ldc: 4 * g.ldc, acc: acc, alpha: g.alpha, low: noLow, high: noHigh, mask: uint32(1<<w - 1)}
	switch {
	case g.packed != nil:
		t.b, t.ldb = &g.packed[(jc+j)*g.k+pc*full], 4*full
	case copiedB:
		t.b, t.ldb = &buf.b[j*kc], 4*full
	case w < full && !p.tiles.masked:
		g.packB(buf.b[:], pc, kc, jc+j, w, p.nr)
		t.b, t.ldb = &buf.b[0], 4*full
	default:
		t.b, t.ldb = &g.b[pc*g.ldb+jc+j], 4*g.ldb
	}
	inside := w == full || p.tiles.masked
	last := pc+kc == g.k
	if last && inside {
		if g.bias != nil {
			t.bias = &g.bias[jc+j]
		}
		if g.relu {
			t.low = 0
		}
		if g.cap > 0 {
			t.high = g.cap
		}
		t.ldAdd = 4 * g.ldAdd
	}
	kernels := p.tiles.rows
	t.lda = 4 * g.lda
	if g.transA {
		kernels = p.tiles.keys
		if copiedA {
			t.lda = 4 * mr
		}
	}
	for i := 0; i < mc; {
		h := min(mr-i%mr, mc-i)
		for kernels[h][nv] == nil {
			h--
		}
		r := ic + i
		switch {
		case copiedA:
			t.a = &buf.a[i/mr*mr*kc+i%mr]
		case g.transA:
			t.a = &g.a[pc*g.lda+r]
		default:
			t.a = &g.a[r*g.lda+pc]
		}
		at := r*g.ldc + jc + j
		if inside {
			t.c = &g.c[at]
			if last && g.add != nil {
				t.add = &g.add[r*g.ldAdd+jc+j]
			}
			kernels[h][nv].call(t)
			i += h
			continue
		}
		t.c, t.ldc, t.acc = &buf.tile[0], 4*full, 0
		kernels[h][nv].call(t)
		addTile(g.c[at:], g.ldc, buf.tile[:], full, h, w, acc)
		if last && g.hasEpilogue() {
			g.finish(r, h, jc+j, w)
		}
		i += h
	}
	*t = tile{}
}

// addTile stores h x w values of src in c, or adds them if acc is not 0.
func addTile(c []float32, ldc int, src []float32, lds, h, w, acc int) {
	for r := range h {
		dst, s := c[r*ldc:][:w], src[r*lds:][:w]
		if acc == 0 {
			copy(dst, s)
			continue
		}
		for x, v := range s {
			dst[x] += v
		}
	}
}
