// Command points writes the amd64 inner loops of the neighbour search and of
// farthest-point sampling. Run it with go generate in model/nn/kernel.
//
//go:build avo

package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"

	"posefuse/model/nn/kernel/gen/isa"
)

// width is one vector size to generate for.
type width struct {
	name  string
	lanes int
	zmm   bool
}

var widths = []width{{"avx512", 16, true}, {"avx2", 8, false}}

func (w width) vec() reg.VecVirtual {
	if w.zmm {
		return ZMM()
	}
	return YMM()
}

func (w width) bytes() int { return 4 * w.lanes }

// lanes are the numbers 0 to 15.
var lanes Mem

func main() {
	ConstraintExpr("amd64")
	lanes = GLOBL("pointlanes", RODATA|NOPTR)
	for i := range 16 {
		DATA(4*i, U32(uint32(i)))
	}
	for _, w := range widths {
		distances(w)
		bound(w)
		farthest(w)
		boxes(w)
		blockDistances(w)
		closer(w)
		lower(w)
		rank(w)
	}
	belowCompress()
	belowMask()
	Generate()
}

// load broadcasts the three coordinates at p.
func (w width) load(p reg.Register) [3]reg.VecVirtual {
	var q [3]reg.VecVirtual
	for i := range q {
		q[i] = w.vec()
		VBROADCASTSS(Mem{Base: p, Disp: 4 * i}, q[i])
	}
	return q
}

// squared emits the squared distance of the points at disp to q: every
// product and sum is rounded, as in the portable code.
func (w width) squared(axes [3]reg.Register, disp int, q [3]reg.VecVirtual) reg.VecVirtual {
	var d [3]reg.VecVirtual
	for i := range d {
		d[i] = w.vec()
		VSUBPS(Mem{Base: axes[i], Disp: disp}, q[i], d[i])
		VMULPS(d[i], d[i], d[i])
	}
	VADDPS(d[1], d[0], d[0])
	VADDPS(d[2], d[0], d[0])
	return d[0]
}

func axes() [3]reg.Register {
	return [3]reg.Register{Load(Param("x"), GP64()), Load(Param("y"), GP64()), Load(Param("z"), GP64())}
}

func distances(w width) {
	TEXT("pointdist"+w.name, NOSPLIT|NOFRAME, "func(n int, x, y, z *float32, q *[3]float32, d *float32, low *[32]float32)")
	Pragma("noescape")
	Doc(fmt.Sprintf("pointdist%s writes the squared distances of n points to q, and to low the smallest of each residue modulo 32; n is a positive multiple of 32.", w.name))
	n := Load(Param("n"), GP64())
	p := axes()
	q := w.load(Load(Param("q"), GP64()))
	d := Load(Param("d"), GP64())
	low := make([]reg.VecVirtual, 32/w.lanes)
	for i := range low {
		low[i] = w.vec()
		VBROADCASTSS(infinity(), low[i])
	}
	Label("loop")
	for i := range low {
		v := w.squared(p, i*w.bytes(), q)
		VMOVUPS(v, Mem{Base: d, Disp: i * w.bytes()})
		VMINPS(v, low[i], low[i])
	}
	for _, r := range []reg.Register{p[0], p[1], p[2], d} {
		ADDQ(I32(128), r)
	}
	SUBQ(Imm(32), n)
	JNZ(LabelRef("loop"))
	out := Load(Param("low"), GP64())
	for i := range low {
		VMOVUPS(low[i], Mem{Base: out, Disp: i * w.bytes()})
	}
	VZEROUPPER()
	RET()
}

var infinityMem *Mem

func infinity() Mem {
	if infinityMem == nil {
		m := ConstData("pointinf", U32(0x7f800000))
		infinityMem = &m
	}
	return *infinityMem
}

