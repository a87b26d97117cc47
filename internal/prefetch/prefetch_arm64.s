//go:build !purego

#include "textflag.h"

// func each(base unsafe.Pointer, offsets *uint64, n int)
TEXT ·each(SB), NOSPLIT, $0-24
	MOVD base+0(FP), R0
	MOVD offsets+8(FP), R1
	MOVD n+16(FP), R2
	CMP  $0, R2
	BLE  done

one:
	MOVD.P 8(R1), R3
	ADD    R0, R3
	PRFM   (R3), PLDL2KEEP
	SUBS   $1, R2
	BGT    one

done:
	RET
