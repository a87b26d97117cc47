//go:build !purego

#include "textflag.h"

// The accesses of all kernels are in bounds: x, y and to have 8*blocks words, the bitmaps have a
// byte for each eight of them, and blocks is at least 1.

#define ARGS_COMPARE \
	MOVQ bits+0(FP), DI \
	MOVQ x+8(FP), SI    \
	MOVQ y+16(FP), DX   \
	MOVQ blocks+24(FP), CX

#define NEXT_COMPARE(loop) \
	MOVB AX, (DI)  \
	ADDQ $64, SI   \
	ADDQ $64, DX   \
	INCQ DI        \
	DECQ CX        \
	JNZ  loop      \
	VZEROUPPER     \
	RET

#define ARGS_ARITHMETIC \
	MOVQ to+0(FP), DI  \
	MOVQ x+8(FP), SI   \
	MOVQ y+16(FP), DX  \
	MOVQ blocks+24(FP), CX

#define NEXT_ARITHMETIC(loop) \
	ADDQ $64, DI \
	ADDQ $64, SI \
	ADDQ $64, DX \
	DECQ CX      \
	JNZ  loop

// RANGE_INTS notes in K3 the sums, differences or products that are limit or more, or -limit or
// less. Z6 has bias, which is limit-1, and Z7 has most, which is 2*limit-2.
#define RANGE_INTS(v) \
	VPADDQ  Z6, v, Z4     \
	VPCMPUQ $6, Z7, Z4, K2 \
	KORW    K2, K3, K3

// BEGIN_INTS is what sums, differences and products begin with, and END_INTS what they end with.
// bad comes from K3 and from the signs in Z5.
#define BEGIN_INTS                   \
	ARGS_ARITHMETIC              \
	VPBROADCASTQ bias+32(FP), Z6 \
	VPBROADCASTQ most+40(FP), Z7 \
	VPXORQ       Z5, Z5, Z5      \
	KXORW        K3, K3, K3

// See BEGIN_INTS.
#define END_INTS(loop)          \
	RANGE_INTS(Z2)          \
	VMOVDQU64 Z2, (DI)      \
	NEXT_ARITHMETIC(loop)   \
	VPMOVQ2M Z5, K1         \
	KORW     K1, K3, K1     \
	KMOVB    K1, AX         \
	MOVQ     AX, bad+48(FP) \
	VZEROUPPER              \
	RET

// END_DIVIDE is what divisions end with.
#define END_DIVIDE(loop)      \
	VMOVDQU64 Z2, (DI)    \
	NEXT_ARITHMETIC(loop) \
	KMOVB K3, AX          \
	MOVQ  AX, bad+32(FP)  \
	VZEROUPPER            \
	RET

// FLOATS computes, and notes in odd the results of these classes: 0x99 are NaN and infinities, 0x9f
// also zeros.
#define FLOATS(COMPUTE, CLASSES)    \
	ARGS_ARITHMETIC             \
	KXORW K3, K3, K3            \
eight:                              \
	VMOVUPD (SI), Z0            \
	COMPUTE (DX), Z0, Z2        \
	VFPCLASSPDZ CLASSES, Z2, K1 \
	KORW    K1, K3, K3          \
	VMOVUPD Z2, (DI)            \
	NEXT_ARITHMETIC(eight)      \
	KMOVB   K3, AX              \
	MOVQ    AX, odd+32(FP)      \
	VZEROUPPER                  \
	RET

// func equalInts512(bits, x, y *uint64, blocks int)
TEXT ·equalInts512(SB), NOSPLIT, $0-32
	ARGS_COMPARE

eight:
	VMOVDQU64 (SI), Z0
	VPCMPQ    $0, (DX), Z0, K1
	KMOVB     K1, AX
	NEXT_COMPARE(eight)

// func lessInts512(bits, x, y *uint64, blocks int)
TEXT ·lessInts512(SB), NOSPLIT, $0-32
	ARGS_COMPARE

eight:
	VMOVDQU64 (SI), Z0
	VPCMPQ    $1, (DX), Z0, K1
	KMOVB     K1, AX
	NEXT_COMPARE(eight)

// func equalFloats512(bits, x, y *uint64, blocks int)
TEXT ·equalFloats512(SB), NOSPLIT, $0-32
	ARGS_COMPARE

