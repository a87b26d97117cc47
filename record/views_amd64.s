//go:build !purego

#include "textflag.h"

#define BROADCAST(value, reg) \
	MOVQ         value, AX \
	VPBROADCASTQ AX, reg

// func lastEnd512(views *View, n int) (end uint64)
//
// lastEnd of eight views at a time. In bounds: n is a multiple of eight, and there are so many.
TEXT ·lastEnd512(SB), NOSPLIT, $0-24
	MOVQ   views+0(FP), SI
	MOVQ   n+8(FP), CX
	BROADCAST($0xffffffff, Z20)
	VPXORQ Z4, Z4, Z4

eight:
	VMOVDQU64     (SI), Z0
	VPSRLQ        $32, Z0, Z1
	VPANDQ        Z20, Z0, Z0
	VPADDQ        Z1, Z0, Z0
	VPMAXUQ       Z0, Z4, Z4
	ADDQ          $64, SI
	SUBQ          $8, CX
	JG            eight
	VEXTRACTI64X4 $1, Z4, Y5
	VPMAXUQ       Y5, Y4, Y4
	VEXTRACTI128  $1, Y4, X5
	VPMAXUQ       X5, X4, X4
	VPSHUFD       $0xee, X4, X5
	VPMAXUQ       X5, X4, X4
	VMOVQ         X4, AX
	VZEROUPPER
	MOVQ          AX, end+16(FP)
	RET
