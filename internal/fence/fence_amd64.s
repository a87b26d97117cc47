//go:build !purego && !race

#include "textflag.h"

// func store(addr *uint64, v uint64)
//
// x86 orders stores with each other and behind earlier loads, so a plain store is a release store. What it is not is a fence: a
// later load may come before it.
TEXT ·store(SB), NOSPLIT, $0-16
	MOVQ addr+0(FP), AX
	MOVQ v+8(FP), CX
	MOVQ CX, (AX)
	RET
