package isa

import (
	"encoding/binary"
	"fmt"
)

// Code is one instruction that neither avo nor Go's assembler knows: its bytes,
// and what it is in Intel's order of operands.
type Code struct {
	Text  string
	Bytes []byte
}

// GP is a general-purpose register by the number it has in an instruction: RAX,
// RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8 to R15.
type GP int

var gpNames = [16]string{"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"}

// rsp, as the index of an address, means none.
const rsp GP = 4

// The tile instructions of AMX. A tile is one of eight registers, 0 to 7, of up
// to 16 rows of 64 bytes; what LDTILECFG reads gives each its size. An address is
// base + disp, with rows stride bytes apart, which lie in a register.

// LDTILECFG sets the tiles' sizes to the 64 bytes at base and clears the tiles.
func LDTILECFG(base GP) Code {
	return Code{fmt.Sprintf("ldtilecfg [%s]", gpNames[base]), vexMemory(0, 0x49, 0, base, rsp, 0)}
}

// TILERELEASE gives the tiles back: the system need not save them.
func TILERELEASE() Code { return Code{"tilerelease", vexTiles(0, 0x49, 0, 0, 0)} }

// TILEZERO clears a tile.
func TILEZERO(tile int) Code {
	return Code{fmt.Sprintf("tilezero tmm%d", tile), vexTiles(0xf2, 0x49, tile, 0, 0)}
}

// TILELOADD fills a tile with the rows at base + disp.
func TILELOADD(tile int, base, stride GP, disp int) Code {
	return Code{fmt.Sprintf("tileloadd tmm%d, %s", tile, tileAddress(base, stride, disp)), vexMemory(0xf2, 0x4b, tile, base, stride, disp)}
}

// TILESTORED writes a tile to the rows at base + disp.
func TILESTORED(base, stride GP, disp, tile int) Code {
	return Code{fmt.Sprintf("tilestored %s, tmm%d", tileAddress(base, stride, disp), tile), vexMemory(0xf3, 0x4b, tile, base, stride, disp)}
}

// TDPBUSD adds to each int32 of dst the products of a row of a, unsigned bytes,
// and a column of b, signed bytes, whose rows hold four of a column together.
func TDPBUSD(dst, a, b int) Code {
	return Code{fmt.Sprintf("tdpbusd tmm%d, tmm%d, tmm%d", dst, a, b), vexTiles(0x66, 0x5e, dst, a, b)}
}

// TDPBF16PS is TDPBUSD for bfloat16 numbers, two of a column together, summed in
// float32.
func TDPBF16PS(dst, a, b int) Code {
	return Code{fmt.Sprintf("tdpbf16ps tmm%d, tmm%d, tmm%d", dst, a, b), vexTiles(0xf3, 0x5c, dst, a, b)}
}

func tileAddress(base, stride GP, disp int) string {
	s := "[" + gpNames[base] + "+1*" + gpNames[stride]
	if disp != 0 {
		s += fmt.Sprintf("%+d", disp)
	}
	return s + "]"
}

// vexTiles returns VEX.128.prefix.0F38.W0 opcode on tiles: reg and rm in the byte
// ModRM, v in the field vvvv.
func vexTiles(prefix, opcode byte, reg, rm, v int) []byte {
	return append(vex38(prefix, 0, 0, v), opcode, 3<<6|byte(reg)<<3|byte(rm))
}

// vexMemory returns the same with the operand base + index + disp.
func vexMemory(prefix, opcode byte, reg int, base, index GP, disp int) []byte {
	const sib = 4
	code := append(vex38(prefix, base, index, 0), opcode)
	modRM, end := byte(reg)<<3|sib, []byte{byte(index&7)<<3 | byte(base&7)}
	if index == rsp && base&7 != rsp {
		modRM, end = byte(reg)<<3|byte(base&7), nil
	}
	switch {
	case disp == 0 && base&7 != 5: // RBP and R13 have no form without a displacement
	case disp == int(int8(disp)):
		modRM, end = modRM|1<<6, append(end, byte(disp))
	case disp == int(int32(disp)):
		modRM, end = modRM|2<<6, binary.LittleEndian.AppendUint32(end, uint32(disp))
	default:
		panic(fmt.Sprintf("isa: displacement %d does not fit an instruction", disp))
	}
	return append(append(code, modRM), end...)
}

// vex38 returns the three bytes before the opcode of an instruction of the map
// 0F38.
func vex38(prefix byte, base, index GP, v int) []byte {
	pp := map[byte]byte{0: 0, 0x66: 1, 0xf3: 2, 0xf2: 3}[prefix]
	return []byte{0xc4, 1<<7 | byte(1-index>>3)<<6 | byte(1-base>>3)<<5 | 2, byte(15-v)<<3 | pp}
}
