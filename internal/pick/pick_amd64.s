//go:build !purego

#include "textflag.h"

// func compress512(to, from, mask *uint64, blocks int) (n int)
//
// compress512 compresses words in a register and stores the whole register, because compressing
// into memory is microcoded on Zen 4. The accesses are in bounds: after b blocks at most 8*b of the
// stored words count, so the next eight end at 8*(b+1) at most, and to has room for 8*blocks. mask
// has a bit for each word.
TEXT ·compress512(SB), NOSPLIT, $0-40
	MOVQ to+0(FP), DI
	MOVQ from+8(FP), SI
	MOVQ mask+16(FP), DX
	MOVQ blocks+24(FP), CX
	XORQ R8, R8

eight:
	MOVBLZX     (DX), AX
	KMOVB       AX, K1
	VMOVDQU64   (SI), Z0
	VPCOMPRESSQ Z0, K1, Z1
	VMOVDQU64   Z1, (DI)(R8*8)
	POPCNTL     AX, AX
	ADDQ        AX, R8
	ADDQ        $64, SI
	INCQ        DX
	DECQ        CX
	JNZ         eight
	VZEROUPPER
	MOVQ R8, n+32(FP)
	RET

// func extractBMI2(word, mask uint64) uint64
TEXT ·extractBMI2(SB), NOSPLIT, $0-24
	MOVQ  word+0(FP), AX
	MOVQ  mask+8(FP), BX
	PEXTQ BX, AX, AX
	MOVQ  AX, ret+16(FP)
	RET
