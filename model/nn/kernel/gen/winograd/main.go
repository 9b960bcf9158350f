// Command winograd writes the amd64 kernels of convolution in package kernel:
// the tile transforms of Winograd's F(4x4, 3x3) and matrix products on strided
// rows. Run it with go generate in model/nn/kernel.
//
//go:build avo

package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"

	sets "posefuse/model/nn/kernel/gen/isa"
)

// The interpolation points are 0, ±a, ±b and infinity with a·b = 1.
const (
	a = 2.0 / 3
	b = 3.0 / 2

	// of the rows of the weights' transform at ±a and ±b
	ka = 1 / (2 * a * a * (a*a - b*b))
	kb = 1 / (2 * b * b * (b*b - a*a))
)

// isa is one vector width.
type isa struct {
	name  string
	zmm   bool
	bytes int
}

func (s isa) vec() reg.VecVirtual {
	if s.zmm {
		return ZMM()
	}
	return YMM()
}

func (s isa) zero(v operand.Op) {
	if s.zmm {
		VPXORD(v, v, v)
	} else {
		VXORPS(v, v, v)
	}
}

var consts = map[string]operand.Mem{}

// constant returns 16 copies of x in read-only memory.
func constant(name string, x float64) operand.Mem {
	if m, ok := consts[name]; ok {
		return m
	}
	m := GLOBL("winograd_"+name, 8|16) // RODATA, NOPTR
	for i := range 16 {
		DATA(4*i, operand.F32(float32(x)))
	}
	consts[name] = m
	return m
}

func main() {
	ConstraintExpr("amd64")
	for _, c := range []struct {
		name string
		x    float64
	}{{"ka", ka}, {"kb", kb}, {"kaa", ka * a}, {"kbb", kb * b}, {"kaa2", ka * a * a}, {"kbb2", kb * b * b},
		{"a", a}, {"b", b}, {"a2", a * a}, {"b2", b * b}, {"a3", a * a * a}, {"b3", b * b * b}, {"s", a*a + b*b}} {
		constant(c.name, c.x)
	}
	for _, s := range []isa{{"avx512", true, 64}, {"avx2", false, 32}} {
		input(s)
		output(s)
		gradient(s)
		weights(s)
		filter(s)
		rows := 12
		if !s.zmm {
			rows = 6
		}
		for _, nv := range []int{2, 1} {
			for m := 1; m <= rows; m++ {
				strip(s, m, nv)
			}
		}
	}
	Generate()
}

func (s isa) load(m operand.Op) reg.VecVirtual {
	v := s.vec()
	VMOVUPS(m, v)
	return v
}

func (s isa) fma(c, x operand.Op, acc reg.VecVirtual)  { VFMADD231PS(c, x, acc) }
func (s isa) fnma(c, x operand.Op, acc reg.VecVirtual) { VFNMADD231PS(c, x, acc) }

// pair writes t + k·v to p and t - k·v to t.
func (s isa) pair(p, t, v reg.VecVirtual, k operand.Op) {
	VMOVAPS(t, p)
	s.fma(k, v, p)
	s.fnma(k, v, t)
}

// inputRow emits the six outputs of the one-dimensional input transform of d.
func (s isa) inputRow(d []reg.VecVirtual, store func(reg.VecVirtual)) {
	ca, cb, a2, b2, sum := consts["a"], consts["b"], consts["a2"], consts["b2"], consts["s"]
	o := s.vec()
	VADDPS(d[0], d[4], o)
	s.fnma(sum, d[2], o)
	store(o)
	half := func(sq, k operand.Mem) {
		t, v := s.vec(), s.vec()
		VMOVAPS(d[4], t)
		s.fnma(sq, d[2], t)
		VMOVAPS(d[3], v)
		s.fnma(sq, d[1], v)
		p := s.vec()
		s.pair(p, t, v, k)
		store(p)
		store(t)
	}
	half(b2, ca)
	half(a2, cb)
	o = s.vec()
	VADDPS(d[1], d[5], o)
	s.fnma(sum, d[3], o)
	store(o)
}

