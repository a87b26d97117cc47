//go:build !purego

#include "textflag.h"

// ARGS loads what both routines use: base in AX, off in SI, words in DI, n in CX, and the ones in
// Z16. K1 to K4 have the lanes: K1 of the low half of the sum (or of the sum), K2 of the high half
// (or of the compensation), K3 of the least and K4 of the greatest.
#define ARGS \
	MOVQ      base+0(FP), AX   \
	MOVQ      off+8(FP), SI    \
	MOVQ      words+16(FP), DI \
	MOVQ      n+24(FP), CX     \
	MOVQ      l+32(FP), DX     \
	TESTQ     CX, CX           \
	JLE       done             \
	VMOVDQU64 0(DX), Z16       \
	MOVQ      64(DX), R8       \
	KMOVB     R8, K1           \
	MOVQ      72(DX), R8       \
	KMOVB     R8, K2           \
	MOVQ      80(DX), R8       \
	KMOVB     R8, K3           \
	MOVQ      88(DX), R8       \
	KMOVB     R8, K4

// func updateRows512(base unsafe.Pointer, off *uint64, words *uint64, n int, l *lanes)
//
// A row is one vector of eight words. For each record, each in its lane and nowhere else: add the
// ones (the counts), add the value to the low half of the sum, add its sign and the carry to the
// high half, and take the least and the greatest.
TEXT ·updateRows512(SB), NOSPLIT, $0-40
	ARGS
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

// func updateDoubles512(base unsafe.Pointer, off *uint64, words *uint64, n int, l *lanes)
//
// updateDoubles512 does the same as updateRows512, but with a sum and its compensation (addFloat)
// in place of the halves of a sum, and with the extremes in the order of ordered. Sums are computed
// only in their lane, because the bits in other lanes are no floats.
TEXT ·updateDoubles512(SB), NOSPLIT, $0-40
	ARGS
	VPXORQ     Z18, Z18, Z18           // 0
	VPTERNLOGD $0xff, Z19, Z19, Z19
	VPSRLQ     $1, Z19, Z19            // what NaN becomes in the order: more than all others

record:
	MOVQ         (SI), R9
	VPBROADCASTQ (DI), Z1
	VMOVDQU64    (AX)(R9*1), Z0
	VADDPD       Z18, Z1, Z2           // -0 is 0
	VPSRAQ       $63, Z2, Z3
	VPSRLQ       $1, Z3, Z3
	VPXORQ       Z3, Z2, Z3            // the bits of negative numbers have the reverse order
	VCMPPD       $3, Z1, Z1, K5
	VMOVDQA64    Z19, K5, Z3
	VADDPD.Z     Z1, Z0, K1, Z4        // t = sum + x
	VSUBPD.Z     Z0, Z4, K1, Z5        // z = t - sum
	VSUBPD.Z     Z5, Z4, K1, Z6
	VSUBPD.Z     Z6, Z0, K1, Z6        // sum - (t - z)
	VSUBPD.Z     Z5, Z1, K1, Z7        // x - z
	VADDPD.Z     Z7, Z6, K1, Z6        // what rounding took away
	VALIGNQ      $7, Z6, Z6, Z6        // to the next lane
	VPADDQ       Z16, Z0, Z0
	VMOVDQA64    Z4, K1, Z0
	VADDPD       Z6, Z0, K2, Z0
	VPMINSQ      Z3, Z0, K3, Z0
	VPMAXSQ      Z3, Z0, K4, Z0
	VMOVDQU64    Z0, (AX)(R9*1)
	ADDQ         $8, SI
	ADDQ         $8, DI
	DECQ         CX
	JG           record
	VZEROUPPER

done:
	RET

// The next macros are what updateWords and updateFound do with a record whose row is at BX and
// whose value is R12. R8, R9, R10 and R11 have the places of the count, the sum, the least and the
// greatest. -1 means that there is no such state. second is the place of another count, or -1. R13
// is overwritten. What is seldom needed lies after the loops and is counted: a change of the high
// half of a sum, a new least or a new greatest.

#define COUNT INCQ (BX)(R8*1)

// SUM adds the value to the low half. The sign of the value and the carry go to the high half; they
// usually cancel each other.
#define SUM(high, back) \
	MOVQ R12, R13        \
	SARQ $63, R13        \
	ADDQ R12, (BX)(R9*1) \
	ADCQ $0, R13         \
	JNE  high            \
back:

#define LEAST(less, back) \
	CMPQ R12, (BX)(R10*1) \
	JLT  less             \
back:

#define MOST(more, back) \
	CMPQ R12, (BX)(R11*1) \
	JGT  more             \
back:

// SELDOM is the code at those labels.
#define SELDOM(high, afterSum, less, afterLeast, more, afterMost) \
high:                       \
	ADDQ R13, 8(BX)(R9*1) \
	INCQ changed-16(SP)   \
	JMP  afterSum         \
less:                       \
	MOVQ R12, (BX)(R10*1) \
	INCQ changed-16(SP)   \
	JMP  afterLeast       \
more:                       \
	MOVQ R12, (BX)(R11*1) \
	INCQ changed-16(SP)   \
	JMP  afterMost

// EACH does all of that for each state that there is. EACHSELDOM is the code that belongs to it
// after the loop.
#define EACH \
	CMPQ R8, $-1           \
	JEQ  sum               \
	COUNT                  \
	CMPQ second-8(SP), $-1 \
	JNE  also              \
