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

DATA places<>+0(SB)/8, $0x0706050403020100
DATA places<>+8(SB)/8, $0x0f0e0d0c0b0a0908
DATA places<>+16(SB)/8, $0x1716151413121110
DATA places<>+24(SB)/8, $0x1f1e1d1c1b1a1918
DATA places<>+32(SB)/8, $0x2726252423222120
DATA places<>+40(SB)/8, $0x2f2e2d2c2b2a2928
DATA places<>+48(SB)/8, $0x3736353433323130
DATA places<>+56(SB)/8, $0x3f3e3d3c3b3a3938
GLOBL places<>(SB), RODATA|NOPTR, $64

// SIXTEEN writes the places that X4 has in bytes to out[i*16].
#define SIXTEEN(i) \
	VPMOVZXBD X4, Z6         \
	VPADDD    Z5, Z6, Z6     \
	VMOVDQU32 Z6, (i*64)(DI)

// func findStructurals512(out *uint32, buf *byte, from, n int, delimiter byte) (found int)
//
// The same, with the places of 64 bytes compressed in a register: the only branch is taken where more than 16 of the 64 are structural.
// DI: where the next place goes. SI: the bytes. DX: their place. CX: how many are left.
TEXT ·findStructurals512(SB), NOSPLIT, $0-48
	MOVQ         out+0(FP), DI
	MOVQ         DI, R12
	MOVQ         buf+8(FP), SI
	MOVQ         from+16(FP), DX
	MOVQ         n+24(FP), CX
	ADDQ         DX, SI
	VPBROADCASTB delimiter+32(FP), Z0
	MOVL         $0x0a0a0a0a, AX
	VPBROADCASTD AX, Z1
	VMOVDQU64    places<>(SB), Z2
	VPBROADCASTD DX, Z5
	MOVL         $64, AX
	VPBROADCASTD AX, Z7
	TESTQ        CX, CX
	JLE          done

block:
	VMOVDQU64 (SI), Z3
	VPCMPEQB  Z3, Z0, K1
	VPCMPEQB  Z3, Z1, K2
	KORQ      K1, K2, K1
	KMOVQ     K1, R8
	CMPQ      CX, $64
	JLT       last

flatten:
	POPCNTQ       R8, R11
	VPCOMPRESSB.Z Z2, K1, Z4
	SIXTEEN(0)
	CMPQ          R11, $16
	JGT           dense

next:
	LEAQ   (DI)(R11*4), DI
	VPADDD Z7, Z5, Z5
	ADDQ   $64, SI
	SUBQ   $64, CX
	JGT    block

done:
	SUBQ R12, DI
	SHRQ $2, DI
	MOVQ DI, found+40(FP)
	VZEROUPPER
	RET

last:
	BZHIQ CX, R8, R8 // what is behind the end does not count
	KMOVQ R8, K1
	JMP   flatten

dense:
	VMOVDQA64     Z4, Z8
	VEXTRACTI32X4 $1, Z8, X4
	SIXTEEN(1)
	VEXTRACTI32X4 $2, Z8, X4
	SIXTEEN(2)
	VEXTRACTI32X4 $3, Z8, X4
	SIXTEEN(3)
	JMP           next