// columns emits, for each of n columns, the vectors f computes from the rows, or
// zeros where the column is outside the image; step walks the columns.
func (s isa) columns(group string, n int, off, step, cols reg.GPVirtual, rows []reg.GPVirtual, outs int, f func(at func(r int) operand.Mem, out []reg.VecVirtual)) [][]reg.VecVirtual {
	q := GP64()
	MOVQ(off, q)
	t := make([][]reg.VecVirtual, outs)
	for j := range n {
		res := make([]reg.VecVirtual, outs)
		for i := range res {
			res[i] = s.vec()
		}
		zero, done := fmt.Sprintf("zero%s%d", group, j), fmt.Sprintf("done%s%d", group, j)
		BTQ(operand.Imm(uint64(j)), cols)
		JCC(operand.LabelRef(zero))
		f(func(r int) operand.Mem { return operand.Mem{Base: rows[r], Index: q, Scale: 1} }, res)
		JMP(operand.LabelRef(done))
		Label(zero)
		for _, v := range res {
			// From memory: the register allocator takes a cleared ZMM register
			// for one that is read.
			VMOVUPS(constant("zero", 0), v)
		}
		Label(done)
		if j < n-1 {
			ADDQ(step, q)
		}
		for i := range res {
			t[i] = append(t[i], res[i])
		}
	}
	return t
}

// tileArgs loads the arguments the input and gradient transforms share.
func tileArgs(n int) (rows []reg.GPVirtual, off, step, cols, dst, fs reg.GPVirtual) {
	p := Load(Param("rows"), GP64())
	for i := range n {
		r := GP64()
		MOVQ(operand.Mem{Base: p, Disp: 8 * i}, r)
		rows = append(rows, r)
	}
	gp := func(name string) reg.GPVirtual { return Load(Param(name), GP64()).(reg.GPVirtual) }
	return rows, gp("off"), gp("step"), gp("cols"), gp("dst"), gp("fstride")
}

func countDown(name string) {
	m, err := Param(name).Resolve()
	if err != nil {
		panic(err)
	}
	DECQ(m.Addr)
	JNZ(operand.LabelRef("loop"))
}

func input(s isa) {
	TEXT("winogradInput"+s.name, 4|512, "func(rows *[6]*float32, off, step, cols, n int, dst *float32, fstride int)")
	Pragma("noescape")
	Doc("winogradInput" + s.name + " transforms one 6 x 6 tile of n vectors of channels; see winogradInput in winograd_simd.go.")
	sets.FlushSubnormals()
	rows, off, step, cols, dst, fs := tileArgs(6)
	Label("loop")
	p := GP64()
	MOVQ(dst, p)
	store := func(v reg.VecVirtual) {
		VMOVUPS(v, operand.Mem{Base: p})
		ADDQ(fs, p)
	}
	outer := func(group string, r0, r2, r4 int) {
		sum := s.load(consts["s"])
		t := s.columns(group, 6, off, step, cols, rows, 1, func(at func(int) operand.Mem, o []reg.VecVirtual) {
			VMOVUPS(at(r0), o[0])
			VADDPS(at(r4), o[0], o[0])
			s.fnma(at(r2), sum, o[0])
		})
		s.inputRow(t[0], store)
	}
	half := func(group, sq, k string) {
		q := s.load(consts[sq])
		t := s.columns(group, 6, off, step, cols, rows, 2, func(at func(int) operand.Mem, o []reg.VecVirtual) {
			v := s.load(at(3))
			VMOVUPS(at(4), o[1])
			s.fnma(at(2), q, o[1])
			s.fnma(at(1), q, v)
			s.pair(o[0], o[1], v, consts[k])
		})
		s.inputRow(t[0], store)
		s.inputRow(t[1], store)
	}
	outer("a", 0, 2, 4)
	half("b", "b2", "a")
	half("c", "a2", "b")
	outer("d", 1, 3, 5)
	ADDQ(operand.Imm(uint64(s.bytes)), off)
	ADDQ(operand.Imm(uint64(s.bytes)), dst)
	countDown("n")
	sets.End()
}

