//go:build !purego

#include "textflag.h"

#define BROADCAST(value, reg) \
	MOVQ         value, AX \
	VPBROADCASTQ AX, reg

// What both routines have: base in R8, at in SI, values in DI, n-8 in CX, done in R10; in Y16 the places of eight fields in at, in R9 the bytes from one eight to the next.
#define ARGS \
	MOVQ p+0(FP), DX \
	MOVQ 0(DX), R8 \
	MOVQ 8(DX), SI \
	MOVQ 16(DX), DI \
	MOVQ 24(DX), CX \
	MOVQ 32(DX), R9 \
	XORQ R10, R10 \
	SUBQ $8, CX \
	JLT  done \
	VMOVDQU32    96(DX), Y16 \
	VPBROADCASTD R9, Y17 \
	VPMULLD      Y17, Y16, Y16 \
	SHLQ         $5, R9

// '0' in each byte (Z23), 9 in each byte (Z24), what brings digits together (Z25 to Z27), 1, '-' ^ '0', '-', 64, 255, 7 and all ones in each lane.
#define CONSTANTS \
	BROADCAST($0x3030303030303030, Z23) \
	BROADCAST($0x0909090909090909, Z24) \
	BROADCAST($0x010a010a010a010a, Z25) \
	BROADCAST($0x0001006400010064, Z26) \
	BROADCAST($10000, Z27) \
	BROADCAST($1, Z28) \
	BROADCAST($0x1d, Z29) \
	BROADCAST($0x2d, Z30) \
	BROADCAST($64, Z31) \
	BROADCAST($0xff, Z14) \
	BROADCAST($7, Z13) \
	VPTERNLOGQ $0xff, Z12, Z12, Z12

// The places of the byte before each field and of the byte that ends it in Z0 and Z1, its length in Z2, the seven bytes before its end and the one that ends it in Z3. K7 collects the lanes
// that are not as usual: no field of one to seven bytes, another byte at its end.
#define FIELDS \
	KXNORB     K1, K1, K1 \
	VPGATHERDD (SI)(Y16*4), K1, Y0 \
	KXNORB     K1, K1, K1 \
	VPGATHERDD 4(SI)(Y16*4), K1, Y1 \
	VPMOVZXDQ  Y0, Z0 \
	VPMOVZXDQ  Y1, Z1 \
	VPSUBQ     Z0, Z1, Z2 \
	VPSUBQ     Z11, Z2, Z2 \
	KXNORB     K1, K1, K1 \
	VPGATHERQQ -7(R8)(Z1*1), K1, Z3 \
	VPSUBQ  Z28, Z2, Z4 \
	VPCMPUQ $5, Z13, Z4, K7 \
	VPSRLQ  $56, Z3, Z4 \
	VPCMPQ  $4, Z18, Z4, K2 \
	KORB    K2, K7, K7

// Z5: the number at the top of the word, zeros below it, a minus made a zero. Z4: the bits below it. K3: the lanes with a minus.
#define TO_TOP \
	VPSLLQ   $8, Z3, Z3 \
	VPSLLQ   $3, Z2, Z4 \
	VPSUBQ   Z4, Z31, Z4 \
	VPSRLVQ  Z4, Z3, Z5 \
	VPANDQ   Z14, Z5, Z6 \
	VPCMPEQQ Z30, Z6, K3 \
	VPSLLVQ  Z4, Z5, Z5 \
	VPSLLVQ  Z4, Z12, Z6 \
	VPANDNQ  Z23, Z6, Z6 \
	VPORQ    Z6, Z5, Z5 \
	VPSLLVQ  Z4, Z29, Z6 \
	VPXORQ   Z6, Z5, K3, Z5

// The number that the eight digits of each lane write; K4 has the bytes that are none.
#define DIGITS \
	VPSUBB     Z23, Z5, Z5 \
	VPCMPUB    $6, Z24, Z5, K4 \
	VPMADDUBSW Z25, Z5, Z5 \
	VPMADDWD   Z26, Z5, Z5 \
	VPMULUDQ   Z27, Z5, Z6 \
	VPSRLQ     $32, Z5, Z5 \
	VPADDQ     Z6, Z5, Z5

// To the next eight.
#define NEXT(eight) \
	ADDQ       R9, SI \
	ADDQ       $64, DI \
	ADDQ       $8, R10 \
	SUBQ       $8, CX \
	JGE        eight

