//go:build !purego

#include "textflag.h"

// func each(base unsafe.Pointer, offsets *uint64, n int)
TEXT ·each(SB), NOSPLIT, $0-24
	MOVQ base+0(FP), AX
	MOVQ offsets+8(FP), SI
	MOVQ n+16(FP), CX
	SUBQ $4, CX
	JLT  rest

four:
	MOVQ       0(SI), R8
	MOVQ       8(SI), R9
	MOVQ       16(SI), R10
	MOVQ       24(SI), R11
	PREFETCHT1 (AX)(R8*1)
	PREFETCHT1 (AX)(R9*1)
	PREFETCHT1 (AX)(R10*1)
	PREFETCHT1 (AX)(R11*1)
	ADDQ       $32, SI
	SUBQ       $4, CX
	JGE        four

rest:
	ADDQ $4, CX
	JLE  done

one:
	MOVQ       (SI), R8
	PREFETCHT1 (AX)(R8*1)
	ADDQ       $8, SI
	DECQ       CX
	JG         one

done:
	RET
