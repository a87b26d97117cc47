//go:build !purego && !race

#include "textflag.h"

// func store(addr *uint64, v uint64)
//
// x86 orders stores after earlier stores and earlier loads, so a plain store is a release store. It
// is not a fence: a later load may happen before it.
TEXT ·store(SB), NOSPLIT, $0-16
	MOVQ addr+0(FP), AX
	MOVQ v+8(FP), CX
	MOVQ CX, (AX)
	RET