sum:                       \
	CMPQ R9, $-1           \
	JEQ  least             \
	SUM(high, least)       \
	CMPQ R10, $-1          \
	JEQ  most              \
	LEAST(less, most)      \
	CMPQ R11, $-1          \
	JEQ  next              \
	MOST(more, next)

#define EACHSELDOM \
also:                      \
	MOVQ second-8(SP), R13 \
	INCQ (BX)(R13*1)       \
	JMP  sum               \
	SELDOM(high, least, less, most, more, next)

// PLACES loads the places that lie p bytes after DX. It sets changed to 0.
#define PLACES(p) \
	MOVQ p+8(DX), R8      \
	MOVQ R8, second-8(SP) \
	MOVQ $0, changed-16(SP) \
	MOVQ p+0(DX), R8      \
	MOVQ p+16(DX), R9     \
	MOVQ p+24(DX), R10    \
	MOVQ p+32(DX), R11

// func updateWords(base unsafe.Pointer, off *uint64, words *uint64, n int, p *places) (changed int)
//
// updateWords updates whatever states there are, one after the other. CX counts up to 0.
TEXT ·updateWords(SB), NOSPLIT, $16-48
	MOVQ base+0(FP), AX
	MOVQ off+8(FP), SI
	MOVQ words+16(FP), DI
	MOVQ n+24(FP), CX
	MOVQ p+32(FP), DX
	PLACES(0)
	LEAQ (SI)(CX*8), SI
	LEAQ (DI)(CX*8), DI
	NEGQ CX
	JGE  done

record:
	MOVQ (SI)(CX*8), BX
	MOVQ (DI)(CX*8), R12
	ADDQ AX, BX
	EACH
	INCQ CX
	JNZ  record

done:
	MOVQ changed-16(SP), DX
	MOVQ DX, changed+40(FP)
	RET

	EACHSELDOM

// FIND is the beginning of a loop of updateFound.
#define FIND(miss) \
	MOVQ  (SI)(CX*8), BX  \
	MOVQ  (R15)(CX*8), R13 \
	MOVQ  (DI)(CX*8), R12 \
	TESTQ BX, BX          \
	JEQ   miss            \
	ADDQ  AX, BX          \
	CMPQ  R13, (BX)       \
	JNE   miss

// MISS notes the number of a record.
#define MISS(miss, next) \
miss:                     \
	MOVQ n-24(SP), R13   \
	ADDQ CX, R13         \
	MOVL R13, (R14)(DX*4) \
	INCQ DX              \
	JMP  next

// func updateFound(p *found) (misses, changed int)
//
// updateFound does the same as updateWords, for the records whose key is the first word of the row
// at off, if that is not row 0. The numbers of the other records go to missed. A branch for that is
// faster than updating some row in any case, because then the place to update would have to wait
// for the row. The most frequent sets of states have loops of their own: all states; count and sum;
// sum.
TEXT ·updateFound(SB), NOSPLIT, $24-24
	MOVQ p+0(FP), DX
	PLACES(48)
	MOVQ 0(DX), AX           // base
	MOVQ 8(DX), SI           // off
	MOVQ 16(DX), DI          // words
	MOVQ 24(DX), R15         // keys
	MOVQ 32(DX), R14         // missed
	MOVQ 40(DX), CX          // n
	MOVQ CX, n-24(SP)
	MOVQ 88(DX), BX          // loop
	XORQ DX, DX              // misses
	LEAQ (SI)(CX*8), SI
	LEAQ (DI)(CX*8), DI
	LEAQ (R15)(CX*8), R15
	NEGQ CX
	JGE  done
	CMPQ BX, $1
	JEQ  allFind
	CMPQ BX, $2
	JEQ  twoFind
	CMPQ BX, $3
	JEQ  oneFind

	PCALIGN $64
find:
	FIND(miss)
	EACH
	INCQ CX
	JNZ  find

done:
	MOVQ DX, misses+8(FP)
	MOVQ changed-16(SP), DX
	MOVQ DX, changed+16(FP)
	RET

	EACHSELDOM
	MISS(miss, next)

	PCALIGN $64
allFind:
	FIND(allMiss)
	COUNT
	SUM(allHigh, allLeast)
	LEAST(allLess, allMost)
	MOST(allMore, allNext)
	INCQ CX
	JNZ  allFind
	JMP  done

	SELDOM(allHigh, allLeast, allLess, allMost, allMore, allNext)
	MISS(allMiss, allNext)

	PCALIGN $64
twoFind:
	FIND(twoMiss)
	COUNT
	SUM(twoHigh, twoNext)
	INCQ CX
	JNZ  twoFind
	JMP  done

twoHigh:
	ADDQ R13, 8(BX)(R9*1)
	INCQ changed-16(SP)
	JMP  twoNext

	MISS(twoMiss, twoNext)

	PCALIGN $64
oneFind:
	FIND(oneMiss)
	SUM(oneHigh, oneNext)
	INCQ CX
	JNZ  oneFind
	JMP  done

oneHigh:
	ADDQ R13, 8(BX)(R9*1)
	INCQ changed-16(SP)
	JMP  oneNext

	MISS(oneMiss, oneNext)