// bound counts for each of the 32 values how many are at most as large, and
// takes the smallest value whose count reaches k.
func bound(w width) {
	TEXT("pointbound"+w.name, NOSPLIT|NOFRAME, "func(low *[32]float32, k int) float32")
	Pragma("noescape")
	Doc(fmt.Sprintf("pointbound%s returns the smallest of the values v in low for which k of them are at most v.", w.name))
	low := Load(Param("low"), GP64())
	k := GP64()
	Load(Param("k"), k)
	vals, count := make([]reg.VecVirtual, 32/w.lanes), make([]reg.VecVirtual, 32/w.lanes)
	for i := range vals {
		vals[i], count[i] = w.vec(), w.vec()
		VMOVUPS(Mem{Base: low, Disp: i * w.bytes()}, vals[i])
		if w.zmm {
			VPXORD(count[i], count[i], count[i])
		} else {
			VXORPS(count[i], count[i], count[i])
		}
	}
	b, t := w.vec(), w.vec()
	if w.zmm {
		VPTERNLOGD(Imm(255), t, t, t) // all ones: -1
	}
	for j := range 32 {
		VBROADCASTSS(Mem{Base: low, Disp: 4 * j}, b)
		for i := range vals {
			if w.zmm {
				m := K()
				VCMPPS(Imm(2), vals[i], b, m) // b <= vals
				VPSUBD(t, count[i], m, count[i])
				continue
			}
			VCMPPS(Imm(2), vals[i], b, t)
			VPSUBD(t, count[i], count[i])
		}
	}
	kv, best := w.vec(), w.vec()
	x := XMM()
	DECQ(k)
	VMOVD(k.As32(), x)
	VPBROADCASTD(x, kv)
	VBROADCASTSS(infinity(), best)
	for i := range vals {
		if w.zmm {
			m := K()
			VPCMPGTD(kv, count[i], m)
			VMINPS(vals[i], best, m, best)
			continue
		}
		VPCMPGTD(kv, count[i], count[i])
		VBROADCASTSS(infinity(), t)
		VBLENDVPS(count[i], vals[i], t, t)
		VMINPS(t, best, best)
	}
	lowest(w, best)
	isa.ReturnFloat(best.AsX(), 0)
	VZEROUPPER()
	RET()
}

// lowest brings the smallest element of v to its first lane.
func lowest(w width, v reg.VecVirtual) {
	if w.zmm {
		h := ZMM()
		VEXTRACTF64X4(Imm(1), v, h.AsY())
		VMINPS(h.AsY(), v.AsY(), v.AsY())
	}
	h := YMM()
	VEXTRACTF128(Imm(1), v.AsY(), h.AsX())
	VMINPS(h.AsX(), v.AsX(), v.AsX())
	VPERMILPS(Imm(0x4e), v.AsX(), h.AsX())
	VMINPS(h.AsX(), v.AsX(), v.AsX())
	VPERMILPS(Imm(0xb1), v.AsX(), h.AsX())
	VMINPS(h.AsX(), v.AsX(), v.AsX())
}

// belowCompress needs AVX-512.
func belowCompress() {
	w := widths[0]
	TEXT("pointbelowavx512", NOSPLIT|NOFRAME, "func(n int, d *float32, limit float32, index *int32) int")
	Pragma("noescape")
	Doc("pointbelowavx512 writes the positions of the values of d that are at most limit and returns how many there are; n is a positive multiple of 32, index has room for n.")
	n := Load(Param("n"), GP64())
	d := Load(Param("d"), GP64())
	lim := w.vec()
	l := isa.Float("limit")
	VBROADCASTSS(l, lim)
	index := Load(Param("index"), GP64())
	start := GP64()
	MOVQ(index, start)
	at, step := ZMM(), ZMM()
	VMOVDQU32(lanes, at)
	s := GP32()
	MOVL(U32(16), s)
	VPBROADCASTD(s, step)
	Label("loop")
	for i := range 2 {
		m, out, bits := K(), ZMM(), GP32()
		v := ZMM()
		VMOVUPS(Mem{Base: d, Disp: 64 * i}, v)
		VCMPPS(Imm(2), lim, v, m) // v <= limit
		VPCOMPRESSD_Z(at, m, out)
		VMOVDQU32(out, Mem{Base: index})
		KMOVW(m, bits)
		POPCNTL(bits, bits)
		LEAQ(Mem{Base: index, Index: bits.As64(), Scale: 4}, index)
		VPADDD(step, at, at)
	}
	ADDQ(I32(128), d)
	SUBQ(Imm(32), n)
	JNZ(LabelRef("loop"))
	SUBQ(start, index)
	SHRQ(Imm(2), index)
	Store(index, ReturnIndex(0))
	VZEROUPPER()
	RET()
}

