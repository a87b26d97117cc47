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

// func storeAhead(addr *uint64, v uint64, ahead unsafe.Pointer)
//
// PREFETCHW asks for a line for writing. A processor that does not know it does nothing.
TEXT ·storeAhead(SB), NOSPLIT, $0-24
	MOVQ ahead+16(FP), DX
	MOVQ addr+0(FP), AX
	MOVQ v+8(FP), CX
	BYTE $0x0F; BYTE $0x0D; BYTE $0x0A // PREFETCHW (DX), which the assembler does not know
	MOVQ CX, (AX)
	RET