// gradient emits Z = A dY Aᵀ, 4 x 4 to 6 x 6.
func gradient(s isa) {
	TEXT("winogradGradient"+s.name, 4|512, "func(rows *[6]*float32, off, step, cols, n int, dst *float32, fstride int)")
	Pragma("noescape")
	Doc("winogradGradient" + s.name + " transforms the output gradient of one 4 x 4 tile, n vectors of channels; see winogradGradient in winograd_simd.go.")
	sets.FlushSubnormals()
	rows, off, step, cols, dst, fs := tileArgs(4)
	Label("loop")
	p := GP64()
	MOVQ(dst, p)
	store := func(v reg.VecVirtual) {
		VMOVUPS(v, operand.Mem{Base: p})
		ADDQ(fs, p)
	}
	row := func(y []reg.VecVirtual) {
		store(y[0])
		for _, k := range [][2]string{{"a2", "a"}, {"b2", "b"}} {
			e, v := s.vec(), s.vec()
			VMOVAPS(y[0], e)
			s.fma(consts[k[0]], y[2], e)
			VMOVAPS(y[1], v)
			s.fma(consts[k[0]], y[3], v)
			p := s.vec()
			s.pair(p, e, v, consts[k[1]])
			store(p)
			store(e)
		}
		store(y[3])
	}
	outer := func(group string, r int) {
		t := s.columns(group, 4, off, step, cols, rows, 1, func(at func(int) operand.Mem, o []reg.VecVirtual) {
			VMOVUPS(at(r), o[0])
		})
		row(t[0])
	}
	half := func(group, sq, k string) {
		q := s.load(consts[sq])
		t := s.columns(group, 4, off, step, cols, rows, 2, func(at func(int) operand.Mem, o []reg.VecVirtual) {
			v := s.load(at(1))
			VMOVUPS(at(0), o[1])
			s.fma(at(2), q, o[1])
			s.fma(at(3), q, v)
			s.pair(o[0], o[1], v, consts[k])
		})
		row(t[0])
		row(t[1])
	}
	outer("a", 0)
	half("b", "a2", "a")
	half("c", "b2", "b")
	outer("d", 3)
	ADDQ(operand.Imm(uint64(s.bytes)), off)
	ADDQ(operand.Imm(uint64(s.bytes)), dst)
	countDown("n")
	sets.End()
}

// weights emits U = G g Gᵀ, 3 x 3 to 6 x 6, for one vector of filters.
func weights(s isa) {
	TEXT("winogradWeights"+s.name, 4|512, "func(w *float32, wstride int, u *float32, ustride int)")
	Pragma("noescape")
	Doc("winogradWeights" + s.name + " transforms one vector of 3 x 3 filters, whose weights are wstride apart, to 36 vectors ustride apart; strides in bytes.")
	sets.FlushSubnormals()
	gp := func(name string) reg.GPVirtual { return Load(Param(name), GP64()).(reg.GPVirtual) }
	g, gs, u, us := gp("w"), gp("wstride"), gp("u"), gp("ustride")
	store := func(v reg.VecVirtual) {
		VMOVUPS(v, operand.Mem{Base: u})
		ADDQ(us, u)
	}
	gs3 := GP64()
	LEAQ(operand.Mem{Base: gs, Index: gs, Scale: 2}, gs3)
	rows := []reg.GPVirtual{g}
	for i := 1; i < 3; i++ {
		r := GP64()
		LEAQ(operand.Mem{Base: rows[i-1], Index: gs3, Scale: 1}, r)
		rows = append(rows, r)
	}
	at := func(r, j int) operand.Mem {
		m := operand.Mem{Base: rows[r]}
		if j > 0 {
			m.Index, m.Scale = gs, uint8(j)
		}
		return m
	}
	// pair returns the values at ±point of g0, g1, g2.
	pair := func(g0, g1, g2 operand.Op, k, kx, kx2 string) (p, e reg.VecVirtual) {
		o := s.vec()
		e, p = s.vec(), s.vec()
		VMOVUPS(g0, o)
		VMULPS(consts[k], o, e)
		VMOVUPS(g2, o)
		s.fma(consts[kx2], o, e)
		VMOVUPS(g1, o)
		VMULPS(consts[kx], o, o)
		VADDPS(o, e, p)
		VSUBPS(o, e, e)
		return p, e
	}
	row := func(t [3]reg.VecVirtual) {
		store(t[0])
		for _, k := range [][3]string{{"ka", "kaa", "kaa2"}, {"kb", "kbb", "kbb2"}} {
			p, e := pair(t[0], t[1], t[2], k[0], k[1], k[2])
			store(p)
			store(e)
		}
		store(t[2])
	}
	plain := func(r int) {
		row([3]reg.VecVirtual{s.load(at(r, 0)), s.load(at(r, 1)), s.load(at(r, 2))})
	}
	both := func(k, kx, kx2 string) {
		var t [2][3]reg.VecVirtual
		for j := range 3 {
			t[0][j], t[1][j] = pair(at(0, j), at(1, j), at(2, j), k, kx, kx2)
		}
		row(t[0])
		row(t[1])
	}
	plain(0)
	both("ka", "kaa", "kaa2")
	both("kb", "kbb", "kbb2")
	plain(2)
	sets.End()
}

