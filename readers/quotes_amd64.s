//go:build !purego

#include "textflag.h"

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
	VMOVDQU   (SI), Y3
	VMOVDQU   32(SI), Y4
	VPCMPEQB  Y3, Y2, Y5
	VPCMPEQB  Y4, Y2, Y6
	VPMOVMSKB Y5, R8
	VPMOVMSKB Y6, R9
	SHLQ      $32, R9
	ORQ       R9, R8          // quotes
	VPCMPEQB  Y3, Y0, Y5
	VPCMPEQB  Y3, Y1, Y6
	VPOR      Y5, Y6, Y5
	VPMOVMSKB Y5, R10
	VPCMPEQB  Y4, Y0, Y5
	VPCMPEQB  Y4, Y1, Y6
	VPOR      Y5, Y6, Y5
	VPMOVMSKB Y5, R9
	SHLQ      $32, R9
	ORQ       R9, R10         // delimiters and newlines
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
