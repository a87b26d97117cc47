//go:build !purego

#include "textflag.h"

// What both routines have: base in AX, off in SI, words in DI, n in CX; the ones in Z16, and in K1 to K4 the lanes of the low half of the sum, or of the sum, of the high half, or of the compensation, of the least and of the greatest.
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
// A row is one vector of eight words. For each record: add ones (the counts), add the value to the low half of the sum and its sign
// and the carry to the high half, take the least and the greatest, each in its lane and nowhere else.
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
// As updateRows512, with a sum and its compensation (addFloat) in place of the halves of a sum, and the extremes in the order of ordered. Sums are computed in their lane only: in the
// others the bits are no floats.
TEXT ·updateDoubles512(SB), NOSPLIT, $0-40
	ARGS
	VPXORQ     Z18, Z18, Z18           // 0
	VPTERNLOGD $0xff, Z19, Z19, Z19
	VPSRLQ     $1, Z19, Z19            // what NaN is in the order: more than all others

record:
	MOVQ         (SI), R9
	VPBROADCASTQ (DI), Z1
	VMOVDQU64    (AX)(R9*1), Z0
	VADDPD       Z18, Z1, Z2           // -0 is 0
	VPSRAQ       $63, Z2, Z3
	VPSRLQ       $1, Z3, Z3
	VPXORQ       Z3, Z2, Z3            // a negative one has the order of its bits reversed
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

// func updateWords(base unsafe.Pointer, off *uint64, words *uint64, n int, p *places) (changed int)
//
// For each record: one to the count, and to the second if there is one, the value to the two halves of the sum, and the value in place of the least or the greatest where it is less or greater, which is counted. CX counts up to 0.
TEXT ·updateWords(SB), NOSPLIT, $0-48
	MOVQ base+0(FP), AX
	MOVQ off+8(FP), SI
	MOVQ words+16(FP), DI
	MOVQ n+24(FP), CX
	MOVQ p+32(FP), DX
	MOVQ 0(DX), R8           // count
	MOVQ 8(DX), R15          // the second, -1 where there is none
	MOVQ 16(DX), R9          // sum
	MOVQ 24(DX), R10         // least
	MOVQ 32(DX), R11         // most
	XORQ DX, DX              // changed
	LEAQ (SI)(CX*8), SI
	LEAQ (DI)(CX*8), DI
	NEGQ CX
	JGE  done

record:
	MOVQ (SI)(CX*8), BX
	MOVQ (DI)(CX*8), R12
	ADDQ AX, BX
	MOVQ R12, R13
	SARQ $63, R13
	INCQ (BX)(R8*1)
	CMPQ R15, $-1
	JNE  also

sum:
	ADDQ R12, (BX)(R9*1)
	ADCQ R13, 8(BX)(R9*1)
	CMPQ R12, (BX)(R10*1)
	JLT  less

most:
	CMPQ R12, (BX)(R11*1)
	JGT  more

next:
	INCQ CX
	JNZ  record

done:
	MOVQ DX, changed+40(FP)
	RET

also:
	INCQ (BX)(R15*1)
	JMP  sum

less:
	MOVQ R12, (BX)(R10*1)
	INCQ DX
	JMP  most

more:
	MOVQ R12, (BX)(R11*1)
	INCQ DX
	JMP  next