// filter emits g = Gᵀ U G, 6 x 6 to 3 x 3, for one vector of filters.
func filter(s isa) {
	TEXT("winogradFilter"+s.name, 4|512, "func(u *float32, ustride int, w *float32, wstride int)")
	Pragma("noescape")
	Doc("winogradFilter" + s.name + " turns the gradient of 36 vectors of transformed weights, ustride apart, into that of 3 x 3 filters, whose weights are wstride apart; strides in bytes.")
	sets.FlushSubnormals()
	gp := func(name string) reg.GPVirtual { return Load(Param(name), GP64()).(reg.GPVirtual) }
	u, us, g, gs := gp("u"), gp("ustride"), gp("w"), gp("wstride")
	us6 := GP64()
	LEAQ(operand.Mem{Base: us, Index: us, Scale: 2}, us6)
	ADDQ(us6, us6)
	rows := []reg.GPVirtual{u}
	for i := 1; i < 6; i++ {
		r := GP64()
		LEAQ(operand.Mem{Base: rows[i-1], Index: us6, Scale: 1}, r)
		rows = append(rows, r)
	}
	line := func(at func(i int) operand.Op, r int) reg.VecVirtual {
		x, y, o := s.vec(), s.vec(), s.vec()
		VMOVUPS(at(1), x)
		VMOVUPS(at(3), y)
		if r == 1 {
			VSUBPS(at(2), x, x)
			VSUBPS(at(4), y, y)
			VMULPS(consts["kaa"], x, o)
			s.fma(consts["kbb"], y, o)
			return o
		}
		VADDPS(at(2), x, x)
		VADDPS(at(4), y, y)
		if r == 0 {
			VMOVUPS(at(0), o)
			s.fma(consts["ka"], x, o)
			s.fma(consts["kb"], y, o)
			return o
		}
		VMOVUPS(at(5), o)
		s.fma(consts["kaa2"], x, o)
		s.fma(consts["kbb2"], y, o)
		return o
	}
	for r := range 3 {
		q := GP64()
		XORQ(q, q)
		var t [6]reg.VecVirtual
		for j := range 6 {
			t[j] = line(func(i int) operand.Op { return operand.Mem{Base: rows[i], Index: q, Scale: 1} }, r)
			if j < 5 {
				ADDQ(us, q)
			}
		}
		for c := range 3 {
			VMOVUPS(line(func(i int) operand.Op { return t[i] }, c), operand.Mem{Base: g})
			if r < 2 || c < 2 {
				ADDQ(gs, g)
			}
		}
	}
	sets.End()
}

