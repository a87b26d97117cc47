//go:build !purego

#include "textflag.h"
#include "go_asm.h"

#define BYTES(value, x, y) \
	MOVL         $value, AX \
	VMOVD        AX, x      \
	VPBROADCASTB x, y

// ENDS sets the bits of a register for the bytes, of 32, that are a quote, a backslash or below a
// space. With one bit changed, a quote is the least byte that is not below a space.
#define ENDS(bytes, to) \
	VMOVDQU   bytes, Y0   \
	VPXOR     Y0, Y8, Y1  \
	VPMINUB   Y1, Y9, Y2  \
	VPCMPEQB  Y1, Y2, Y2  \
	VPCMPEQB  Y0, Y10, Y0 \
	VPOR      Y0, Y2, Y0  \
	VPMOVMSKB Y0, to

// MASK2 makes one word of the lanes of two vectors.
#define MASK2(a, b, to) \
	VPMOVMSKB a, to  \
	VPMOVMSKB b, AX  \
	SHLQ      $32, AX \
	ORQ       AX, to

// EQUAL2 compares both vectors of bytes with y.
#define EQUAL2(y, a, b) \
	VPCMPEQB Y0, y, a \
	VPCMPEQB Y1, y, b

// TABLES loads the bases of the tables.
#define TABLES \
	MOVQ jsonWalk_buf(R14), DI    \
	MOVQ jsonWalk_links(R14), BX  \
	MOVQ jsonWalk_keys(R14), R8   \
	MOVQ jsonWalk_frames(R14), R9 \
	MOVQ jsonWalk_line(R14), R13  \
	MOVQ jsonWalk_spans(R14), R10 \
	LEAQ (R10)(R13*8), R10        \
	MOVQ jsonWalk_marked(R14), R15

// func walkJSONAVX2(w *jsonWalk)
//
// SI: the next byte. DI: the first byte of the buffer. R11: the key. BX, R8, R9: the first link, key and
// frame. R13: the line. R10: the spans of the line in the first column. R15: one before the first byte that
// is marked. R14: w. CX: the end of a value.
//
// The ends of strings are marked 4,096 bytes at a time. So where a string ends is known a load, a shift and a count
// after where it begins; to search it in vectors takes twice as long, and one string waits for the other.
TEXT ·walkJSONAVX2(SB), NOSPLIT, $0-8
	MOVQ w+0(FP), R14
	BYTES(0x02, X8, Y8)   // the bit between a quote and a space
	BYTES(0x20, X9, Y9)   // a space
	BYTES(0x5c, X10, Y10) // a backslash
	BYTES(0x7b, X13, Y13) // an opening brace
	BYTES(0x7d, X14, Y14) // a closing brace
	BYTES(0x1f, X15, Y15) // the greatest control
	BYTES(0x22, X6, Y6)   // a quote
	BYTES(0x0f, X5, Y5)   // the lower half of a byte
	VPCMPEQD  X7, X7, X7
	VMOVDQU   jsonWordLow<>(SB), X11
	VMOVDQU   jsonWordHigh<>(SB), X12
	TABLES
	MOVQ jsonWalk_pos(R14), SI
	ADDQ DI, SI
	MOVQ jsonWalk_key(R14), R11
	ADDQ R8, R11
	MOVQ jsonWalk_state(R14), AX
	CMPQ AX, $const_walkAfter
	JLT  line
	JEQ  after
	CMPQ AX, $const_walkValue
	JEQ  value
	JMP  close

line:
	CMPQ R13, jsonWalk_lines(R14)
	JAE  done
	MOVQ SI, AX
	SUBQ DI, AX
	CMPQ AX, jsonWalk_end(R14)
	JAE  done
	MOVQ AX, jsonWalk_begin(R14)
	INCQ jsonWalk_number(R14)
	MOVL jsonFrame_first(R9), R11
	ADDQ R8, R11

after:
	MOVL jsonKey_link(R11), R12
	TESTL R12, R12
	JZ   unlinked

link:
	ADDQ      BX, R12
	VMOVDQU   jsonLink_text(R12), Y0
	VPCMPEQB  (SI), Y0, Y0
	VPMOVMSKB Y0, AX
	ORL       jsonLink_beyond(R12), AX
	MOVL      jsonLink_length(R12), CX
	CMPL      AX, $-1
	JNE       differs
	CMPL      CX, $32
	JGT       long

