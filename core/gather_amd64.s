//go:build !purego

#include "textflag.h"

// func equal512(mask *[stripeRows / 64]uint64, words *uint64, word uint64, blocks int)
//
// In bounds: there are 8*blocks words, at most stripeRows, and mask has a bit for each.
TEXT ·equal512(SB), NOSPLIT, $0-32
	MOVQ         mask+0(FP), DI
	MOVQ         words+8(FP), SI
	VPBROADCASTQ word+16(FP), Z0
	MOVQ         blocks+24(FP), CX

eight:
	VPCMPEQQ (SI), Z0, K1
	KMOVB    K1, AX
	MOVB     AX, (DI)
	ADDQ     $64, SI
	INCQ     DI
	DECQ     CX
	JNZ      eight
	VZEROUPPER
	RET