eight:
	VMOVUPD (SI), Z0
	VMOVUPD (DX), Z1
	VCMPPD  $0, Z1, Z0, K1     // equal
	VCMPPD  $3, Z0, Z0, K2     // x is NaN
	VCMPPD  $3, Z1, Z1, K2, K2 // and so is y
	KORW    K1, K2, K1
	KMOVB   K1, AX
	NEXT_COMPARE(eight)

// func lessFloats512(bits, x, y *uint64, blocks int)
TEXT ·lessFloats512(SB), NOSPLIT, $0-32
	ARGS_COMPARE

eight:
	VMOVUPD (SI), Z0
	VMOVUPD (DX), Z1
	VCMPPD  $17, Z1, Z0, K1    // less, both numbers
	VCMPPD  $7, Z0, Z0, K2     // x is a number
	VCMPPD  $3, Z1, Z1, K2, K2 // and y is NaN, which is greater
	KORW    K1, K2, K1
	KMOVB   K1, AX
	NEXT_COMPARE(eight)

// func equalIntsAVX2(bits, x, y *uint64, blocks int)
TEXT ·equalIntsAVX2(SB), NOSPLIT, $0-32
	ARGS_COMPARE

eight:
	VMOVDQU   0(SI), Y0
	VPCMPEQQ  0(DX), Y0, Y0
	VMOVMSKPD Y0, AX
	VMOVDQU   32(SI), Y0
	VPCMPEQQ  32(DX), Y0, Y0
	VMOVMSKPD Y0, BX
	SHLL $4, BX
	ORL  BX, AX
	NEXT_COMPARE(eight)

// func lessIntsAVX2(bits, x, y *uint64, blocks int)
TEXT ·lessIntsAVX2(SB), NOSPLIT, $0-32
	ARGS_COMPARE

eight:
	VMOVDQU   0(DX), Y0
	VPCMPGTQ  0(SI), Y0, Y0
	VMOVMSKPD Y0, AX
	VMOVDQU   32(DX), Y0
	VPCMPGTQ  32(SI), Y0, Y0
	VMOVMSKPD Y0, BX
	SHLL $4, BX
	ORL  BX, AX
	NEXT_COMPARE(eight)

// func equalFloatsAVX2(bits, x, y *uint64, blocks int)
TEXT ·equalFloatsAVX2(SB), NOSPLIT, $0-32
	ARGS_COMPARE

eight:
	VMOVUPD   0(SI), Y0
	VMOVUPD   0(DX), Y1
	VCMPPD    $0, Y1, Y0, Y2
	VCMPPD    $3, Y0, Y0, Y3
	VCMPPD    $3, Y1, Y1, Y4
	VANDPD    Y3, Y4, Y3
	VORPD     Y2, Y3, Y2
	VMOVMSKPD Y2, AX
	VMOVUPD   32(SI), Y0
	VMOVUPD   32(DX), Y1
	VCMPPD    $0, Y1, Y0, Y2
	VCMPPD    $3, Y0, Y0, Y3
	VCMPPD    $3, Y1, Y1, Y4
	VANDPD    Y3, Y4, Y3
	VORPD     Y2, Y3, Y2
	VMOVMSKPD Y2, BX
	SHLL $4, BX
	ORL  BX, AX
	NEXT_COMPARE(eight)

// func lessFloatsAVX2(bits, x, y *uint64, blocks int)
TEXT ·lessFloatsAVX2(SB), NOSPLIT, $0-32
	ARGS_COMPARE

eight:
	VMOVUPD   0(SI), Y0
	VMOVUPD   0(DX), Y1
	VCMPPD    $17, Y1, Y0, Y2
	VCMPPD    $7, Y0, Y0, Y3
	VCMPPD    $3, Y1, Y1, Y4
	VANDPD    Y3, Y4, Y3
	VORPD     Y2, Y3, Y2
	VMOVMSKPD Y2, AX
	VMOVUPD   32(SI), Y0
	VMOVUPD   32(DX), Y1
	VCMPPD    $17, Y1, Y0, Y2
	VCMPPD    $7, Y0, Y0, Y3
	VCMPPD    $3, Y1, Y1, Y4
	VANDPD    Y3, Y4, Y3
	VORPD     Y2, Y3, Y2
	VMOVMSKPD Y2, BX
	SHLL $4, BX
	ORL  BX, AX
	NEXT_COMPARE(eight)

