//go:build !purego

#include "textflag.h"

// PLACE writes the place of the lowest bit of the word R8 to out[i] and clears the bit. Without a bit
// it writes what is overwritten later.
#define PLACE(i) \
	TZCNTQ R8, R10       \
	ADDL   DX, R10       \
	MOVL   R10, (i*4)(DI) \
	BLSRQ  R8, R8

// EIGHT writes eight places.
#define EIGHT \
	PLACE(0) \
	PLACE(1) \
	PLACE(2) \
	PLACE(3) \
	PLACE(4) \
	PLACE(5) \
	PLACE(6) \
	PLACE(7)

// func flattenBMI(out *uint32, words *uint64, n, from int) (found int)
//
// DI: where the next place goes. SI: the words. DX: the place of their first bit. CX: how many words
// are left. The branches depend on how many bits a word has, in steps of eight, not on where they are.
TEXT ·flattenBMI(SB), NOSPLIT, $0-40
	MOVQ out+0(FP), DI
	MOVQ DI, R12
	MOVQ words+8(FP), SI
	MOVQ n+16(FP), CX
	MOVQ from+24(FP), DX
	TESTQ CX, CX
	JLE  done

word:
	MOVQ    (SI), R8
	POPCNTQ R8, R11
	LEAQ    (DI)(R11*4), R13
	EIGHT
	CMPQ    R11, $8
	JGT     dense

next:
	MOVQ R13, DI
	ADDQ $8, SI
	ADDQ $64, DX
	DECQ CX
	JNZ  word

done:
	SUBQ R12, DI
	SHRQ $2, DI
	MOVQ DI, found+32(FP)
	RET

dense:
	ADDQ $32, DI
	EIGHT
	SUBQ $8, R11
	CMPQ R11, $8
	JGT  dense
	JMP  next
