//go:build !purego

#include "textflag.h"

// func find512(p *probe512) (misses int)
//
// Eight keys at a time: their slots, the entries there, the keys of the rows that these name, and a bit for each that is not the key.
TEXT ·find512(SB), NOSPLIT, $0-16
	MOVQ         p+0(FP), DX
	MOVQ         0(DX), SI   // hashes
	MOVQ         8(DX), DI   // keys
	MOVQ         16(DX), R8  // off
	MOVQ         24(DX), R9  // missed
	MOVQ         32(DX), R10 // index
	MOVQ         40(DX), R11 // rows
	MOVQ         48(DX), CX  // n
	VMOVQ        56(DX), X8  // shift from hash to slot
	VMOVQ        64(DX), X9  // shift from row to bytes
	VMOVDQU32    72(DX), Y18 // numbers of the keys
	MOVQ         $1, AX
	VPBROADCASTQ AX, Z17
	MOVL         $8, AX
	VPBROADCASTD AX, Y19
	XORQ         R12, R12

eight:
	VMOVDQU64   (SI), Z0
	VPSLLQ      $8, Z0, Z0 // shardBits
	VPSRLQ      X8, Z0, Z0
	KXNORB      K1, K1, K1
	VPGATHERQD  (R10)(Z0*4), K1, Y1
	VPMOVZXDQ   Y1, Z1
	VPTESTMQ    Z1, Z1, K2 // there is an entry
	VPSUBQ      Z17, Z1, K2, Z1
	VPSLLQ      X9, Z1, Z1
	VMOVDQU64   Z1, (R8)
	KXNORB      K1, K1, K1
	VPGATHERQQ  (R11)(Z1*1), K1, Z2
	VPCMPEQQ    (DI), Z2, K2, K3
	KNOTB       K3, K3
	VPCOMPRESSD Y18, K3, Y3
	VMOVDQU     Y3, (R9)(R12*4)
	KMOVB       K3, AX
	POPCNTL     AX, AX
	ADDQ        AX, R12
	VPADDD      Y19, Y18, Y18
	ADDQ        $64, SI
	ADDQ        $64, DI
	ADDQ        $64, R8
	SUBQ        $8, CX
	JG          eight
	VZEROUPPER
	MOVQ        R12, misses+8(FP)
	RET
