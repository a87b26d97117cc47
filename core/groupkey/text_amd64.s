//go:build !purego

#include "textflag.h"

#define BROADCAST(value, reg) \
	MOVQ         value, AX \
	VPBROADCASTQ AX, reg

// LOAD2 loads vectorBytes of two strings, one into each half of a vector.
#define LOAD2(first, second, y, z) \
	MOVL         first(R14), AX          \
	MOVL         second(R14), DX         \
	VMOVDQU64    (BX)(AX*1), y           \
	VINSERTI64X4 $1, (BX)(DX*1), z, z

// AHEAD is how many bytes ahead of a string those of later ones are asked for, as they usually lie one behind the other.
#define AHEAD 1024

// func packShort512(p *packing) (left int)
//
// Eight strings at a time: their bytes are loaded, four words each, turned from rows to columns, and what is behind the end of each is
// cleared.
//
// In bounds: a string of more than shortString bytes, or behind p.last, is taken for one at 0, and p.last says that there are vectorBytes
// from 0 on. So whatever the views say, nothing outside of the column's bytes is read. The places with those zeros lie for the moment where
// the third words go. others gets a whole vector at most vectorKeys behind the number of rows before.
TEXT ·packShort512(SB), NOSPLIT, $0-16
	MOVQ         p+0(FP), DX
	MOVQ         0(DX), SI   // views
	MOVQ         8(DX), BX   // text
	MOVQ         16(DX), R8  // w0
	MOVQ         24(DX), R9  // w1
	MOVQ         32(DX), R10 // w2
	MOVQ         40(DX), R11 // others
	MOVQ         48(DX), CX  // n
	VPBROADCASTQ 56(DX), Z21 // last
	VMOVDQU32    64(DX), Y18 // numbers of the rows
	MOVL         $8, AX
	VPBROADCASTD AX, Y19
	BROADCAST($0xffffffff, Z20)
	BROADCAST($23, Z22)      // shortString
	BROADCAST($64, Z23)
	VPXORQ       Z24, Z24, Z24
	VPTERNLOGQ   $0xff, Z17, Z17, Z17
	XORQ         R12, R12

eight:
	VMOVDQU64 (SI), Z0
	MOVQ      SI, R14
	VPSRLQ    $32, Z0, Z1          // Z1: lengths
	VPANDQ    Z20, Z0, Z0          // places
	VPCMPUQ   $2, Z21, Z0, K1
	VPCMPUQ   $2, Z22, Z1, K1, K2
	KORTESTB  K2, K2
	JCC       others               // not all ones

load:
	LOAD2(0, 16, Y4, Z4)
	PREFETCHT0 AHEAD(BX)(AX*1)
	PREFETCHT0 AHEAD+64(BX)(AX*1)
	LOAD2(8, 24, Y5, Z5)
	LOAD2(32, 48, Y6, Z6)
	LOAD2(40, 56, Y7, Z7)
	VPUNPCKLQDQ Z5, Z4, Z8
	VPUNPCKHQDQ Z5, Z4, Z9
	VPUNPCKLQDQ Z7, Z6, Z10
	VPUNPCKHQDQ Z7, Z6, Z11
	VSHUFI64X2  $0x88, Z10, Z8, Z4 // first words
	VSHUFI64X2  $0x88, Z11, Z9, Z5 // second
	VSHUFI64X2  $0xdd, Z10, Z8, Z6 // third

	// Ones shifted left by eight times the length are what is behind the end, in the first word; a shift by 64 or more leaves none.
	VPSLLQ    $3, Z1, Z2
	VPSLLVQ   Z2, Z17, Z3
	VPANDNQ   Z4, Z3, Z4
	VPSUBQ    Z23, Z2, Z2
	VPMAXSQ   Z24, Z2, Z3
	VPSLLVQ   Z3, Z17, Z3
	VPANDNQ   Z5, Z3, Z5
	VPSUBQ    Z23, Z2, Z2
	VPMAXSQ   Z24, Z2, Z3
	VPSLLVQ   Z3, Z17, Z3
	VPANDNQ   Z6, Z3, Z6
	VPSLLQ    $56, Z1, Z1
	VPORQ     Z1, Z6, Z6
	VMOVDQU64 Z4, (R8)
	VMOVDQU64 Z5, (R9)
	VMOVDQU64 Z6, (R10)

	VPADDD Y19, Y18, Y18
	ADDQ   $64, SI
	ADDQ   $64, R8
	ADDQ   $64, R9
	ADDQ   $64, R10
	SUBQ   $8, CX
	JG     eight
	VZEROUPPER
	MOVQ   R12, left+8(FP)
	RET

others:
	VMOVDQA64.Z Z0, K2, Z0
	VMOVDQU64   Z0, (R10)
	MOVQ        R10, R14
	KNOTB       K2, K2
	VPCOMPRESSD Y18, K2, Y3
	VMOVDQU     Y3, (R11)(R12*4)
	KMOVB       K2, AX
	POPCNTL     AX, AX
	ADDQ        AX, R12
	JMP         load
