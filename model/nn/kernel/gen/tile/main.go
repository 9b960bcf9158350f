// Command gen writes the amd64 matrix-multiply kernels of package kernel that
// read their operands where they lie. Run it with go generate in
// model/nn/kernel.
//
//go:build avo

package main

import . "github.com/mmcloughlin/avo/build"

func main() {
	ConstraintExpr("amd64")
	tiles()
	transpose8()
	copyRows()
	Generate()
}