// outputRow returns the outputs listed in want of the one-dimensional output
// transform of the six values that at loads.
func (s isa) outputRow(at func(i int) operand.Op, want ...int) []reg.VecVirtual {
	get := func(i int) reg.VecVirtual {
		v := s.vec()
		VMOVUPS(at(i), v)
		return v
	}
	m1, m3 := get(1), get(3)
	need := map[bool]bool{}
	for _, w := range want {
		need[w%2 == 1] = true
	}
	var s1, d1, s2, d2 reg.VecVirtual
	if need[false] {
		s1, s2 = s.vec(), s.vec()
		VADDPS(at(2), m1, s1)
		VADDPS(at(4), m3, s2)
	}
	if need[true] {
		d1, d2 = s.vec(), s.vec()
		VSUBPS(at(2), m1, d1)
		VSUBPS(at(4), m3, d2)
	}
	var out []reg.VecVirtual
	for _, w := range want {
		o := s.vec()
		switch w {
		case 0:
			VADDPS(at(0), s1, o)
			VADDPS(s2, o, o)
		case 1:
			VMULPS(consts["a"], d1, o)
			s.fma(consts["b"], d2, o)
		case 2:
			VMULPS(consts["a2"], s1, o)
			s.fma(consts["b2"], s2, o)
		case 3:
			VMOVUPS(at(5), o)
			s.fma(consts["a3"], d1, o)
			s.fma(consts["b3"], d2, o)
		}
		out = append(out, o)
	}
	return out
}

func output(s isa) {
	TEXT("winogradOutput"+s.name, 4|512, "func(m *float32, fstride, n int, bias, y *float32, row, col, h, w int, res *float32, floor float32)")
	Pragma("noescape")
	Doc("winogradOutput" + s.name + " transforms the products of one tile, n vectors of channels, to h x w outputs; see winogradOutput in winograd_simd.go.")
	sets.FlushSubnormals()
	addr := func(name string) operand.Mem {
		m, err := Param(name).Resolve()
		if err != nil {
			panic(err)
		}
		return m.Addr
	}
	gp := func(name string) reg.GPVirtual { return Load(Param(name), GP64()).(reg.GPVirtual) }
	m, fs, bias, y, diff := gp("m"), gp("fstride"), gp("bias"), gp("y"), gp("res")
	row, col := gp("row"), gp("col")
	SUBQ(y, diff) // residual relative to y
	fl := s.vec()
	VBROADCASTSS(addr("floor"), fl)
	fs3, fs5 := GP64(), GP64()
	LEAQ(operand.Mem{Base: fs, Index: fs, Scale: 2}, fs3)
	LEAQ(operand.Mem{Base: fs, Index: fs, Scale: 4}, fs5)
	fs6 := GP64()
	LEAQ(operand.Mem{Base: fs3, Index: fs3, Scale: 1}, fs6)
	Label("loop")
	p, yp := GP64(), GP64()
	at := func(i int) operand.Op {
		switch i {
		case 0:
			return operand.Mem{Base: p}
		case 3:
			return operand.Mem{Base: p, Index: fs3, Scale: 1}
		case 5:
			return operand.Mem{Base: p, Index: fs5, Scale: 1}
		}
		return operand.Mem{Base: p, Index: fs, Scale: uint8(i)}
	}
	var t [4][]reg.VecVirtual // per column of the output, six values down
	pass1 := func(want ...int) {
		MOVQ(m, p)
		for i := range 6 {
			for k, v := range s.outputRow(at, want...) {
				t[want[k]] = append(t[want[k]], v)
			}
			if i < 5 {
				ADDQ(fs6, p)
			}
		}
	}
	if s.zmm {
		pass1(0, 1, 2, 3)
	}
	MOVQ(y, yp)
	for c := range 4 {
		if c > 0 {
			CMPQ(addr("w"), operand.Imm(uint64(c)))
			JLE(operand.LabelRef("next"))
			ADDQ(col, yp)
		}
		if !s.zmm {
			pass1(c)
		}
		out := s.outputRow(func(i int) operand.Op { return t[c][i] }, 0, 1, 2, 3)
		yr := GP64()
		MOVQ(yp, yr)
		for r, v := range out {
			if r > 0 {
				CMPQ(addr("h"), operand.Imm(uint64(r)))
				JLE(operand.LabelRef(fmt.Sprintf("column%d", c+1)))
				ADDQ(row, yr)
			}
			VADDPS(operand.Mem{Base: bias}, v, v)
			skip := fmt.Sprintf("plain%d%d", c, r)
			CMPQ(addr("res"), operand.Imm(0))
			JEQ(operand.LabelRef(skip))
			VADDPS(operand.Mem{Base: yr, Index: diff, Scale: 1}, v, v)
			Label(skip)
			VMAXPS(v, fl, v) // a NaN in v stays one
			VMOVUPS(v, operand.Mem{Base: yr})
		}
		Label(fmt.Sprintf("column%d", c+1))
	}
	Label("next")
	for _, r := range []reg.GPVirtual{m, y, bias} {
		ADDQ(operand.Imm(uint64(s.bytes)), r)
	}
	countDown("n")
	sets.End()
}

