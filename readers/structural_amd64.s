//go:build !purego

#include "textflag.h"

// PLACE writes the place of the lowest bit of the mask R8 to out[i] and clears the bit. Without a bit it writes what is
// overwritten later.
#define PLACE(i) \
	TZCNTQ R8, R10       \
	ADDL   DX, R10       \
	MOVL   R10, (i*4)(DI) \
	BLSRQ  R8, R8

// EIGHT writes eight places.
#define EIGHT \
	PLACE(0) \
	PLACE(1) \
	PLACE(2) \
	PLACE(3) \
	PLACE(4) \
	PLACE(5) \
	PLACE(6) \
	PLACE(7)

// func findStructuralsAVX2(out *uint32, buf *byte, from, n int, delimiter byte) (found int)
//
// DI: where the next place goes. SI: the bytes. DX: their place. CX: how many are left. R8: bit i is set if byte i of the 64 at hand
// is structural. The branches depend on how many are, in steps of eight, not on where they are.
TEXT ·findStructuralsAVX2(SB), NOSPLIT, $0-48
	MOVQ         out+0(FP), DI
	MOVQ         DI, R12
	MOVQ         buf+8(FP), SI
	MOVQ         from+16(FP), DX
	MOVQ         n+24(FP), CX
	ADDQ         DX, SI
	VPBROADCASTB delimiter+32(FP), Y0
	MOVL         $0x0a0a0a0a, AX
	VMOVD        AX, X1
	VPBROADCASTD X1, Y1
	TESTQ        CX, CX
	JLE          done

block:
	VMOVDQU   (SI), Y2
	VMOVDQU   32(SI), Y3
	VPCMPEQB  Y2, Y0, Y4
	VPCMPEQB  Y2, Y1, Y5
	VPCMPEQB  Y3, Y0, Y6
	VPCMPEQB  Y3, Y1, Y7
	VPOR      Y4, Y5, Y4
	VPOR      Y6, Y7, Y6
	VPMOVMSKB Y4, R8
	VPMOVMSKB Y6, R9
	SHLQ      $32, R9
	ORQ       R9, R8
	CMPQ      CX, $64
	JLT       last

flatten:
	POPCNTQ R8, R11
	LEAQ    (DI)(R11*4), R13
	EIGHT
	CMPQ    R11, $8
	JGT     dense

next:
	MOVQ R13, DI
	ADDQ $64, SI
	ADDQ $64, DX
	SUBQ $64, CX
	JGT  block

done:
	SUBQ R12, DI
	SHRQ $2, DI
	MOVQ DI, found+40(FP)
	VZEROUPPER
	RET

last:
	BZHIQ CX, R8, R8 // what is behind the end does not count
	JMP   flatten

dense:
	ADDQ $32, DI
	EIGHT
	SUBQ $8, R11
	CMPQ R11, $8
	JGT  dense
	JMP  next
