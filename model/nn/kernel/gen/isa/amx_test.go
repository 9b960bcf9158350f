package isa

import (
	"fmt"
	"testing"
)

// The bytes are those of GNU as 2.40.
func TestTileEncodingsAreTheAssemblers(t *testing.T) {
	const rax, rcx, rdx, rbx, rbp, rsi, rdi, r8, r9, r12, r13, r14, r15 GP = 0, 1, 2, 3, 5, 6, 7, 8, 9, 12, 13, 14, 15
	for _, c := range []struct {
		code        Code
		text, bytes string
	}{
		{LDTILECFG(rax), "ldtilecfg [rax]", "c4 e2 78 49 00"},
		{LDTILECFG(r13), "ldtilecfg [r13]", "c4 c2 78 49 45 00"},
		{LDTILECFG(r12), "ldtilecfg [r12]", "c4 c2 78 49 04 24"},
		{TILERELEASE(), "tilerelease", "c4 e2 78 49 c0"},
		{TILEZERO(0), "tilezero tmm0", "c4 e2 7b 49 c0"},
		{TILEZERO(7), "tilezero tmm7", "c4 e2 7b 49 f8"},
		{TILELOADD(1, rdi, rsi, 0), "tileloadd tmm1, [rdi+1*rsi]", "c4 e2 7b 4b 0c 37"},
		{TILELOADD(7, r13, r9, 0), "tileloadd tmm7, [r13+1*r9]", "c4 82 7b 4b 7c 0d 00"},
		{TILELOADD(3, rbp, rax, -128), "tileloadd tmm3, [rbp+1*rax-128]", "c4 e2 7b 4b 5c 05 80"},
		{TILELOADD(4, r12, r12, 128), "tileloadd tmm4, [r12+1*r12+128]", "c4 82 7b 4b a4 24 80 00 00 00"},
		{TILELOADD(6, r15, rcx, 65536), "tileloadd tmm6, [r15+1*rcx+65536]", "c4 c2 7b 4b b4 0f 00 00 01 00"},
		{TILESTORED(r8, rbx, 0, 2), "tilestored [r8+1*rbx], tmm2", "c4 c2 7a 4b 14 18"},
		{TILESTORED(rdx, r14, 64, 5), "tilestored [rdx+1*r14+64], tmm5", "c4 a2 7a 4b 6c 32 40"},
		{TDPBUSD(0, 4, 6), "tdpbusd tmm0, tmm4, tmm6", "c4 e2 49 5e c4"},
		{TDPBUSD(7, 1, 2), "tdpbusd tmm7, tmm1, tmm2", "c4 e2 69 5e f9"},
		{TDPBF16PS(3, 5, 7), "tdpbf16ps tmm3, tmm5, tmm7", "c4 e2 42 5c dd"},
	} {
		if got := fmt.Sprintf("% x", c.code.Bytes); got != c.bytes || c.code.Text != c.text {
			t.Errorf("%s is %s, want %s, %s", c.code.Text, got, c.text, c.bytes)
		}
	}
}