func belowMask() {
	w := widths[1]
	TEXT("pointbelowavx2", NOSPLIT|NOFRAME, "func(n int, d *float32, limit float32, bits *uint32)")
	Pragma("noescape")
	Doc("pointbelowavx2 sets bit i%32 of bits[i/32] where d[i] is at most limit; n is a positive multiple of 32.")
	n := Load(Param("n"), GP64())
	d := Load(Param("d"), GP64())
	lim := w.vec()
	l := isa.Float("limit")
	VBROADCASTSS(l, lim)
	bits := Load(Param("bits"), GP64())
	Label("loop")
	for i := range 4 {
		v, b := YMM(), GP32()
		VMOVUPS(Mem{Base: d, Disp: 32 * i}, v)
		VCMPPS(Imm(2), lim, v, v)
		VMOVMSKPS(v, b)
		MOVB(b.As8(), Mem{Base: bits, Disp: i})
	}
	ADDQ(I32(128), d)
	ADDQ(Imm(4), bits)
	SUBQ(Imm(32), n)
	JNZ(LabelRef("loop"))
	VZEROUPPER()
	RET()
}

// rank counts for each key how many are smaller; distinct keys get distinct
// ranks.
func rank(w width) {
	TEXT("pointrank"+w.name, NOSPLIT|NOFRAME, "func(n int, keys *uint64, ranks *uint64)")
	Pragma("noescape")
	Doc(fmt.Sprintf("pointrank%s writes how many of the n keys, all below 1<<63, are smaller than each; n is a positive multiple of 8.", w.name))
	n := GP64()
	Load(Param("n"), n)
	keys := Load(Param("keys"), GP64())
	ranks := Load(Param("ranks"), GP64())
	one := w.vec()
	if w.zmm {
		o := GP64()
		MOVQ(U32(1), o)
		VPBROADCASTQ(o, one)
	}
	i, j := GP64(), GP64()
	XORQ(i, i)
	Label("block") // 16 keys at a time, or the last 8
	rest := GP64()
	MOVQ(n, rest)
	SUBQ(i, rest)
	CMPQ(rest, Imm(16))
	JLT(LabelRef("narrow"))
	for _, keysAtOnce := range []int{16, 8} {
		name := "wide"
		if keysAtOnce == 8 {
			name = "narrow"
			Label(name)
		}
		vecs := 2 * keysAtOnce / w.lanes
		v, count := make([]reg.VecVirtual, vecs), make([]reg.VecVirtual, vecs)
		for c := range v {
			v[c], count[c] = w.vec(), w.zero()
			VMOVUPS(Mem{Base: keys, Index: i, Scale: 8, Disp: w.bytes() * c}, v[c])
		}
		XORQ(j, j)
		Label(name + "loop")
		for u := range 4 {
			b := w.vec()
			VPBROADCASTQ(Mem{Base: keys, Index: j, Scale: 8, Disp: 8 * u}, b)
			for c := range v {
				if w.zmm {
					m := K()
					VPCMPUQ(Imm(1), v[c], b, m) // b < v
					VPADDQ(one, count[c], m, count[c])
					continue
				}
				t := YMM()
				VPCMPGTQ(b, v[c], t) // v > b: -1
				VPSUBQ(t, count[c], count[c])
			}
		}
		ADDQ(Imm(4), j)
		CMPQ(j, n)
		JLT(LabelRef(name + "loop"))
		for c := range v {
			VMOVUPS(count[c], Mem{Base: ranks, Index: i, Scale: 8, Disp: w.bytes() * c})
		}
		ADDQ(Imm(uint64(keysAtOnce)), i)
		CMPQ(i, n)
		JLT(LabelRef("block"))
		VZEROUPPER()
		RET()
	}
}

