//go:build !purego

#include "textflag.h"

// FIRST puts the place of the row in the slot of a hash into off.
#define FIRST(at, x) \
	MOVQ  at(SI)(CX*8), x  \
	SHLQ  $8, x            \ // shardBits
	SHRXQ R9, x, x         \
	MOVL  (R10)(x*4), x    \
	IMULQ R11, x           \
	MOVQ  x, at(DI)(CX*8)

// func lookSlots(p *probeSlots)
//
// lookSlots is near.first, four keys at a time. It uses eight loads, because a gather takes longer,
// at least on Zen 4. The accesses are in bounds: p.n is a multiple of four, and shift leaves a slot
// of the index.
TEXT ·lookSlots(SB), NOSPLIT, $0-8
	MOVQ p+0(FP), DX
	MOVQ 0(DX), SI       // hashes
	MOVQ 8(DX), DI       // off
	MOVQ 16(DX), R10     // slots
	MOVQ 24(DX), CX      // n
	MOVQ 32(DX), R9      // shift
	MOVQ 40(DX), R11     // rowBytes
	LEAQ (SI)(CX*8), SI
	LEAQ (DI)(CX*8), DI
	NEGQ CX
	JGE  done

four:
	FIRST(0, AX)
	FIRST(8, BX)
	FIRST(16, R8)
	FIRST(24, R12)
	ADDQ $4, CX
	JNZ  four

done:
	RET

// LOAD2 loads four words of two rows, one into each half of a vector.
#define LOAD2(first, second, y, z) \
	MOVQ         first(SI), AX           \
	MOVQ         second(SI), DX          \
	VMOVDQU64    (R11)(AX*1), y          \
	VINSERTI64X4 $1, (R11)(DX*1), z, z

// func compare512(p *probeKeys) (misses int)
//
// compare512 is Table.compare for keys of three words, eight at a time. The first four words of
// eight rows are loaded, turned from rows into columns and compared. The accesses are in bounds:
// p.n is a multiple of eight, off has places of rows, and a row of three words or more has at least
// four (RowWords). missed has room for a whole vector after the last key.
TEXT ·compare512(SB), NOSPLIT, $0-16
	MOVQ         p+0(FP), DX
	MOVQ         0(DX), SI      // off
	MOVQ         8(DX), DI      // w0
	MOVQ         16(DX), R8     // w1
	MOVQ         24(DX), R10    // w2
	MOVQ         32(DX), R9     // missed
	MOVQ         40(DX), R11    // rows
	MOVQ         48(DX), CX     // n
	VMOVDQU32    56(DX), Y18    // numbers of the keys
	MOVL         $8, AX
	VPBROADCASTD AX, Y19
	XORQ         R12, R12

eight:
	VMOVDQU64   (SI), Z0
	VPTESTMQ    Z0, Z0, K1      // not row 0
	LOAD2(0, 16, Y4, Z4)
	LOAD2(8, 24, Y5, Z5)
	LOAD2(32, 48, Y6, Z6)
	LOAD2(40, 56, Y7, Z7)
	VPUNPCKLQDQ Z5, Z4, Z8
	VPUNPCKHQDQ Z5, Z4, Z9
	VPUNPCKLQDQ Z7, Z6, Z10
	VPUNPCKHQDQ Z7, Z6, Z11
	VSHUFI64X2  $0x88, Z10, Z8, Z4 // first words
	VSHUFI64X2  $0x88, Z11, Z9, Z5 // second
	VSHUFI64X2  $0xdd, Z10, Z8, Z6 // third
	VPCMPEQQ    (DI), Z4, K1, K1
	VPCMPEQQ    (R8), Z5, K1, K1
	VPCMPEQQ    (R10), Z6, K1, K1
	KNOTB       K1, K1
	VPCOMPRESSD Y18, K1, Y3
	VMOVDQU     Y3, (R9)(R12*4)
	KMOVB       K1, AX
	POPCNTL     AX, AX
	ADDQ        AX, R12
	VPADDD      Y19, Y18, Y18
	ADDQ        $64, SI
	ADDQ        $64, DI
	ADDQ        $64, R8
	ADDQ        $64, R10
	SUBQ        $8, CX
	JG          eight
	VZEROUPPER
	MOVQ        R12, misses+8(FP)
	RET

// func findTags(p *probeTags)
//
// R12 counts the keys. Each round prefetches the bucket of key R12+ahead, or of the last key.
TEXT ·findTags(SB), NOSPLIT, $0-8
	MOVQ  p+0(FP), DX
	MOVQ  0(DX), SI      // hashes
	MOVQ  8(DX), DI      // off
	MOVQ  16(DX), R8     // n
	MOVQ  24(DX), R9     // buckets
	MOVQ  32(DX), R10    // rows
	MOVQ  40(DX), CX     // shift
	MOVQ  48(DX), R11    // split
	MOVQ  56(DX), R13    // rowBytes
	TESTQ R8, R8
	JLE   done

	// The buckets of the first keys.
	XORQ R12, R12

first:
	MOVQ       (SI)(R12*8), AX
	SHLQ       $8, AX       // shardBits
	SHRXQ      CX, AX, AX
	MOVQ       AX, BX
	SHRQ       $1, BX
	CMPQ       BX, R11
	CMOVQCS    BX, AX
	SHLQ       $6, AX       // bucketSize
	PREFETCHT1 (R9)(AX*1)
	INCQ       R12
	CMPQ       R12, R8
	JGE        begin
	CMPQ       R12, $64     // ahead
	JLT        first

begin:
	XORQ R12, R12
	XORQ DX, DX

key:
	LEAQ       64(R12), R15 // ahead
	LEAQ       -1(R8), AX
	CMPQ       R15, R8
	CMOVQGE    AX, R15
	MOVQ       (SI)(R15*8), AX
	SHLQ       $8, AX
	SHRXQ      CX, AX, AX
	MOVQ       AX, BX
	SHRQ       $1, BX
	CMPQ       BX, R11
	CMOVQCS    BX, AX
	SHLQ       $6, AX
	PREFETCHT1 (R9)(AX*1)

	MOVQ         (SI)(R12*8), AX
	MOVL         AX, BX
	SHRL         $12, BX
	ORL          $1, BX              // tagOf
	VMOVD        BX, X0
	VPBROADCASTW X0, Y0
	SHLQ         $8, AX
	SHRXQ        CX, AX, AX
	MOVQ         AX, BX
	SHRQ         $1, BX
	CMPQ         BX, R11
	CMOVQCS      BX, AX
	SHLQ         $6, AX
	ADDQ         R9, AX
	VPCMPEQW     (AX), Y0, Y1
	VPMOVMSKB    Y1, BX
	ANDL         $0xFFFFF, BX        // two bits for each of the ten tags
	TZCNTL       BX, R14             // 32 if there is none: the load reads after the bucket, and is dropped
	MOVL         24(AX)(R14*2), AX   // rows
	TESTL        BX, BX
	CMOVQEQ      DX, AX
	IMULQ        R13, AX
	MOVQ         AX, (DI)(R12*8)
	PREFETCHT1   (R10)(AX*1)
	INCQ         R12
	CMPQ         R12, R8
	JLT          key
	VZEROUPPER

done:
	RET