linked:
	ADDQ CX, SI
	MOVL jsonLink_key(R12), R11
	ADDQ R8, R11

value:
	MOVBLZX (SI), AX
	MOVL    jsonKey_flags(R11), DX
	TESTL   DX, DX
	JNZ     special

plain:
	CMPL AX, $0x22
	JNE  other
	CMPQ SI, jsonWalk_markedEnd(R14)
	JAE  mark

string:
	MOVQ   SI, CX
	SUBQ   R15, CX
	MOVQ   CX, AX
	SHRQ   $3, AX
	MOVQ   jsonWalk_marks(R14)(AX*1), AX
	ANDL   $7, CX
	SHRXQ  CX, AX, AX
	TZCNTQ AX, AX
	JCS    longString
	LEAQ   1(SI)(AX*1), CX
	CMPB   (CX), $0x22
	JNE    escape
	INCQ   CX

note:
	MOVL  jsonKey_slot(R11), DX
	CMPL  DX, $-1
	JEQ   noted
	ADDQ  R10, DX
	CMPL  4(DX), $0
	JNE   unusual         // the field comes twice
	MOVQ  SI, AX
	SUBQ  DI, AX
	DECQ  AX
	MOVL  AX, (DX)
	MOVQ  CX, AX
	SUBQ  DI, AX
	MOVL  AX, 4(DX)

noted:
	MOVQ CX, SI
	JMP  after

mark:
	MOVQ SI, CX
	ANDQ $~63, CX
	LEAQ -1(CX), R15
	MOVQ R15, jsonWalk_marked(R14)
	MOVQ jsonWalk_last(R14), DX
	LEAQ 63(DI)(DX*1), DX
	SUBQ CX, DX
	SHRQ $6, DX
	MOVL $const_maxMarks, AX
	CMPQ DX, AX
	CMOVQHI AX, DX
	LEAQ jsonWalk_marks(R14), R12

marking:
	ENDS((CX), AX)
	ENDS(32(CX), BX)
	SHLQ $32, BX
	ORQ  BX, AX
	MOVQ AX, (R12)
	ADDQ $64, CX
	ADDQ $8, R12
	DECQ DX
	JNZ  marking
	MOVQ DX, (R12)
	MOVQ CX, jsonWalk_markedEnd(R14)
	MOVQ jsonWalk_links(R14), BX
	JMP  string

longString:
	LEAQ 1(SI), CX

longer:
	ENDS((CX), AX)
	TESTL  AX, AX
	JZ     further
	TZCNTL AX, AX
	ADDQ   AX, CX
	CMPB   (CX), $0x22
	JNE    escape
	INCQ   CX
	JMP    note

further:
	ADDQ $32, CX
	JMP  longer

other:
	MOVL AX, DX
	ORL  $0x20, DX
	CMPL DX, $0x7b
	JEQ  brackets

	// A number or a word. A byte belongs to it if the tables of its halves have a common bit.
	MOVQ SI, CX

word:
	VMOVDQU   (CX), X0
	VPSRLW    $4, X0, X1
	VPAND     X5, X1, X1
	VPSHUFB   X1, X12, X1
	VPSHUFB   X0, X11, X0
	VPAND     X0, X1, X0
	VPXOR     X1, X1, X1
	VPCMPEQB  X0, X1, X0
	VPMOVMSKB X0, AX
	TESTL     AX, AX
	JZ        longWord
	TZCNTL    AX, AX
	ADDQ      AX, CX
	CMPQ      CX, SI
	JNE       note
	JMP       unusual

longWord:
	ADDQ $16, CX
	JMP  word

differs:
	MOVL  jsonLink_next(R12), R12
	TESTL R12, R12
	JNZ   link

unlinked:
	MOVBLZX (SI), AX
	MOVL    jsonKey_flags(R11), DX
	TESTL   $const_keyOpens, DX
	JNZ     empty
	CMPL    AX, $0x7d
	JNE     missing

