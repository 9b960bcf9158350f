// Command neon writes the arm64 micro-kernels of package kernel. avo writes
// amd64 only, so this emits Go assembly itself. Run it with go generate in
// model/nn/kernel.
package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
)

func main() {
	out := flag.String("out", "", "file for the assembly")
	stubs := flag.String("stubs", "", "file for the Go declarations")
	pkg := flag.String("pkg", "kernel", "package of the declarations")
	flag.Parse()
	f := generate("go run ./gen/neon " + strings.Join(os.Args[1:], " "))
	for name, content := range map[string][]byte{*out: f.assembly(), *stubs: f.declarations(*pkg)} {
		if err := os.WriteFile(name, content, 0o644); err != nil {
			fmt.Fprintln(os.Stderr, "neon:", err)
			os.Exit(1)
		}
	}
}

func generate(command string) *file {
	f := &file{command: command}
	microKernel(f, "microneonx2", 2)
	microKernel(f, "microneonx1", 1)
	axpy(f)
	adam(f)
	winogradInput(f)
	winogradGradient(f)
	winogradOutput(f)
	winogradWeights(f)
	winogradFilter(f)
	depthwise(f)
	finishRow(f)
	dotProducts(f)
	matrixProducts(f)
	lowRows(f, "lowRowsInt8neon", true)
	lowRows(f, "lowRowsFloat8neon", false)
	return f
}

// rows is the height of the micro-kernel's tile: twelve rows of two vectors
// keep 24 of the 32 registers accumulating, for five loads of operands.
const rows = 12

// microKernel emits C[rows x nv*4] = A*B (acc 0) or C += A*B (acc 1), where A
// is packed k x rows and B is packed k x nv*4; ldc is in elements.
func microKernel(f *file, name string, nv int) {
	fn := f.function(name, fmt.Sprintf("%s multiplies a packed k x %d panel by a packed k x %d panel.", name, rows, 4*nv),
		"k int, a *float32, b *float32, c *float32, ldc int, acc int")
	k, a, b, c, ldc, acc := fn.load("k"), fn.load("a"), fn.load("b"), fn.load("c"), fn.load("ldc"), fn.load("acc")
	fn.op("LSL $2, %v, %v", ldc, ldc)
	av, bv, sum := fn.vecs(rows/4), fn.vecs(nv), fn.vecs(rows*nv)
	for _, s := range sum {
		fn.zero(s)
	}
	fn.op("CBZ %v, store", k)

	fn.label("loop")
	fn.ld1p(a, av...)
	fn.ld1p(b, bv...)
	for i := range rows {
		for j := range nv {
			fn.fmlaLane(sum[i*nv+j], bv[j], av[i/4], i%4)
		}
	}
	fn.op("SUBS $1, %v, %v", k, k)
	fn.op("BNE loop")

	fn.label("store")
	fn.op("CBZ %v, overwrite", acc)
	p := fn.gp()
	fn.op("MOVD %v, %v", c, p)
	for i := range rows {
		fn.ld1(p, bv...)
		for j := range nv {
			fn.fadd(sum[i*nv+j], sum[i*nv+j], bv[j])
		}
		fn.op("ADD %v, %v, %v", ldc, p, p)
	}
	fn.label("overwrite")
	for i := range rows {
		fn.st1(c, sum[i*nv:(i+1)*nv]...)
		fn.op("ADD %v, %v, %v", ldc, c, c)
	}
	fn.op("RET")
}

// axpy emits y += alpha*x for n a multiple of 8.
func axpy(f *file) {
	fn := f.function("axpyneon", "axpyneon adds alpha*x to y; n is a positive multiple of 8.", "n int, alpha float32, x *float32, y *float32")
	n, alpha, x, y := fn.load("n"), fn.loadFloat("alpha"), fn.load("x"), fn.load("y")
	xv, yv := fn.vecs(2), fn.vecs(2)
	fn.label("loop")
	fn.ld1p(x, xv...)
	fn.ld1(y, yv...)
	for i := range xv {
		fn.fmla(yv[i], xv[i], alpha)
	}
	fn.st1p(y, yv...)
	fn.op("SUBS $8, %v, %v", n, n)
	fn.op("BNE loop")
	fn.op("RET")
}

// adam emits one Adam step with coupled weight decay for n a multiple of 8,
// four elements a turn.
func adam(f *file) {
	fn := f.function("adamneon", "adamneon updates w, m, v from grad; c = decay, beta1, 1-beta1, beta2, 1-beta2, lr/bias1, 1/sqrt(bias2), eps; n is a positive multiple of 8.",
		"n int, w *float32, grad *float32, m *float32, v *float32, c *[8]float32")
	n, w, g, m, v, c := fn.load("n"), fn.load("w"), fn.load("grad"), fn.load("m"), fn.load("v"), fn.load("c")
	consts := fn.vecs(8)
	for _, k := range consts {
		fn.op("VLD1R.P 4(%v), [%s]", c, k.s4())
	}
	wv, gv, mv, vv, t := fn.vec(), fn.vec(), fn.vec(), fn.vec(), fn.vec()
	fn.label("loop")
	fn.ld1(w, wv)
	fn.ld1p(g, gv)
	fn.ld1(m, mv)
	fn.ld1(v, vv)
	fn.fmla(gv, wv, consts[0]) // g += decay*w
	fn.fmul(mv, mv, consts[1])
	fn.fmla(mv, gv, consts[2])
	fn.st1p(m, mv)
	fn.fmul(t, gv, gv)
	fn.fmul(vv, vv, consts[3])
	fn.fmla(vv, t, consts[4])
	fn.st1p(v, vv)
	fn.fsqrt(vv, vv)
	fn.fmul(vv, vv, consts[6])
	fn.fadd(vv, vv, consts[7])
	fn.fmul(mv, mv, consts[5])
	fn.fdiv(mv, mv, vv)
	fn.fsub(wv, wv, mv)
	fn.st1p(w, wv)
	fn.op("SUBS $4, %v, %v", n, n)
	fn.op("BNE loop")
	fn.op("RET")
}
