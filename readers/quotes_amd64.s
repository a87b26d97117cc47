//go:build !purego

#include "textflag.h"
#include "go_asm.h"

// FINDQUOTES sets the bits of R8 for the quotes among the 64 bytes at SI, and those of R10 for delimiters and
// newlines.
#define FINDQUOTES \
	VMOVDQU   (SI), Y3 \
	VMOVDQU   32(SI), Y4 \
	VPCMPEQB  Y3, Y2, Y5 \
	VPCMPEQB  Y4, Y2, Y6 \
	VPMOVMSKB Y5, R8 \
	VPMOVMSKB Y6, R9 \
	SHLQ      $32, R9 \
	ORQ       R9, R8 \
	VPCMPEQB  Y3, Y0, Y5 \
	VPCMPEQB  Y3, Y1, Y6 \
	VPOR      Y5, Y6, Y5 \
	VPMOVMSKB Y5, R10 \
	VPCMPEQB  Y4, Y0, Y5 \
	VPCMPEQB  Y4, Y1, Y6 \
	VPOR      Y5, Y6, Y5 \
	VPMOVMSKB Y5, R9 \
	SHLQ      $32, R9 \
	ORQ       R9, R10

// func findQuotesAVX2(out *quoteMasks, buf *byte, from, n int, delimiter, quote byte)
//
// DI: where the next two masks go. SI: the bytes. CX: how many are left.
TEXT ·findQuotesAVX2(SB), NOSPLIT, $0-34
	MOVQ         out+0(FP), DI
	MOVQ         buf+8(FP), SI
	ADDQ         from+16(FP), SI
	MOVQ         n+24(FP), CX
	VPBROADCASTB delimiter+32(FP), Y0
	MOVL         $0x0a0a0a0a, AX
	VMOVD        AX, X1
	VPBROADCASTD X1, Y1
	VPBROADCASTB quote+33(FP), Y2

block:
	FINDQUOTES
	CMPQ      CX, $64
	JLT       last

store:
	MOVQ R8, (DI)
	MOVQ R10, 8(DI)
	ADDQ $16, DI
	ADDQ $64, SI
	SUBQ $64, CX
	JGT  block
	VZEROUPPER
	RET

last:
	BZHIQ CX, R8, R8 // what is behind the end does not count
	BZHIQ CX, R10, R10
	JMP   store

// func stepQuotesAVX2(words *uint64, buf *byte, from, n int, delimiter, quote byte, c *quoteCarry) (done int)
//
// DI: where the next word goes. SI: the bytes. CX: how many times 64 are left. R11, R12, R13: inside, first and
// second, as quoteCarry has them. The rest is step.
TEXT ·stepQuotesAVX2(SB), NOSPLIT, $0-56
	MOVQ         words+0(FP), DI
	MOVQ         buf+8(FP), SI
	ADDQ         from+16(FP), SI
	MOVQ         n+24(FP), CX
	VPBROADCASTB delimiter+32(FP), Y0
	MOVL         $0x0a0a0a0a, AX
	VMOVD        AX, X1
	VPBROADCASTD X1, Y1
	VPBROADCASTB quote+33(FP), Y2
	VPCMPEQD     X7, X7, X7
	MOVQ         c+40(FP), BX
	MOVQ         quoteCarry_inside(BX), R11
	MOVQ         quoteCarry_first(BX), R12
	MOVQ         quoteCarry_second(BX), R13

block:
	FINDQUOTES
	VMOVQ      R8, X3
	VPCLMULQDQ $0, X7, X3, X3
	VMOVQ      X3, AX
	XORQ       R11, AX         // AX: inside
	MOVQ       R8, DX
	ANDQ       AX, DX          // DX: opening
	MOVQ       R8, R9
	ORQ        R10, R9
	LEAQ       (R12)(R9*2), R15
	ANDNQ      DX, R15, R15
	JNZ        stop            // one of them is stray
	LEAQ       (R13)(R8*2), R15
	TESTQ      DX, R15
	JNZ        doubled

next:
	ANDNQ R10, AX, R10
	MOVQ  R10, (DI)
	MOVQ  AX, R11
	SARQ  $63, R11
	ANDNQ R9, AX, R12
	SHRQ  $63, R12
	ANDNQ R8, AX, R13
	SHRQ  $63, R13
	ADDQ  $8, DI
	ADDQ  $64, SI
	DECQ  CX
	JNZ   block

stop:
	MOVQ R11, quoteCarry_inside(BX)
	MOVQ R12, quoteCarry_first(BX)
	MOVQ R13, quoteCarry_second(BX)
	MOVQ n+24(FP), AX
	SUBQ CX, AX
	MOVQ AX, done+48(FP)
	VZEROUPPER
	RET

doubled:
	MOVQ SI, R15
	SUBQ buf+8(FP), R15
	SUBQ from+16(FP), R15
	ADDQ $64, R15
	MOVQ R15, quoteCarry_odd(BX)
	JMP  next