// func addInts512(to, x, y *uint64, blocks int, bias, most uint64) (bad uint64)
TEXT ·addInts512(SB), NOSPLIT, $0-56
	BEGIN_INTS

eight:
	VMOVDQU64 (SI), Z0
	VMOVDQU64 (DX), Z1
	VPADDQ Z1, Z0, Z2
	VPXORQ Z0, Z2, Z0 // (x^v) & (y^v) is negative if the sum does not fit
	VPXORQ Z1, Z2, Z1
	VPANDQ Z0, Z1, Z0
	VPORQ  Z0, Z5, Z5
	END_INTS(eight)

// func subInts512(to, x, y *uint64, blocks int, bias, most uint64) (bad uint64)
TEXT ·subInts512(SB), NOSPLIT, $0-56
	BEGIN_INTS

eight:
	VMOVDQU64 (SI), Z0
	VMOVDQU64 (DX), Z1
	VPSUBQ Z1, Z0, Z2
	VPXORQ Z0, Z1, Z1 // (x^y) & (x^v) is negative if the difference does not fit
	VPXORQ Z0, Z2, Z0
	VPANDQ Z0, Z1, Z0
	VPORQ  Z0, Z5, Z5
	END_INTS(eight)

// func mulInts512(to, x, y *uint64, blocks int, bias, most uint64) (bad uint64)
TEXT ·mulInts512(SB), NOSPLIT, $0-56
	BEGIN_INTS
	// The product as floats has a relative error of at most 2**-51, so below
	// 2**63 * (1-2**-50) the product fits.
	MOVQ         $0x43dffffffffffff8, AX
	VPBROADCASTQ AX, Z8
	MOVQ         $0x7fffffffffffffff, AX
	VPBROADCASTQ AX, Z9

eight:
	VMOVDQU64 (SI), Z0
	VMOVDQU64 (DX), Z1
	VPMULLQ   Z1, Z0, Z2
	VCVTQQ2PD Z0, Z0
	VCVTQQ2PD Z1, Z1
	VMULPD    Z0, Z1, Z0
	VPANDQ    Z9, Z0, Z0
	VCMPPD    $13, Z8, Z0, K1 // at least that
	KORW      K1, K3, K3
	END_INTS(eight)

// DIVIDE_INTS sets Z2 to the quotients of Z0 and Z1, cut towards 0. They are right if both numbers
// are below 2**53: then a quotient that is not whole is further from the next whole number than
// rounding moves it. K3 notes other numbers, and divisors that are 0.
#define DIVIDE_INTS \
	VMOVDQU64  (SI), Z0    \
	VMOVDQU64  (DX), Z1    \
	VPTESTNMQ  Z1, Z1, K2  \
	KORW       K2, K3, K3  \
	RANGE_INTS(Z0)         \
	RANGE_INTS(Z1)         \
	VCVTQQ2PD  Z0, Z2      \
	VCVTQQ2PD  Z1, Z3      \
	VDIVPD     Z3, Z2, Z2  \
	VCVTTPD2QQ Z2, Z2

#define RANGE_DIVIDE \
	MOVQ         $0x1fffffffffffff, AX \
	VPBROADCASTQ AX, Z6                \
	SHLQ         $1, AX                \
	VPBROADCASTQ AX, Z7                \
	KXORW        K3, K3, K3

// func divInts512(to, x, y *uint64, blocks int) (bad uint64)
TEXT ·divInts512(SB), NOSPLIT, $0-40
	ARGS_ARITHMETIC
	RANGE_DIVIDE

eight:
	DIVIDE_INTS
	END_DIVIDE(eight)

// func modInts512(to, x, y *uint64, blocks int) (bad uint64)
TEXT ·modInts512(SB), NOSPLIT, $0-40
	ARGS_ARITHMETIC
	RANGE_DIVIDE

eight:
	DIVIDE_INTS
	VPMULLQ   Z1, Z2, Z2
	VPSUBQ    Z2, Z0, Z2
	END_DIVIDE(eight)

