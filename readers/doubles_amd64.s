//go:build !purego

#include "textflag.h"

#define SPLAT(value, x) \
	MOVQ         $value, AX \
	VMOVQ        AX, x      \
	VPBROADCASTQ x, x

// func doublesAVX2(base unsafe.Pointer, at *uint32, values *float64, n, width int, before, end uint64) (done int)
//
// SI: base. DI: the places of the number. R10: where its value goes. CX: how many are left. R9: bytes from one
// number's places to the next one's. R11: before. R12: end. No branch depends on the length, the sign or the point.
TEXT ·doublesAVX2(SB), NOSPLIT, $0-64
	MOVQ base+0(FP), SI
	MOVQ at+8(FP), DI
	MOVQ values+16(FP), R10
	MOVQ n+24(FP), CX
	MOVQ width+32(FP), R9
	SHLQ $2, R9
	MOVQ before+40(FP), R11
	MOVQ end+48(FP), R12
	LEAQ ·lastBytes(SB), BX
	LEAQ ·pointTaken(SB), R13
	LEAQ ·divisors(SB), R15
	SPLAT(0x3030303030303030, X8)  // '0'
	SPLAT(0x2e2e2e2e2e2e2e2e, X9)  // a point
	SPLAT(0x0909090909090909, X10)
	SPLAT(0x010a010a010a010a, X11) // 10 and 1
	SPLAT(0x0001006400010064, X12) // 100 and 1
	SPLAT(0x0001271000012710, X13) // 10,000 and 1

number:
	MOVL  (DI), AX
	ADDQ  R11, AX
	MOVL  4(DI), DX
	CMPB  R12, (SI)(DX*1)
	JNE   done
	MOVQ  DX, R8
	SUBQ  AX, R8               // R8: bytes of the number
	XORL  R14, R14
	CMPB  (SI)(AX*1), $0x2d
	SETEQ R14                  // R14: 1 if there is a minus
	LEAQ  -1(R8), AX
	CMPQ  AX, $15
	JHI   done
	SUBQ  R14, R8
	JZ    done

	// The bytes before the number become zeros.
	VMOVDQU   -16(SI)(DX*1), X0
	VMOVDQU   (BX)(R8*1), X1
	VPBLENDVB X1, X0, X8, X0

	// AX: the place of the first point, or 16. There must be digits on both sides.
	VPCMPEQB  X0, X9, X2
	VPMOVMSKB X2, AX
	ORL       $0x10000, AX
	TZCNTL    AX, AX
	LEAQ      (AX)(R8*1), DX
	CMPQ      DX, $16
	JEQ       done
	CMPQ      AX, $15
	JEQ       done
	MOVQ      AX, DX
	SHLQ      $4, DX
	VPSUBB    X8, X0, X0
	VPSHUFB   (R13)(DX*1), X0, X0
	VPMINUB   X0, X10, X1
	VPCMPEQB  X0, X1, X1
	VPMOVMSKB X1, DX
	CMPL      DX, $0xffff
	JNE       done

	VPMADDUBSW X11, X0, X0
	VPMADDWD   X12, X0, X0
	VPACKUSDW  X0, X0, X0
	VPMADDWD   X13, X0, X0
	VMOVQ      X0, DX
	MOVL       DX, R8
	SHRQ       $32, DX
	IMUL3Q     $100000000, R8, R8
	ADDQ       R8, DX              // DX: the digits
	MOVQ       $0x20000000000000, R8
	CMPQ       DX, R8
	JHI        done                // a double may not hold them
	VXORPD     X4, X4, X4
	VCVTSI2SDQ DX, X4, X4
	VDIVSD     (R15)(AX*8), X4, X4
	SHLQ       $63, R14
	VMOVQ      R14, X5
	VPXOR      X5, X4, X4
	VMOVSD     X4, (R10)
	ADDQ       $8, R10
	ADDQ       R9, DI
	DECQ       CX
	JNZ        number

done:
	MOVQ n+24(FP), AX
	SUBQ CX, AX
	MOVQ AX, done+56(FP)
	VZEROUPPER
	RET