// strip emits C = A·B or C += A·B for m rows of C and nv vectors of columns;
// all strides are in bytes.
func strip(s isa, m, nv int) {
	name := fmt.Sprintf("strip%sm%dx%d", s.name, m, nv)
	TEXT(name, 4|512, "func(k int, a *float32, am, ak int, b *float32, bk int, c *float32, cm, acc int)")
	Pragma("noescape")
	Doc(fmt.Sprintf("%s multiplies %d rows of A by %d columns of B; see strip in strip.go.", name, m, nv*s.bytes/4))
	sets.FlushSubnormals()
	gp := func(name string) reg.GPVirtual { return Load(Param(name), GP64()).(reg.GPVirtual) }
	k, ak, bp, bk, c, cm := gp("k"), gp("ak"), gp("b"), gp("bk"), gp("c"), gp("cm")
	ptr := []reg.GPVirtual{gp("a")}
	var am, am3 reg.GPVirtual
	if m > 1 {
		am = gp("am")
	}
	if m > 3 {
		am3 = GP64()
		LEAQ(operand.Mem{Base: am, Index: am, Scale: 2}, am3)
	}
	for i := 4; i < m; i += 4 {
		q := GP64()
		LEAQ(operand.Mem{Base: ptr[len(ptr)-1], Index: am, Scale: 4}, q)
		ptr = append(ptr, q)
	}
	sum := make([]reg.VecVirtual, m*nv)
	for i := range sum {
		sum[i] = s.vec()
		s.zero(sum[i])
	}
	bv := make([]reg.VecVirtual, nv)
	for i := range bv {
		bv[i] = s.vec()
	}
	Label("loop")
	for j := range bv {
		VMOVUPS(operand.Mem{Base: bp, Disp: j * s.bytes}, bv[j])
		if j*s.bytes%64 == 0 {
			PREFETCHT0(operand.Mem{Base: bp, Disp: sets.Ahead + j*s.bytes})
		}
	}
	for i := range m {
		at := operand.Mem{Base: ptr[i/4]}
		switch i % 4 {
		case 1:
			at.Index, at.Scale = am, 1
		case 2:
			at.Index, at.Scale = am, 2
		case 3:
			at.Index, at.Scale = am3, 1
		}
		v := s.vec()
		VBROADCASTSS(at, v)
		for j := range bv {
			VFMADD231PS(v, bv[j], sum[i*nv+j])
		}
	}
	for _, q := range ptr {
		ADDQ(ak, q)
	}
	ADDQ(bk, bp)
	DECQ(k)
	JNZ(operand.LabelRef("loop"))

	acc, err := Param("acc").Resolve()
	if err != nil {
		panic(err)
	}
	CMPQ(acc.Addr, operand.Imm(0))
	JEQ(operand.LabelRef("store"))
	q := GP64()
	MOVQ(c, q)
	for i := range m {
		for j := range nv {
			VADDPS(operand.Mem{Base: q, Disp: j * s.bytes}, sum[i*nv+j], sum[i*nv+j])
		}
		if i < m-1 {
			ADDQ(cm, q)
		}
	}
	Label("store")
	for i := range m {
		for j := range nv {
			VMOVUPS(sum[i*nv+j], operand.Mem{Base: c, Disp: j * s.bytes})
		}
		if i < m-1 {
			ADDQ(cm, c)
		}
	}
	sets.End()
}
