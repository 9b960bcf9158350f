package kernel

// PackedB is a right-hand matrix of GemmPacked, laid out once for many
// products: panels of the micro-kernel's width, each k-major. It belongs to the
// CPU path that was active when PackB filled it. The zero value is empty;
// filling it again reuses its memory.
type PackedB[T Float] struct {
	K, N int // op(B) is K x N

	data []T
	nr   int // columns per panel; 0: data is plain row-major [K, N]
}

// Filled tells whether PackB has been called.
func (p *PackedB[T]) Filled() bool { return p.data != nil }

// Bytes returns the memory the packed matrix takes.
func (p *PackedB[T]) Bytes() int {
	var z T
	if _, ok := any(z).(float64); ok {
		return 8 * cap(p.data)
	}
	return 4 * cap(p.data)
}

// PackB fills p with op(B), k x n, where op transposes if transB is set and
// ldb is the row stride of b as stored.
func (p *PackedB[T]) PackB(transB bool, k, n int, b []T, ldb int) {
	p.K, p.N, p.nr = k, n, 0
	if k == 0 || n == 0 {
		p.data = p.data[:0]
		return
	}
	checkOperand(transB, k, n, b, ldb)
	b32, ok := any(b).([]float32)
	if !ok {
		p.resize(k * n)
		for i := range k {
			row := p.data[i*n : (i+1)*n]
			if !transB {
				copy(row, b[i*ldb:])
				continue
			}
			for j := range row {
				row[j] = b[j*ldb+i]
			}
		}
		return
	}
	nr := active.nr
	p.nr = nr
	p.resize(k * packedWidth(n, nr))
	g := gemm32{transB: transB, b: b32, ldb: ldb}
	g.packB(any(p.data).([]float32), 0, k, 0, n, nr)
}

func (p *PackedB[T]) resize(n int) {
	if cap(p.data) < n {
		p.data = make([]T, n)
	}
	p.data = p.data[:n]
}

// packedWidth is the number of columns n take in panels of nr, of which the
// last may have nr/2.
func packedWidth(n, nr int) int { return (n + nr/2 - 1) / (nr / 2) * (nr / 2) }

// Epilogue is what GemmPacked does to each value of C once its sum is
// complete, while it is in the cache: add the column's Bias, add the value of
// Add (row stride LdAdd), take the maximum with 0 and the minimum with Cap (6
// with ReLU makes ReLU6). The zero value does nothing.
type Epilogue[T Float] struct {
	Bias  []T // one per column; may be nil
	Add   []T // like C; may be nil, may be C itself with its row stride
	LdAdd int
	ReLU  bool
	Cap   T // 0 for none
}

// GemmPacked computes C = A*B + beta*C and then the epilogue, with A m x B.K
// (row stride lda) and C m x B.N (row stride ldc). With beta 0 the old content
// of C is not read. B must have been packed on the active CPU path.
func GemmPacked[T Float](m int, a []T, lda int, b *PackedB[T], beta T, c []T, ldc int, e Epilogue[T]) {
	gemmPacked(m, a, lda, b, beta, c, ldc, e, false)
}

// GemmPackedAlone is GemmPacked on the caller's thread: for work beside the
// network's, which must not take its threads.
func GemmPackedAlone[T Float](m int, a []T, lda int, b *PackedB[T], beta T, c []T, ldc int, e Epilogue[T]) {
	gemmPacked(m, a, lda, b, beta, c, ldc, e, true)
}

func gemmPacked[T Float](m int, a []T, lda int, b *PackedB[T], beta T, c []T, ldc int, e Epilogue[T], alone bool) {
	n, k := b.N, b.K
	if m == 0 || n == 0 {
		return
	}
	_ = c[(m-1)*ldc+n-1]
	if e.Bias != nil {
		_ = e.Bias[n-1]
	}
	if e.Add != nil {
		_ = e.Add[(m-1)*e.LdAdd+n-1]
	}
	if e.Add != nil && &e.Add[0] == &c[0] && e.LdAdd == ldc {
		// The partial sums would overwrite it.
		e.Add = nil
		beta++
	}
	if k == 0 {
		scale(m, n, beta, c, ldc)
		finish(m, n, c, ldc, e)
		return
	}
	_ = a[(m-1)*lda+k-1]
	if c32, ok := any(c).([]float32); ok && b.nr != 0 {
		if b.nr != active.nr {
			panic("kernel: matrix packed for another CPU path")
		}
		g := gemmPool.Get().(*gemm32)
		*g = gemm32{m: m, n: n, k: k, alpha: 1, beta: float32(beta), a: any(a).([]float32), lda: lda,
			packed: any(b.data).([]float32), c: c32, ldc: ldc,
			bias: any(e.Bias).([]float32), add: any(e.Add).([]float32), ldAdd: e.LdAdd, relu: e.ReLU, cap: float32(e.Cap)}
		if alone {
			g.block(0, m, 0, n)
		} else {
			g.run()
		}
		*g = gemm32{}
		gemmPool.Put(g)
		return
	}
	gemmPortable(false, false, m, n, k, 1, a, lda, b.data, n, beta, c, ldc)
	finish(m, n, c, ldc, e)
}

// finish applies the epilogue in plain Go.
func finish[T Float](m, n int, c []T, ldc int, e Epilogue[T]) {
	for i := range m {
		row := c[i*ldc : i*ldc+n]
		if e.Bias != nil {
			for j, v := range e.Bias[:n] {
				row[j] += v
			}
		}
		if e.Add != nil {
			for j, v := range e.Add[i*e.LdAdd:][:n] {
				row[j] += v
			}
		}
		if e.ReLU {
			for j, v := range row {
				row[j] = max(v, 0)
			}
		}
		if e.Cap > 0 {
			for j, v := range row {
				row[j] = min(v, e.Cap)
			}
		}
	}
}
