package expr

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/velo-engine/velo/record"
)

// Encode is encode(x, format) of a bytea: its bytes as a text in the format hex, base64 or escape.
func Encode(x *Expr, format string) (*Expr, error) {
	return build(&Expr{op: opEncode, name: format, args: []*Expr{x}})
}

// Decode is decode(x, format), the inverse of Encode.
func Decode(x *Expr, format string) (*Expr, error) {
	return build(&Expr{op: opDecode, name: format, args: []*Expr{x}})
}

// SHA is a digest of a bytea with that many bits: 224, 256, 384 or 512.
func SHA(x *Expr, size string) (*Expr, error) {
	return build(&Expr{op: opSHA, name: size, args: []*Expr{x}})
}

func codingTypes(e *Expr) error {
	e.name = strings.ToLower(e.name)
	switch e.name {
	case "hex", "base64", "escape":
	default:
		return fmt.Errorf("expr: there is no encoding %q, expected hex, base64 or escape", e.name)
	}
	if e.op == opDecode {
		return signature(record.Bytes, false, record.String)(e)
	}
	return signature(record.String, false, record.Bytes)(e)
}

// base64Bytes is after how many bytes PostgreSQL breaks a line of base64, which then has 76
// characters. It does so also at the end.
const base64Bytes = 57

// appendCoded appends what encode, decode and the digests make.
func appendCoded(e *Expr, to []byte, a []Value) ([]byte, error) {
	v := []byte(a[0].Text)
	switch e.op {
	case opEncode:
		return appendEncoded(to, e.name, v), nil
	case opDecode:
		return appendDecoded(to, e.name, v)
	}
	switch e.name {
	case "224":
		sum := sha256.Sum224(v)
		return append(to, sum[:]...), nil
	case "256":
		sum := sha256.Sum256(v)
		return append(to, sum[:]...), nil
	case "384":
		sum := sha512.Sum384(v)
		return append(to, sum[:]...), nil
	}
	sum := sha512.Sum512(v)
	return append(to, sum[:]...), nil
}

func appendEncoded(to []byte, format string, v []byte) []byte {
	switch format {
	case "hex":
		return hex.AppendEncode(to, v)
	case "base64":
		for len(v) >= base64Bytes {
			to = append(base64.StdEncoding.AppendEncode(to, v[:base64Bytes]), '\n')
			v = v[base64Bytes:]
		}
		return base64.StdEncoding.AppendEncode(to, v)
	}
	for _, c := range v { // as PostgreSQL does, only zero and the upper half are octal
		switch {
		case c == 0 || c >= 0x80:
			to = append(to, '\\', '0'+c>>6, '0'+c>>3&7, '0'+c&7)
		case c == '\\':
			to = append(to, '\\', '\\')
		default:
			to = append(to, c)
		}
	}
	return to
}

func appendDecoded(to []byte, format string, v []byte) ([]byte, error) {
	if format == "escape" {
		if strings.HasPrefix(string(v), `\x`) {
			return to, errors.New(`\x is no escape: after a backslash come another one or three octal digits`)
		}
		_, to, err := record.ParseLogical(to, record.Bytes, string(v))
		return to, err
	}
	text := strings.Map(func(r rune) rune {
		if strings.ContainsRune(" \t\n\r", r) {
			return -1
		}
		return r
	}, string(v))
	at := len(to)
	var err error
	if format == "hex" {
		to, err = hex.AppendDecode(to, []byte(text))
	} else {
		to, err = base64.StdEncoding.AppendDecode(to, []byte(text))
	}
	if err != nil {
		return to[:at], fmt.Errorf("it is no %s", format)
	}
	return to, nil
}

func shaTypes(e *Expr) error { return signature(record.Bytes, false, record.Bytes)(e) }

// evalSubBytes is a part of a bytea: from a byte on, counted from 1, and optionally how many.
func evalSubBytes(_ *Expr, a []Value) (Value, error) {
	text := a[0].Text
	from, end := int64(a[1].Bits), int64(len(text))+1
	if len(a) > 2 {
		n := int64(a[2].Bits)
		if n < 0 {
			return Value{}, errors.New("a negative number of bytes")
		}
		if sum := from + n; sum >= from || from < 0 {
			end = min(end, sum)
		}
	}
	from = max(from, 1)
	if from >= end {
		return Value{Text: ""}, nil
	}
	return Value{Text: text[from-1 : end-1]}, nil
}

func evalPositionBytes(_ *Expr, a []Value) (Value, error) {
	return Value{Bits: uint64(strings.Index(a[0].Text, a[1].Text) + 1)}, nil
}

func trimBytesTypes(e *Expr) error {
	return signature(record.Bytes, false, record.Bytes, record.Bytes)(e)
}

// evalTrimBytes takes bytes off the ends of a bytea, as long as the second argument has them.
func evalTrimBytes(e *Expr, a []Value) (Value, error) {
	text, set := a[0].Text, a[1].Text
	from, end := 0, len(text)
	for e.op != TrimBytesRight && from < end && strings.IndexByte(set, text[from]) >= 0 {
		from++
	}
	for e.op != TrimBytesLeft && from < end && strings.IndexByte(set, text[end-1]) >= 0 {
		end--
	}
	return Value{Text: text[from:end]}, nil
}
