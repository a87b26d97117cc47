//go:build !purego

#include "textflag.h"

#define BROADCAST(value, reg) \
	MOVQ         value, AX \
	VPBROADCASTQ AX, reg

// FOLD makes x the fold of x and y. xh and yh are their high halves; xh, t and u are lost.
#define FOLD(x, y, xh, yh, t, u, v) \
	VPMULUDQ  y, xh, t   \
	VPMULUDQ  yh, x, u   \
	VPMULUDQ  yh, xh, xh \
	VPMULUDQ  y, x, x    \
	VPSRLQ    $32, x, v  \
	VPADDQ    v, t, t    \
	VPANDQ    Z20, t, v  \
	VPADDQ    v, u, u    \
	VPSRLQ    $32, t, t  \
	VPADDQ    t, xh, xh  \
	VPSRLQ    $32, u, t  \
	VPADDQ    t, xh, xh  \ // the high half of the product
	VMOVSLDUP u, K7, x   \ // and the low half
	VPXORQ    xh, x, x

// MIX is what mix does to x, the xor of a hash and a word. t is lost.
#define MIX(x, t) \
	VPSRLQ  $32, x, t \
	VPXORQ  t, x, x   \
	VPMULLQ Z18, x, x \
	VPSRLQ  $29, x, t \
	VPXORQ  t, x, x   \
	VPMULLQ Z18, x, x

// START loads a hashing: Z22 is what the hashes begin with, K2 has the lanes where they are there already, all or none; Z18 is the factor.
#define START \
	MOVQ         p+0(FP), DX  \
	MOVQ         0(DX), DI    \ // hashes
	MOVQ         8(DX), R8    \ // w0
	MOVQ         16(DX), R9   \ // w1
	MOVQ         24(DX), R10  \ // w2
	MOVQ         32(DX), CX   \ // n
	MOVQ         40(DX), AX   \
	KMOVB        AX, K1       \ // begin
	KNOTB        K1, K2       \
	VPBROADCASTQ 48(DX), Z22  \ // start
	VPBROADCASTQ 56(DX), Z16  \ // words
	VPBROADCASTQ 64(DX), Z17  \
	VPBROADCASTQ 72(DX), Z18  \ // mul
	BROADCAST($0xffffffff, Z20) \
	MOVL         $0xaaaa, AX  \
	KMOVW        AX, K7

// func hashWords512(p *hashing)
//
// mix of eight keys at a time. In bounds: p.n is a multiple of eight, and each column has so many words.
TEXT ·hashWords512(SB), NOSPLIT, $0-8
	START

eight:
	VMOVDQA64 Z22, Z1
	VMOVDQU64 (DI), K2, Z1
	VPXORQ    (R8), Z1, Z0
	MIX(Z0, Z4)
	VMOVDQU64 Z0, (DI)
	ADDQ      $64, DI
	ADDQ      $64, R8
	SUBQ      $8, CX
	JG        eight
	VZEROUPPER
	RET

// func hashStrings512(p *hashing)
//
// mixString of eight keys at a time. In bounds: as above.
TEXT ·hashStrings512(SB), NOSPLIT, $0-8
	START
	BROADCAST($0xff, Z21)            // stringLong

eight:
	VMOVDQA64   Z22, Z7
	VMOVDQU64   (DI), K2, Z7
	VMOVDQU64   (R10), Z10
	VPSRLQ      $56, Z10, Z11
	VPCMPUQ     $4, Z21, Z11, K3     // not long: the second word is a value
	VMOVDQU64.Z (R9), K3, Z1
	VPXORQ      Z17, Z1, Z1
	VPXORQ      (R8), Z16, Z0
	VPSRLQ      $32, Z0, Z2
	VPSRLQ      $32, Z1, Z3
	FOLD(Z0, Z1, Z2, Z3, Z4, Z5, Z6)
	VPTERNLOGQ  $0x96, Z7, Z10, Z0   // xor of the three
	MIX(Z0, Z4)
	VMOVDQU64   Z0, (DI)
	ADDQ        $64, DI
	ADDQ        $64, R8
	ADDQ        $64, R9
	ADDQ        $64, R10
	SUBQ        $8, CX
	JG          eight
	VZEROUPPER
	RET
