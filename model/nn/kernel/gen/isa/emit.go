//go:build avo

package isa

import (
	"encoding/binary"

	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/ir"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Number returns the register's number.
func Number(r reg.GPPhysical) GP { return GP(r.PhysicalIndex()) }

// Emit writes an instruction that avo does not know. avo sees none of the
// registers that it uses, so they must be physical ones.
func Emit(c Code) {
	Comment(c.Text)
	put := func(op string, v Op) { Instruction(&ir.Instruction{Opcode: op, Operands: []Op{v}}) }
	b := c.Bytes
	for ; len(b) >= 4; b = b[4:] {
		put("LONG", U32(binary.LittleEndian.Uint32(b)))
	}
	for _, v := range b {
		put("BYTE", U8(v))
	}
}