// func numbers512(p *numberArgs) (done int)
//
// Eight numbers at a time: columnText.shortNumbers, lane by lane, for numbers of up to seven bytes. A word has the seven bytes in front of
// the end of a number, and then the byte that ends it.
TEXT ·numbers512(SB), NOSPLIT, $0-16
	ARGS

	VPBROADCASTQ 40(DX), Z18 // the byte that ends a number
	VMOVQ        48(DX), X19 // where the point is
	VPBROADCASTQ 56(DX), Z20 // the bytes behind the point
	VPBROADCASTQ 64(DX), Z21 // the least length with a point
	VPBROADCASTQ 72(DX), Z22 // the greatest magnitude
	MOVQ         80(DX), R11 // digits behind the point

	CONSTANTS
	BROADCAST($0x2e, Z15) // '.'
	VPBROADCASTQ 88(DX), Z11 // bytes of a field before its number, and one

eight:
	FIELDS
	TO_TOP

	TESTQ R11, R11
	JZ    whole

	// Take the point out.
	VPSRLQ  X19, Z5, Z6
	VPANDQ  Z14, Z6, Z6
	VPCMPQ  $4, Z15, Z6, K2
	KORB    K2, K7, K7
	VPCMPUQ $1, Z21, Z2, K2
	KORB    K2, K7, K7
	VPSLLQ  $8, Z5, Z6
	VPANDNQ Z6, Z20, Z6
	VPANDQ  Z20, Z5, Z5
	VPORQ   Z6, Z5, Z5
	VPSRLQ  $56, Z23, Z6 // '0' for the byte that came free
	VPORQ   Z6, Z5, Z5
	JMP     digits

whole:
	VPCMPEQQ Z28, Z2, K3, K2 // a minus alone
	KORB     K2, K7, K7

digits:
	DIGITS
	VPCMPUQ    $6, Z22, Z5, K2
	KORB       K2, K7, K7
	KORTESTQ   K4, K4
	JNZ        done
	KORTESTB   K7, K7
	JNZ        done
	VPXORQ     Z6, Z6, Z6
	VPSUBQ     Z5, Z6, K3, Z5
	VMOVDQU64  Z5, (DI)
	NEXT(eight)

done:
	VZEROUPPER
	MOVQ R10, done+8(FP)
	RET

// func doubles512(p *numberArgs) (done int)
//
// The same for doubles: shortFloat, lane by lane, for numbers of up to seven bytes. Where the point is, and whether there is one, is each lane's own.
TEXT ·doubles512(SB), NOSPLIT, $0-16
	ARGS

	VPBROADCASTQ 40(DX), Z18 // the byte that ends a number
	VPBROADCASTQ 88(DX), Z11 // bytes of a field before its number, and one
	VMOVDQU64    ·powers(SB), Z19

	CONSTANTS
	BROADCAST($0x2e2e2e2e2e2e2e2e, Z15) // points
	BROADCAST($0x30, Z20)               // '0'
	VPSLLQ     $63, Z12, Z21            // the sign
	VPXORQ     Z22, Z22, Z22

eight:
	FIELDS
	TO_TOP
	VPCMPEQQ Z28, Z2, K3, K2 // a minus alone
	KORB     K2, K7, K7

	// Z7: the lowest bit of the first point; K2: the lanes that have one; Z8: the digits behind it.
	VPCMPEQB  Z15, Z5, K4
	VPMOVM2B  K4, Z6
	VPSUBQ    Z6, Z22, Z7
	VPANDQ    Z6, Z7, Z7
	VPTESTMQ  Z7, Z7, K2
	VPLZCNTQ  Z7, Z8
	VPSRLQ.Z  $3, Z8, K2, Z8
	VPTESTNMQ Z8, Z8, K2, K4  // none
	KORB      K4, K7, K7
	VPSLLVQ   Z4, Z28, Z9     // where the digits begin: not with a point
	VPSLLQ    $8, Z9, K3, Z9
	VPCMPEQQ  Z9, Z7, K2, K4
	KORB      K4, K7, K7

	// Take the point out: what is before it moves up a byte, and a zero comes in.
	VPSUBQ  Z28, Z7, Z6
	VPANDQ  Z6, Z5, Z9
	VPSLLQ  $8, Z9, Z9
	VPORQ   Z20, Z9, Z9
	VPSLLQ  $8, Z6, Z6
	VPORQ   Z14, Z6, Z6
	VPANDNQ Z5, Z6, Z6
	VPORQ   Z9, Z6, K2, Z5

	DIGITS
	KORTESTQ   K4, K4
	JNZ        done
	KORTESTB   K7, K7
	JNZ        done
	VCVTUQQ2PD Z5, Z5
	VPERMPD    Z19, Z8, Z6
	VDIVPD     Z6, Z5, Z5
	VPORQ      Z21, Z5, K3, Z5
	VMOVDQU64  Z5, (DI)
	NEXT(eight)

done:
	VZEROUPPER
	MOVQ R10, done+8(FP)
	RET