close:
	INCQ SI
	MOVL jsonKey_frame(R11), R12
	TESTL R12, R12
	JZ   lineEnd
	ADDQ R9, R12
	MOVL jsonFrame_key(R12), R11
	ADDQ R8, R11
	MOVL jsonKey_slot(R11), DX
	CMPL DX, $-1
	JEQ  after
	MOVQ SI, CX
	MOVL jsonFrame_begin(R12), SI
	ADDQ DI, SI
	JMP  note

lineEnd:
	CMPB (SI), $0x0d
	JNE  newline
	INCQ SI

newline:
	CMPB (SI), $0x0a
	JNE  unusual
	MOVQ SI, AX
	SUBQ DI, AX
	MOVQ jsonWalk_ends(R14), DX
	MOVL AX, (DX)(R13*4)
	SUBQ jsonWalk_begin(R14), AX
	CMPQ AX, jsonWalk_longest(R14)
	JA   unusual
	INCQ SI
	INCQ R13
	ADDQ $8, R10
	JMP  line

long:
	VMOVDQU   (jsonLink_text+32)(R12), Y0
	VPCMPEQB  32(SI), Y0, Y0
	VPMOVMSKB Y0, AX
	ORL       (jsonLink_beyond+4)(R12), AX
	CMPL      AX, $-1
	JEQ       linked
	JMP       differs

empty:
	CMPL AX, $0x7b
	JNE  missing
	CMPB 1(SI), $0x7d
	JNE  missing
	INCQ SI
	JMP  close

special:
	TESTL $const_keyNotNull, DX
	JZ    within
	CMPL  AX, $0x6e
	JEQ   unusual

within:
	TESTL $const_keyWithin, DX
	JZ    checked
	MOVL  jsonKey_within(R11), R12
	ADDQ  R9, R12
	MOVQ  jsonWalk_number(R14), CX
	CMPQ  CX, jsonFrame_line(R12)
	JEQ   unusual // the object comes twice
	MOVQ  CX, jsonFrame_line(R12)
	CMPL  AX, $0x7b
	JNE   checked
	SUBQ  R8, R11
	MOVL  R11, jsonFrame_key(R12)
	MOVQ  SI, AX
	SUBQ  DI, AX
	MOVL  AX, jsonFrame_begin(R12)
	MOVL  jsonFrame_first(R12), R11
	ADDQ  R8, R11
	JMP   after

checked:
	TESTL $const_keyChecked, DX
	JZ    plain
	CMPL  AX, $0x22
	JEQ   plain
	JMP   check

escape:
	// CX is at a backslash or a control.
	CMPB  (CX), $0x5c
	JNE   unusual
	CMPB  1(CX), $0x20
	JB    unusual
	ADDQ  $2, CX

escaped:
	ENDS((CX), AX)
	TESTL  AX, AX
	JZ     longEscaped
	TZCNTL AX, AX
	ADDQ   AX, CX
	CMPB   (CX), $0x22
	JNE    escape
	INCQ   CX
	TESTL  $const_keyChecked, jsonKey_flags(R11)
	JNZ    check
	CMPL   jsonKey_slot(R11), $-1
	JEQ    noted
	MOVQ   jsonWalk_found(R14), AX
	CMPQ   AX, $const_maxEscaped
	JAE    unusual
	MOVQ   jsonWalk_escaped(R14), DX
	MOVL   jsonKey_column(R11), R12
	MOVL   R12, (DX)(AX*8)
	MOVL   R13, 4(DX)(AX*8)
	INCQ   AX
	MOVQ   AX, jsonWalk_found(R14)
	JMP    note

longEscaped:
	ADDQ $32, CX
	JMP  escaped

brackets:
	// R8: quotes. R9: brackets. R10: what must not be. BX: backslashes. R12: inside of a string, from
	// before. DI: escaped, from before. R13: the kinds of open brackets. R15: how many there are.
	MOVQ R13, jsonWalk_line(R14)
	MOVQ SI, CX
	XORL R12, R12
	XORL DI, DI
	XORL R13, R13
	XORL R15, R15

