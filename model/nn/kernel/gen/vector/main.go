// Command gen writes the amd64 vector primitives of package kernel. Run it with
// go generate in model/nn/kernel.
//
//go:build avo

package main

import (
	. "github.com/mmcloughlin/avo/build"

	"posefuse/model/nn/kernel/gen/isa"
)

func main() {
	ConstraintExpr("amd64")
	constants()
	axpy()
	adam()
	for _, s := range isa.All {
		batchNorm(s)
		elementwise(s)
		exponentials(s)
		rowwise(s)
		neighbours(s)
		depthwise(s)
	}
	Generate()
}
