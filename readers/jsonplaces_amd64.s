//go:build !purego

#include "textflag.h"

#define BYTES(value, x, y) \
	MOVL         $value, AX \
	VMOVD        AX, x      \
	VPBROADCASTB x, y

// MASK2 makes one word of the lanes of two vectors.
#define MASK2(a, b, to) \
	VPMOVMSKB a, to  \
	VPMOVMSKB b, R15 \
	SHLQ      $32, R15 \
	ORQ       R15, to

// EQUAL2 compares both vectors of bytes with y.
#define EQUAL2(y, a, b) \
	VPCMPEQB Y0, y, a \
	VPCMPEQB Y1, y, b

// func findNestedMasksAVX2(out *nestedMasks, buf *byte, from, n int)
//
// DI: where the next eight masks go. SI: the bytes. CX: how many are left.
TEXT ·findNestedMasksAVX2(SB), NOSPLIT, $0-32
	MOVQ out+0(FP), DI
	MOVQ buf+8(FP), SI
	ADDQ from+16(FP), SI
	MOVQ n+24(FP), CX
	BYTES(0x20, X6, Y6)   // the bit between [ and {
	BYTES(0x3a, X7, Y7)   // a colon
	BYTES(0x22, X8, Y8)   // a quote
	BYTES(0x5c, X9, Y9)   // a backslash
	BYTES(0x1f, X10, Y10) // the greatest control
	BYTES(0x0a, X11, Y11)
	BYTES(0x0d, X12, Y12)
	BYTES(0x2c, X13, Y13) // a comma
	BYTES(0x7b, X14, Y14) // an opening brace
	BYTES(0x7d, X15, Y15) // a closing brace

block:
	VMOVDQU (SI), Y0
	VMOVDQU 32(SI), Y1

	EQUAL2(Y8, Y2, Y3)
	MASK2(Y2, Y3, R8)   // quotes
	EQUAL2(Y9, Y2, Y3)
	MASK2(Y2, Y3, DX)   // backslashes
	EQUAL2(Y13, Y2, Y3)
	EQUAL2(Y7, Y4, Y5)
	VPOR    Y2, Y4, Y2
	VPOR    Y3, Y5, Y3
	MASK2(Y2, Y3, R12)  // separators
	EQUAL2(Y11, Y2, Y3)
	MASK2(Y2, Y3, R11)  // newlines
	EQUAL2(Y12, Y4, Y5)
	VPOR    Y2, Y4, Y2
	VPOR    Y3, Y5, Y3
	MASK2(Y2, Y3, R10)  // breaks
	VPMINUB Y0, Y10, Y4
	VPMINUB Y1, Y10, Y5
	VPCMPEQB Y0, Y4, Y4 // controls
	VPCMPEQB Y1, Y5, Y5
	VPANDN  Y4, Y2, Y4
	VPANDN  Y5, Y3, Y5
	MASK2(Y4, Y5, R9)   // never
	VPOR    Y0, Y6, Y0
	VPOR    Y1, Y6, Y1
	EQUAL2(Y14, Y2, Y3)
	MASK2(Y2, Y3, R13)  // opening brackets
	EQUAL2(Y15, Y2, Y3)
	MASK2(Y2, Y3, BX)   // closing brackets

	CMPQ CX, $64
	JLT  last

store:
	MOVQ R8, (DI)
	MOVQ R9, 8(DI)
	MOVQ R10, 16(DI)
	MOVQ R11, 24(DI)
	MOVQ R12, 32(DI)
	MOVQ R13, 40(DI)
	MOVQ BX, 48(DI)
	MOVQ DX, 56(DI)
	ADDQ $64, DI
	ADDQ $64, SI
	SUBQ $64, CX
	JGT  block
	VZEROUPPER
	RET

last:
	BZHIQ CX, R8, R8 // what comes after the end does not count
	BZHIQ CX, R9, R9
	BZHIQ CX, R10, R10
	BZHIQ CX, R11, R11
	BZHIQ CX, R12, R12
	BZHIQ CX, R13, R13
	BZHIQ CX, BX, BX
	BZHIQ CX, DX, DX
	JMP   store