// func decimals512(to, x *uint64, blocks int, unit float64) (bad uint64)
TEXT ·decimals512(SB), NOSPLIT, $0-40
	MOVQ to+0(FP), DI
	MOVQ x+8(FP), SI
	MOVQ blocks+16(FP), CX
	VPBROADCASTQ unit+24(FP), Z8
	RANGE_DIVIDE

eight:
	VMOVDQU64 (SI), Z0
	RANGE_INTS(Z0)
	VCVTQQ2PD Z0, Z0
	VDIVPD    Z8, Z0, Z0
	VMOVDQU64 Z0, (DI)
	ADDQ $64, DI
	ADDQ $64, SI
	DECQ CX
	JNZ  eight
	KMOVB K3, AX
	MOVQ  AX, bad+32(FP)
	VZEROUPPER
	RET

// func addFloats512(to, x, y *uint64, blocks int) (odd uint64)
TEXT ·addFloats512(SB), NOSPLIT, $0-40
	FLOATS(VADDPD, $0x99)

// func subFloats512(to, x, y *uint64, blocks int) (odd uint64)
TEXT ·subFloats512(SB), NOSPLIT, $0-40
	FLOATS(VSUBPD, $0x99)

// func mulFloats512(to, x, y *uint64, blocks int) (odd uint64)
TEXT ·mulFloats512(SB), NOSPLIT, $0-40
	FLOATS(VMULPD, $0x9f)

// func divFloats512(to, x, y *uint64, blocks int) (odd uint64)
TEXT ·divFloats512(SB), NOSPLIT, $0-40
	FLOATS(VDIVPD, $0x9f)

// func merge512(to, from, take *uint64, blocks int)
TEXT ·merge512(SB), NOSPLIT, $0-32
	MOVQ to+0(FP), DI
	MOVQ from+8(FP), SI
	MOVQ take+16(FP), DX
	MOVQ blocks+24(FP), CX

eight:
	MOVBLZX   (DX), AX
	KMOVB     AX, K1
	VMOVDQU64 (DI), Z0
	VMOVDQU64 (SI), K1, Z0
	VMOVDQU64 Z0, (DI)
	ADDQ      $64, DI
	ADDQ      $64, SI
	INCQ      DX
	DECQ      CX
	JNZ       eight
	VZEROUPPER
	RET

// func texts512(bits *uint64, views *record.View, bytes *byte, blocks int, last, want, mask, least, most uint64) (odd uint64)
//
// texts512 gathers the first eight bytes of each text. A text that begins after last, where eight
// bytes may not be read, is not loaded. Its bit is wrong, and odd is not 0.
TEXT ·texts512(SB), NOSPLIT, $0-80
	MOVQ         bits+0(FP), DI
	MOVQ         views+8(FP), SI
	MOVQ         bytes+16(FP), R8
	MOVQ         blocks+24(FP), CX
	VPBROADCASTQ last+32(FP), Z10
	VPBROADCASTQ want+40(FP), Z11
	VPBROADCASTQ mask+48(FP), Z12
	VPBROADCASTQ least+56(FP), Z13
	VPBROADCASTQ most+64(FP), Z14
	KXORW        K5, K5, K5
	MOVL         $0xffffffff, AX
	VPBROADCASTQ AX, Z15

eight:
	VMOVDQU64  (SI), Z0
	VPANDQ     Z15, Z0, Z1         // where it begins
	VPSRLQ     $32, Z0, Z2         // and its length
	VPCMPUQ    $6, Z10, Z1, K4     // after last
	KORW       K4, K5, K5
	KNOTW      K4, K1
	VPXORQ     Z3, Z3, Z3
	VPGATHERQQ (R8)(Z1*1), K1, Z3
	VPANDQ     Z12, Z3, Z3
	VPCMPUQ    $5, Z13, Z2, K2     // long enough
	VPCMPUQ    $2, Z14, Z2, K2, K2 // and not too long
	VPCMPUQ    $0, Z11, Z3, K2, K2 // and begins with that
	KMOVB      K2, AX
	MOVB       AX, (DI)
	ADDQ       $64, SI
	INCQ       DI
	DECQ       CX
	JNZ        eight
	KMOVB      K5, AX
	MOVQ       AX, odd+72(FP)
	VZEROUPPER
	RET
