//go:build avo

package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"

	"posefuse/model/nn/kernel/gen/isa"
)

// fn emits one function around body.
type fn struct {
	isa.Set
	mask reg.Register // of the columns in work, AVX-512 only
	n    int          // labels so far
}

func function(s isa.Set, name, signature, doc string, body func(f *fn)) {
	TEXT(name+s.Name, NOSPLIT, signature)
	Pragma("noescape")
	tail := "; AVX2 wants whole vectors."
	if s.Masked() {
		tail = "."
	}
	Doc(name + s.Name + " " + doc + tail)
	isa.FlushSubnormals()
	f := &fn{Set: s}
	if s.Masked() {
		f.mask = K()
	}
	body(f)
	isa.End()
}

func (f *fn) label(prefix string) string {
	f.n++
	return prefix + string(rune('a'+f.n/26)) + string(rune('a'+f.n%26))
}

// arg loads a parameter into a general register.
func arg(name string) reg.GPVirtual { return Load(Param(name), GP64()).(reg.GPVirtual) }

// broadcast loads a float32 parameter into every lane.
func (f *fn) broadcast(name string) reg.VecVirtual {
	x, v := isa.Float(name), f.Vec()
	VBROADCASTSS(x, v)
	return v
}

// load and store move the columns in work.
func (f *fn) load(m Mem) reg.VecVirtual {
	v := f.Vec()
	f.loadTo(m, v)
	return v
}

func (f *fn) loadTo(m Mem, v Op) {
	if f.Masked() {
		VMOVUPS_Z(m, f.mask, v)
	} else {
		VMOVUPS(m, v)
	}
}

func (f *fn) store(v Op, m Mem) {
	if f.Masked() {
		VMOVUPS(v, f.mask, m)
	} else {
		VMOVUPS(v, m)
	}
}

// columns repeats body for each vector of columns; body must not change c, and
// next is called after each to advance the pointers.
func (f *fn) columns(c reg.GPVirtual, body func(), next ...reg.GPVirtual) {
	loop := f.label("columns")
	Label(loop)
	if f.Masked() {
		w, m := GP64(), GP32()
		limit := GP64()
		MOVQ(c, w)
		MOVQ(U32(uint32(f.Lanes)), limit)
		CMPQ(w, limit)
		CMOVQGT(limit, w)
		MOVL(U32(0xffff), m)
		BZHIL(w.As32(), m, m)
		KMOVW(m, f.mask)
	}
	body()
	for _, p := range next {
		ADDQ(Imm(uint64(f.Bytes())), p)
	}
	SUBQ(Imm(uint64(f.Lanes)), c)
	JG(LabelRef(loop))
}

// rows repeats body count times, at least once.
func (f *fn) rows(count reg.GPVirtual, body func()) {
	n, loop := GP64(), f.label("rows")
	MOVQ(count, n)
	Label(loop)
	body()
	DECQ(n)
	JNZ(LabelRef(loop))
}

func copyOf(r reg.GPVirtual) reg.GPVirtual {
	p := GP64()
	MOVQ(r, p)
	return p
}

// stride returns 4*c.
func stride(c reg.GPVirtual) reg.GPVirtual {
	s := copyOf(c)
	SHLQ(Imm(2), s)
	return s
}

// positive clears the lanes of d where z is not above zero.
func (f *fn) positive(z, zero, d reg.VecVirtual) {
	if f.Masked() {
		k := K()
		VCMPPS(Imm(0x1e), zero, z, k) // z > zero, quiet
		VMOVAPS_Z(d, k, d)
		return
	}
	m := f.Vec()
	VCMPPS(Imm(0x1e), zero, z, m)
	VANDPS(m, d, d)
}

// pairs repeats body count times, at least once, alternating odd.
func (f *fn) pairs(count reg.GPVirtual, body func(odd bool)) {
	n, loop, last, end := GP64(), f.label("pairs"), f.label("single"), f.label("done")
	MOVQ(count, n)
	SUBQ(Imm(2), n)
	JL(LabelRef(last))
	Label(loop)
	body(false)
	body(true)
	SUBQ(Imm(2), n)
	JGE(LabelRef(loop))
	Label(last)
	ADDQ(Imm(2), n)
	JZ(LabelRef(end))
	body(false)
	Label(end)
}

// either runs yes if r is not 0, else no.
func (f *fn) either(r reg.GPVirtual, yes, no func()) {
	other, end := f.label("else"), f.label("end")
	TESTQ(r, r)
	JZ(LabelRef(other))
	yes()
	JMP(LabelRef(end))
	Label(other)
	no()
	Label(end)
}

// low returns the lower bound of results: zero if the parameter is not 0, else
// minus infinity.
func (f *fn) low(param string) reg.VecVirtual {
	low := f.Vec()
	f.Zero(low)
	r := arg(param)
	skip := f.label("low")
	TESTQ(r, r)
	JNZ(LabelRef(skip))
	b := GP32()
	MOVL(U32(0xff800000), b)
	x := XMM()
	VMOVD(b, x)
	VBROADCASTSS(x, low)
	Label(skip)
	return low
}
