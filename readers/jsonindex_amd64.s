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

// func findJSONMasksAVX2(out *jsonMasks, buf *byte, from, n int)
//
// DI: where the next six masks go. SI: the bytes. CX: how many are left.
TEXT ·findJSONMasksAVX2(SB), NOSPLIT, $0-32
	MOVQ out+0(FP), DI
	MOVQ buf+8(FP), SI
	ADDQ from+16(FP), SI
	MOVQ n+24(FP), CX
	BYTES(0x22, X8, Y8)   // a quote
	BYTES(0x5c, X9, Y9)   // a backslash
	BYTES(0x1f, X10, Y10) // the greatest control
	BYTES(0x0a, X11, Y11)
	BYTES(0x0d, X12, Y12)
	BYTES(0x2c, X13, Y13) // a comma
	BYTES(0x7d, X14, Y14) // a brace
	BYTES(0x3a, X15, Y15) // a colon

block:
	VMOVDQU (SI), Y0
	VMOVDQU 32(SI), Y1

	EQUAL2(Y8, Y2, Y3)
	MASK2(Y2, Y3, R8)   // quotes
	EQUAL2(Y15, Y2, Y3)
	MASK2(Y2, Y3, R13)  // colons
	EQUAL2(Y13, Y2, Y3)
	EQUAL2(Y14, Y4, Y5)
	VPOR    Y2, Y4, Y2
	VPOR    Y3, Y5, Y3
	MASK2(Y2, Y3, R12)  // ends
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
	EQUAL2(Y9, Y2, Y3)
	VPOR    Y2, Y4, Y2
	VPOR    Y3, Y5, Y3
	MASK2(Y2, Y3, R9)   // never

	CMPQ CX, $64
	JLT  last

store:
	MOVQ R8, (DI)
	MOVQ R9, 8(DI)
	MOVQ R10, 16(DI)
	MOVQ R11, 24(DI)
	MOVQ R12, 32(DI)
	MOVQ R13, 40(DI)
	ADDQ $48, DI
	ADDQ $64, SI
	SUBQ $64, CX
	JGT  block
	VZEROUPPER
	RET

last:
	BZHIQ CX, R8, R8 // what is behind the end does not count
	BZHIQ CX, R9, R9
	BZHIQ CX, R10, R10
	BZHIQ CX, R11, R11
	BZHIQ CX, R12, R12
	BZHIQ CX, R13, R13
	JMP   store

#define BYTES512(value, z) \
	MOVL         $value, AX \
	VPBROADCASTB AX, z

// MASK512 has a bit for each byte of Z0 that is that of z.
#define MASK512(z, to) \
	VPCMPEQB Z0, z, K1 \
	KMOVQ    K1, to

// SIXTEEN writes the places that X4 has in bytes to out[i*16].
#define SIXTEEN(i) \
	VPMOVZXBD X4, Z6         \
	VPADDD    Z5, Z6, Z6     \
	VMOVDQU32 Z6, (i*64)(DI)

// func findJSON512(out *uint32, buf *byte, from, n int, state *jsonState) (found, scanned int)
//
// DI: where the next place goes. SI: the bytes. CX: how many are left. R8, R9, R10: the state, as jsonState has it. The rest is jsonStep.
TEXT ·findJSON512(SB), NOSPLIT, $0-56
	MOVQ  out+0(FP), DI
	MOVQ  buf+8(FP), SI
	MOVQ  from+16(FP), DX
	MOVQ  n+24(FP), CX
	MOVQ  state+32(FP), AX
	MOVQ  0(AX), R8
	MOVQ  8(AX), R9
	MOVQ  16(AX), R10
	ADDQ  DX, SI
	BYTES512(0x22, Z8)  // a quote
	BYTES512(0x5c, Z9)  // a backslash
	BYTES512(0x20, Z10) // the least that is no control
	BYTES512(0x0a, Z11)
	BYTES512(0x0d, Z12)
	BYTES512(0x2c, Z13) // a comma
	BYTES512(0x7d, Z14) // a brace
	BYTES512(0x3a, Z15) // a colon
	VPCMPEQD     X1, X1, X1
	VMOVDQU64    jsonPlaces<>(SB), Z2
	VPBROADCASTD DX, Z5
	MOVL         $64, AX
	VPBROADCASTD AX, Z7

block:
	VMOVDQU64 (SI), Z0
	CMPQ      CX, $64
	JGE       whole
	MOVQ      $-1, AX
	BZHIQ     CX, AX, AX
	KMOVQ     AX, K2
	VPBLENDMB Z0, Z10, K2, Z0 // what is behind the end is spaces