// farthest lowers the distances to the chosen points by the newest one and
// looks for the largest.
func farthest(w width) {
	TEXT("pointfar"+w.name, NOSPLIT|NOFRAME, "func(n int, x, y, z *float32, q *[3]float32, dist *float32, far *[16]float32, at *[16]int32)")
	Pragma("noescape")
	Doc(fmt.Sprintf("pointfar%s sets dist to the smaller of itself and the squared distance to q, and far and at to the largest value and its first position of each residue modulo 16; n is a positive multiple of 32.", w.name))
	n := Load(Param("n"), GP64())
	p := axes()
	q := w.load(Load(Param("q"), GP64()))
	dist := Load(Param("dist"), GP64())
	tracks := 16 / w.lanes
	far, at, pos := make([]reg.VecVirtual, tracks), make([]reg.VecVirtual, tracks), make([]reg.VecVirtual, tracks)
	step := w.vec()
	x := XMM()
	s := GP32()
	MOVL(U32(0xbf800000), s) // -1
	VMOVD(s, x)
	for i := range far {
		far[i], at[i], pos[i] = w.vec(), w.vec(), w.vec()
		VBROADCASTSS(x, far[i])
		VMOVUPS(lanes.Offset(i*w.bytes()), pos[i])
		VMOVUPS(pos[i], at[i])
	}
	s16 := GP32()
	x16 := XMM()
	MOVL(U32(16), s16)
	VMOVD(s16, x16)
	VPBROADCASTD(x16, step)
	Label("loop")
	for u := range 2 {
		for i := range far {
			disp := (u*tracks + i) * w.bytes()
			v := w.squared(p, disp, q)
			VMINPS(Mem{Base: dist, Disp: disp}, v, v)
			VMOVUPS(v, Mem{Base: dist, Disp: disp})
			if w.zmm {
				m := K()
				VCMPPS(Imm(0x1e), far[i], v, m) // v > far
				VMOVAPS(v, m, far[i])
				VMOVDQA32(pos[i], m, at[i])
			} else {
				m := YMM()
				VCMPPS(Imm(0x1e), far[i], v, m)
				VBLENDVPS(m, v, far[i], far[i])
				VBLENDVPS(m, pos[i], at[i], at[i])
			}
			VPADDD(step, pos[i], pos[i])
		}
	}
	for _, r := range []reg.Register{p[0], p[1], p[2], dist} {
		ADDQ(I32(128), r)
	}
	SUBQ(Imm(32), n)
	JNZ(LabelRef("loop"))
	fp, ap := Load(Param("far"), GP64()), Load(Param("at"), GP64())
	for i := range far {
		VMOVUPS(far[i], Mem{Base: fp, Disp: i * w.bytes()})
		VMOVUPS(at[i], Mem{Base: ap, Disp: i * w.bytes()})
	}
	VZEROUPPER()
	RET()
}

// boxes emits a test of 32 boxes, whose bounds lie stride bytes apart: least x,
// y, z, then greatest x, y, z. The distance to a box is never more than that to
// a point in it, because it is rounded in the same steps.
func boxes(w width) {
	TEXT("pointboxes"+w.name, NOSPLIT|NOFRAME, "func(bounds *float32, stride int, q *[3]float32, limit float32) (within, at uint32)")
	Pragma("noescape")
	Doc(fmt.Sprintf("pointboxes%s sets bit i of within where box i of 32 is at most limit from q, and of at where it is exactly that; bounds holds the least x, y, z and the greatest of the boxes, stride bytes apart.", w.name))
	b := GP64()
	Load(Param("bounds"), b)
	stride := GP64()
	Load(Param("stride"), stride)
	q := w.load(Load(Param("q"), GP64()))
	lim, zero := w.vec(), w.zero()
	l := isa.Float("limit")
	VBROADCASTSS(l, lim)
	ends := sides(b, stride)
	within, at := GP32(), GP32()
	XORL(within, within)
	XORL(at, at)
	for v := range 32 / w.lanes {
		sum := w.toBox(ends, q, zero, v*w.bytes())
		for _, c := range []struct {
			predicate uint64
			bits      reg.GPVirtual
		}{{2, within}, {0, at}} {
			bits := GP32()
			if w.zmm {
				m := K()
				VCMPPS(Imm(c.predicate), lim, sum, m)
				KMOVW(m, bits)
			} else {
				m := YMM()
				VCMPPS(Imm(c.predicate), lim, sum, m)
				VMOVMSKPS(m, bits)
			}
			if v > 0 {
				SHLL(Imm(uint64(v*w.lanes)), bits)
			}
			ORL(bits, c.bits)
		}
	}
	Store(within, ReturnIndex(0))
	Store(at, ReturnIndex(1))
	VZEROUPPER()
	RET()
}