block:
	VMOVDQU (CX), Y0
	VMOVDQU 32(CX), Y1
	EQUAL2(Y6, Y2, Y3)
	MASK2(Y2, Y3, R8)
	EQUAL2(Y10, Y2, Y3)
	MASK2(Y2, Y3, BX)
	VPMINUB  Y0, Y15, Y2
	VPMINUB  Y1, Y15, Y3
	VPCMPEQB Y0, Y2, Y2
	VPCMPEQB Y1, Y3, Y3
	MASK2(Y2, Y3, R10)
	VPOR Y0, Y9, Y0
	VPOR Y1, Y9, Y1
	EQUAL2(Y13, Y2, Y3)
	EQUAL2(Y14, Y0, Y1)
	VPOR Y0, Y2, Y2
	VPOR Y1, Y3, Y3
	MASK2(Y2, Y3, R9)

	MOVQ BX, AX
	ORQ  DI, AX
	JNZ  escapes

unescaped:
	VMOVQ      R8, X3
	VPCLMULQDQ $0, X7, X3, X3
	VMOVQ      X3, AX
	XORQ       R12, AX      // AX: inside
	MOVQ       AX, R12
	SARQ       $63, R12
	ANDNQ      BX, AX, BX   // backslashes outside of strings
	ORQ        BX, R10
	ANDNQ      R9, AX, R9

bracket:
	TESTQ   R9, R9
	JZ      nextBlock
	TZCNTQ  R9, AX
	BLSRQ   R9, R9
	MOVBLZX (CX)(AX*1), DX
	TESTL   $4, DX
	JNZ     closing
	CMPQ    R15, $const_maxWalkDepth
	JAE     unusualBrackets
	INCQ    R15
	SHRL    $5, DX
	ANDL    $1, DX
	LEAQ    (DX)(R13*2), R13
	JMP     bracket

closing:
	SHRL  $5, DX
	XORL  R13, DX
	TESTL $1, DX
	JNZ   unusualBrackets
	SHRQ  $1, R13
	DECQ  R15
	JNZ   bracket
	MOVQ  $-1, DX
	BZHIQ AX, DX, DX
	TESTQ DX, R10
	JNZ   unusualBrackets
	LEAQ  1(CX)(AX*1), CX
	TABLES
	JMP   note

nextBlock:
	TESTQ R10, R10
	JNZ   unusualBrackets
	ADDQ  $64, CX
	JMP   block

escapes:
	// AX: backslashes and what is escaped from before. Escaped quotes do not count. See unescapedQuotes.
	MOVQ  SI, jsonWalk_pos(R14)
	ANDNQ BX, DI, DX
	MOVQ  $0xaaaaaaaaaaaaaaaa, DI
	LEAQ  (DX)(DX*1), SI
	ORQ   DI, SI
	SUBQ  DX, SI
	XORQ  DI, SI
	XORQ  SI, AX
	ANDNQ R8, AX, R8
	ANDQ  BX, SI
	SHRQ  $63, SI
	MOVQ  SI, DI
	MOVQ  jsonWalk_pos(R14), SI
	JMP   unescaped

unusualBrackets:
	TABLES

unusual:
	MOVQ $const_walkUnusual, AX
	JMP  stop

done:
	MOVQ $const_walkDone, AX
	MOVQ $const_walkLine, jsonWalk_state(R14)
	JMP  stop

missing:
	MOVQ $const_walkMissing, AX
	JMP  stop

check:
	MOVQ $const_walkCheck, AX

stop:
	MOVQ AX, jsonWalk_why(R14)
	SUBQ DI, SI
	MOVQ SI, jsonWalk_pos(R14)
	SUBQ R8, R11
	MOVQ R11, jsonWalk_key(R14)
	MOVQ R13, jsonWalk_line(R14)
	VZEROUPPER
	RET

// The bits are for + - . and for digits, for 0x40-0x4f and 0x60-0x6f, and for 0x50-0x5f and 0x70-0x7f
// without brackets and backslash.
DATA jsonWordLow<>+0(SB)/8, $0x0e0e0e0e0e0e0e0e
DATA jsonWordLow<>+8(SB)/8, $0x0c0d0504050c0e0e
GLOBL jsonWordLow<>(SB), RODATA|NOPTR, $16
DATA jsonWordHigh<>+0(SB)/8, $0x0804080402010000
DATA jsonWordHigh<>+8(SB)/8, $0x0000000000000000
GLOBL jsonWordHigh<>(SB), RODATA|NOPTR, $16
