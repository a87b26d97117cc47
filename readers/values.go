package readers

import (
	"bytes"
	"fmt"
	"math"
)

// number reads a bigint or a decimal exactly: digits with an optional sign and, for a decimal, a
// point. Digits after the point that the column has no room for must be zeros.
func (f *field) number(text []byte) (int64, error) {
	bad := func() error {
		if f.limit == 0 {
			return fmt.Errorf("%.40q is not a bigint", text)
		}
		return fmt.Errorf("%.40q is not a decimal with %d digits after the point", text, f.scale)
	}
	rest := text
	negative := rest[0] == '-'
	if negative || rest[0] == '+' {
		rest = rest[1:]
	}
	var v uint64
	digits, behind, point := 0, 0, false
	for _, c := range rest {
		if c == '.' && !point && f.limit != 0 {
			point = true
			continue
		}
		if c < '0' || c > '9' {
			return 0, bad()
		}
		digits++
		if point {
			behind++
			if behind > f.scale {
				if c != '0' {
					return 0, fmt.Errorf("%.40q has more than %d digits after the point", text, f.scale)
				}
				continue
			}
		}
		if v > (math.MaxUint64-9)/10 {
			return 0, fmt.Errorf("%.40q is out of range", text)
		}
		v = 10*v + uint64(c-'0')
	}
	if digits == 0 {
		return 0, bad()
	}
	for ; behind < f.scale; behind++ {
		if v > math.MaxUint64/10 {
			return 0, fmt.Errorf("%.40q is out of range", text)
		}
		v *= 10
	}
	limit := uint64(math.MaxInt64)
	if f.limit != 0 {
		limit = uint64(f.limit)
	} else if negative {
		limit++
	}
	if v > limit {
		return 0, fmt.Errorf("%.40q is out of range", text)
	}
	if negative {
		return -int64(v), nil
	}
	return int64(v), nil
}

// parseBool reads true, false, t, f, 1 or 0, in any case.
func parseBool(text []byte) (int64, error) {
	// The lengths are compared because EqualFold also matches longer characters that are an s in
	// another case.
	for _, s := range []string{"true", "t", "1"} {
		if len(text) == len(s) && bytes.EqualFold(text, []byte(s)) {
			return 1, nil
		}
	}
	for _, s := range []string{"false", "f", "0"} {
		if len(text) == len(s) && bytes.EqualFold(text, []byte(s)) {
			return 0, nil
		}
	}
	return 0, fmt.Errorf("%.40q is not a boolean", text)
}