// blockDistances is distances for blocks of 16 points given by number.
func blockDistances(w width) {
	TEXT("pointblocks"+w.name, NOSPLIT|NOFRAME, "func(n int, blocks *int32, x, y, z *float32, q *[3]float32, d *float32, low *[32]float32)")
	Pragma("noescape")
	Doc(fmt.Sprintf("pointblocks%s writes the squared distances to q of the points of n blocks of 16, and to low the smallest of each residue modulo 32; n is even and positive.", w.name))
	n := Load(Param("n"), GP64())
	blocks := Load(Param("blocks"), GP64())
	p := axes()
	q := w.load(Load(Param("q"), GP64()))
	d := Load(Param("d"), GP64())
	low := make([]reg.VecVirtual, 32/w.lanes)
	for i := range low {
		low[i] = w.vec()
		VBROADCASTSS(infinity(), low[i])
	}
	at := GP64()
	Label("loop")
	for half := range 2 {
		MOVLQSX(Mem{Base: blocks, Disp: 4 * half}, at)
		SHLQ(Imm(6), at)
		for i := range 16 / w.lanes {
			var v [3]reg.VecVirtual
			for axis := range v {
				v[axis] = w.vec()
				VSUBPS(Mem{Base: p[axis], Index: at, Scale: 1, Disp: i * w.bytes()}, q[axis], v[axis])
				VMULPS(v[axis], v[axis], v[axis])
			}
			VADDPS(v[1], v[0], v[0])
			VADDPS(v[2], v[0], v[0])
			lane := half*16/w.lanes + i
			VMOVUPS(v[0], Mem{Base: d, Disp: lane * w.bytes()})
			VMINPS(v[0], low[lane], low[lane])
		}
	}
	ADDQ(I32(128), d)
	ADDQ(Imm(8), blocks)
	SUBQ(Imm(2), n)
	JNZ(LabelRef("loop"))
	out := Load(Param("low"), GP64())
	for i := range low {
		VMOVUPS(low[i], Mem{Base: out, Disp: i * w.bytes()})
	}
	VZEROUPPER()
	RET()
}

// sides returns the addresses of the six bounds.
func sides(b, stride reg.GPVirtual) [6]reg.GPVirtual {
	var ends [6]reg.GPVirtual
	for i := range ends {
		ends[i] = GP64()
		if i == 0 {
			MOVQ(b, ends[i])
		} else {
			LEAQ(Mem{Base: ends[i-1], Index: stride, Scale: 1}, ends[i])
		}
	}
	return ends
}

// toBox emits the squared distance of q to the boxes at disp.
func (w width) toBox(ends [6]reg.GPVirtual, q [3]reg.VecVirtual, zero reg.VecVirtual, disp int) reg.VecVirtual {
	var sum reg.VecVirtual
	for axis := range 3 {
		lo, hi := w.vec(), w.vec()
		VMOVUPS(Mem{Base: ends[axis], Disp: disp}, lo)
		VSUBPS(q[axis], lo, lo) // lo - q
		VSUBPS(Mem{Base: ends[3+axis], Disp: disp}, q[axis], hi)
		VMAXPS(lo, hi, lo)
		VMAXPS(zero, lo, lo)
		VMULPS(lo, lo, lo)
		if axis == 0 {
			sum = lo
		} else {
			VADDPS(lo, sum, sum)
		}
	}
	return sum
}

func (w width) zero() reg.VecVirtual {
	zero := w.vec()
	if w.zmm {
		VPXORD(zero, zero, zero)
	} else {
		VXORPS(zero, zero, zero)
	}
	return zero
}

