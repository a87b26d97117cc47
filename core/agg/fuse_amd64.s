//go:build !purego

#include "textflag.h"

// func updateRows512(base unsafe.Pointer, off *uint64, words *uint64, n int, l *lanes)
//
// A row is one vector of eight words. For each record: add ones (the counts), add the value to the low half of the sum and its sign
// and the carry to the high half, take the least and the greatest, each in its lane and nowhere else.
TEXT ·updateRows512(SB), NOSPLIT, $0-40
	MOVQ      base+0(FP), AX
	MOVQ      off+8(FP), SI
	MOVQ      words+16(FP), DI
	MOVQ      n+24(FP), CX
	MOVQ      l+32(FP), DX
	TESTQ     CX, CX
	JLE       done
	VMOVDQU64 0(DX), Z16          // ones
	MOVQ      64(DX), R8
	KMOVB     R8, K1              // low half of the sum
	MOVQ      72(DX), R8
	KMOVB     R8, K2              // high half
	MOVQ      80(DX), R8
	KMOVB     R8, K3              // least
	MOVQ      88(DX), R8
	KMOVB     R8, K4              // most
	VPTERNLOGD $0xff, Z17, Z17, Z17 // -1 in every lane

record:
	MOVQ         (SI), R9
	VPBROADCASTQ (DI), Z1
	VMOVDQU64    (AX)(R9*1), Z0
	VPSRAQ       $63, Z1, Z2
	VPADDQ       Z16, Z0, Z0
	VPADDQ       Z1, Z0, K1, Z0
	VPCMPUQ      $1, Z1, Z0, K1, K5 // the sum is below what was added: a carry
	VPADDQ       Z2, Z0, K2, Z0
	KSHIFTLB     $1, K5, K5
	VPSUBQ       Z17, Z0, K5, Z0
	VPMINSQ      Z1, Z0, K3, Z0
	VPMAXSQ      Z1, Z0, K4, Z0
	VMOVDQU64    Z0, (AX)(R9*1)
	ADDQ         $8, SI
	ADDQ         $8, DI
	DECQ         CX
	JG           record
	VZEROUPPER

done:
	RET