whole:
	MASK512(Z8, R11)            // quotes
	VMOVQ      R11, X3
	VPCLMULQDQ $0, X1, X3, X3
	VMOVQ      X3, R12
	XORQ       R8, R12          // R12: inside
	ANDNQ      R11, R12, R11    // R11: closing

	VPCMPEQB   Z0, Z13, K1
	VPCMPEQB   Z0, Z14, K2
	KORQ       K1, K2, K1
	KMOVQ      K1, R13
	ANDNQ      R13, R12, R13    // R13: ends
	MASK512(Z15, BX)
	ANDNQ      BX, R12, BX      // BX: colons
	MOVQ       BX, AX
	ORQ        R13, AX          // AX: both
	VMOVQ      AX, X3
	VPCLMULQDQ $0, X1, X3, X3
	VMOVQ      X3, R15
	XORQ       R9, R15          // R15: behind a colon

	// DX collects what is odd.
	LEAQ       (R10)(R11*2), DX
	ANDNQ      DX, AX, DX       // a string is not followed by one of both
	MOVQ       R11, R10
	SHRQ       $63, R10
	ANDNQ      BX, R15, BX
	ORQ        BX, DX           // a colon where there was one
	VPCMPEQB   Z0, Z11, K3      // newlines
	KMOVQ      K3, BX
	MOVQ       BX, AX
	ORQ        R13, BX
	ANDQ       R15, BX
	ORQ        BX, DX           // an end where there was no colon
	VPCMPUB    $1, Z10, Z0, K1  // controls
	VPCMPEQB   Z0, Z12, K2
	KORQ       K3, K2, K2       // breaks
	KANDNQ     K1, K2, K1
	VPCMPEQB   Z0, Z9, K4
	KORQ       K4, K1, K1
	KMOVQ      K1, BX
	ORQ        BX, DX           // never
	KMOVQ      K2, BX
	ANDQ       R12, BX
	ORQ        BX, DX           // a break in a string
	ANDNQ      AX, R12, AX
	ORQ        AX, R13          // R13: structural
	MOVQ       R12, R8
	SARQ       $63, R8
	MOVQ       R15, R9
	SARQ       $63, R9
	TESTQ      DX, DX
	JNZ        odd

flatten:
	KMOVQ         R13, K1
	POPCNTQ       R13, R11
	VPCOMPRESSB.Z Z2, K1, Z4
	SIXTEEN(0)
	CMPQ          R11, $16
	JGT           dense

next:
	LEAQ   (DI)(R11*4), DI
	TESTQ  DX, DX
	JNZ    stop
	VPADDD Z7, Z5, Z5
	ADDQ   $64, SI
	SUBQ   $64, CX
	JGT    block

	MOVQ state+32(FP), AX
	MOVQ R8, 0(AX)
	MOVQ R9, 8(AX)
	MOVQ R10, 16(AX)
	MOVQ n+24(FP), AX
	MOVQ AX, scanned+48(FP)

done:
	SUBQ out+0(FP), DI
	SHRQ $2, DI
	MOVQ DI, found+40(FP)
	VZEROUPPER
	RET

odd:
	// Only what is before the first odd byte counts.
	BLSMSKQ DX, AX
	SHRQ    $1, AX
	ANDQ    AX, R13
	JMP     flatten

stop:
	TZCNTQ DX, AX
	ADDQ   n+24(FP), AX
	SUBQ   CX, AX
	MOVQ   AX, scanned+48(FP)
	JMP    done

dense:
	VMOVDQA64     Z4, Z18
	VEXTRACTI32X4 $1, Z18, X4
	SIXTEEN(1)
	VEXTRACTI32X4 $2, Z18, X4
	SIXTEEN(2)
	VEXTRACTI32X4 $3, Z18, X4
	SIXTEEN(3)
	JMP           next

DATA jsonPlaces<>+0(SB)/8, $0x0706050403020100
DATA jsonPlaces<>+8(SB)/8, $0x0f0e0d0c0b0a0908
DATA jsonPlaces<>+16(SB)/8, $0x1716151413121110
DATA jsonPlaces<>+24(SB)/8, $0x1f1e1d1c1b1a1918
DATA jsonPlaces<>+32(SB)/8, $0x2726252423222120
DATA jsonPlaces<>+40(SB)/8, $0x2f2e2d2c2b2a2928
DATA jsonPlaces<>+48(SB)/8, $0x3736353433323130
DATA jsonPlaces<>+56(SB)/8, $0x3f3e3d3c3b3a3938
GLOBL jsonPlaces<>(SB), RODATA|NOPTR, $64