// closer tests 32 boxes against a limit each.
func closer(w width) {
	TEXT("pointcloser"+w.name, NOSPLIT|NOFRAME, "func(bounds *float32, stride int, q *[3]float32, limits *float32) uint32")
	Pragma("noescape")
	Doc(fmt.Sprintf("pointcloser%s sets bit i where box i of 32 is less than limits[i] from q; bounds is as for pointboxes%s.", w.name, w.name))
	b, stride := GP64(), GP64()
	Load(Param("bounds"), b)
	Load(Param("stride"), stride)
	q := w.load(Load(Param("q"), GP64()))
	limits := Load(Param("limits"), GP64())
	zero := w.zero()
	ends := sides(b, stride)
	out := GP32()
	XORL(out, out)
	for v := range 32 / w.lanes {
		sum := w.toBox(ends, q, zero, v*w.bytes())
		lim, bits := w.vec(), GP32()
		VMOVUPS(Mem{Base: limits, Disp: v * w.bytes()}, lim)
		if w.zmm {
			m := K()
			VCMPPS(Imm(0x11), lim, sum, m) // sum < limit
			KMOVW(m, bits)
		} else {
			m := YMM()
			VCMPPS(Imm(0x11), lim, sum, m)
			VMOVMSKPS(m, bits)
		}
		if v > 0 {
			SHLL(Imm(uint64(v*w.lanes)), bits)
		}
		ORL(bits, out)
	}
	Store(out, ReturnIndex(0))
	VZEROUPPER()
	RET()
}

// lower is farthest for one block of 16 points with ids of their own.
func lower(w width) {
	TEXT("pointlower"+w.name, NOSPLIT|NOFRAME, "func(x, y, z *float32, q *[3]float32, dist *float32, ids *int32) (far float32, id int32)")
	Pragma("noescape")
	Doc(fmt.Sprintf("pointlower%s sets dist of a block of 16 points to the smaller of itself and the squared distance to q, and returns the largest and the smallest id that has it.", w.name))
	p := axes()
	q := w.load(Load(Param("q"), GP64()))
	dist := Load(Param("dist"), GP64())
	ids := Load(Param("ids"), GP64())
	d := make([]reg.VecVirtual, 16/w.lanes)
	for i := range d {
		disp := i * w.bytes()
		d[i] = w.squared(p, disp, q)
		VMINPS(Mem{Base: dist, Disp: disp}, d[i], d[i])
		VMOVUPS(d[i], Mem{Base: dist, Disp: disp})
	}
	top, h := YMM(), YMM()
	if w.zmm {
		VEXTRACTF64X4(Imm(1), d[0], h)
		VMAXPS(h, d[0].AsY(), top)
	} else {
		VMAXPS(d[0], d[1], top)
	}
	VEXTRACTF128(Imm(1), top, h.AsX())
	VMAXPS(h.AsX(), top.AsX(), top.AsX())
	VPERMILPS(Imm(0x4e), top.AsX(), h.AsX())
	VMAXPS(h.AsX(), top.AsX(), top.AsX())
	VPERMILPS(Imm(0xb1), top.AsX(), h.AsX())
	VMAXPS(h.AsX(), top.AsX(), top.AsX())
	isa.ReturnFloat(top.AsX(), 0)
	all := w.vec()
	VBROADCASTSS(top.AsX(), all)
	least := YMM()
	if w.zmm {
		m := K()
		VCMPPS(Imm(0), all, d[0], m)
		v := ZMM()
		VPTERNLOGD(Imm(255), v, v, v)
		VPSRLD(Imm(1), v, v) // the largest int32
		VMOVDQU32(Mem{Base: ids}, m, v)
		VEXTRACTF64X4(Imm(1), v, h)
		VPMINSD(h, v.AsY(), least)
	} else {
		most := YMM()
		VPCMPEQD(most, most, most)
		VPSRLD(Imm(1), most, most)
		for i := range d {
			m, v := YMM(), YMM()
			VCMPPS(Imm(0), all, d[i], m)
			VBLENDVPS(m, Mem{Base: ids, Disp: i * w.bytes()}, most, v)
			if i == 0 {
				VMOVDQU(v, least)
			} else {
				VPMINSD(v, least, least)
			}
		}
	}
	VEXTRACTF128(Imm(1), least, h.AsX())
	VPMINSD(h.AsX(), least.AsX(), least.AsX())
	VPERMILPS(Imm(0x4e), least.AsX(), h.AsX())
	VPMINSD(h.AsX(), least.AsX(), least.AsX())
	VPERMILPS(Imm(0xb1), least.AsX(), h.AsX())
	VPMINSD(h.AsX(), least.AsX(), least.AsX())
	id := GP32()
	VMOVD(least.AsX(), id)
	Store(id, ReturnIndex(1))
	VZEROUPPER()
	RET()
}
