package catalog

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
)

// order compares two values that are not NULL.
func order(a, b any) int {
	switch x := a.(type) {
	case int64:
		switch y := b.(type) {
		case int64:
			return three(x, y)
		case float64:
			return three(float64(x), y)
		}
	case float64:
		switch y := b.(type) {
		case float64:
			return three(x, y)
		case int64:
			return three(x, float64(y))
		}
	case string:
		if y, ok := b.(string); ok {
			return strings.Compare(x, y)
		}
	case bool:
		if y, ok := b.(bool); ok && x != y {
			if y {
				return -1
			}
			return 1
		} else if ok {
			return 0
		}
	case time.Time:
		if y, ok := b.(time.Time); ok {
			return x.Compare(y)
		}
	case []any:
		if y, ok := b.([]any); ok {
			return orderAll(x, y)
		}
	case record:
		if y, ok := b.(record); ok {
			return orderAll(x.fields, y.fields)
		}
	}
	return strings.Compare(fmt.Sprint(a), fmt.Sprint(b))
}

func three[T int64 | float64](x, y T) int {
	switch {
	case x < y:
		return -1
	case x > y:
		return 1
	}
	return 0
}

func orderAll(a, b []any) int {
	for i := range min(len(a), len(b)) {
		n := 0
		switch {
		case a[i] == nil && b[i] == nil:
		case a[i] == nil:
			n = 1
		case b[i] == nil:
			n = -1
		default:
			n = order(a[i], b[i])
		}
		if n != 0 {
			return n
		}
	}
	return three(int64(len(a)), int64(len(b)))
}

// rowKey is a text that is the same for rows that are not distinct.
func rowKey(row []any) string {
	var b strings.Builder
	for _, v := range row {
		switch v := v.(type) {
		case nil:
			b.WriteString("n;")
		case float64:
			if v == math.Trunc(v) && math.Abs(v) < 1<<53 { // 1.0 is 1
				fmt.Fprintf(&b, "%d;", int64(v))
			} else {
				fmt.Fprintf(&b, "%g;", v)
			}
		case int64:
			fmt.Fprintf(&b, "%d;", v)
		case string:
			fmt.Fprintf(&b, "s%d:%s;", len(v), v)
		case []any:
			b.WriteString("[" + rowKey(v) + "]")
		case record:
			b.WriteString("(" + rowKey(v.fields) + ")")
		default:
			fmt.Fprintf(&b, "%v;", v)
		}
	}
	return b.String()
}

func itoa(n int) string { return strconv.Itoa(n) }

func roundEven(f float64) int64 {
	f = math.RoundToEven(f)
	switch {
	case f >= math.MaxInt64:
		return math.MaxInt64
	case f <= math.MinInt64:
		return math.MinInt64
	}
	return int64(f)
}

// operator compiles an operator that is no comparison.
func (s *scope) operator(op string, l, r value, pos int) value {
	switch op {
	case "~", "~*", "!~", "!~*":
		return s.match(op, l, r, pos, regexpOf(strings.HasSuffix(op, "*")))
	case "~~", "~~*", "!~~", "!~~*":
		return s.match(op, l, r, pos, likeOf(strings.HasSuffix(op, "*")))
	case "||":
		return s.concat(l, r, pos)
	case "@>", "<@", "&&":
		return s.contains(op, l, r, pos)
	case "+", "-", "*", "/", "%", "^", "&", "|":
		return s.arithmetic(op, l, r, pos)
	}
	panic(fault(codeUnsupported, pos, "operator %s is not supported in statements about the catalog", op))
}

// match compiles the operators that compare with a pattern.
func (s *scope) match(op string, l, r value, pos int, compile func(string) (*regexp.Regexp, error)) value {
	l, r = s.coerce(l, oidText, pos), s.coerce(r, oidText, pos)
	var last string
	var re *regexp.Regexp
	var mu sync.Mutex
	return value{typ: oidBool, eval: func(e *env) (any, error) {
		a, err := l.eval(e)
		if err != nil || a == nil {
			return nil, err
		}
		b, err := r.eval(e)
		if err != nil || b == nil {
			return nil, err
		}
		text, ok := a.(string)
		pattern, ok2 := b.(string)
		if !ok || !ok2 {
			return nil, fault(
				codeUndefinedFunc,
				pos,
				"operator does not exist: %s %s %s",
				formatType(l.typ, -1, false),
				op,
				formatType(r.typ, -1, false),
			)
		}
		mu.Lock()
		defer mu.Unlock()
		if re == nil || pattern != last {
			re, err = compile(pattern)
			if err != nil {
				return nil, fault(codeBadRegexp, pos, "invalid regular expression: %v", err)
			}
			last = pattern
		}
		return re.MatchString(text) != strings.HasPrefix(op, "!"), nil
	}}
}

func regexpOf(fold bool) func(string) (*regexp.Regexp, error) {
	return func(p string) (*regexp.Regexp, error) {
		p = strings.TrimPrefix(p, "***:")
		flags := "(?s)"
		if fold {
			flags = "(?si)"
		}
		return regexp.Compile(flags + p)
	}
}

func likeOf(fold bool) func(string) (*regexp.Regexp, error) {
	return func(p string) (*regexp.Regexp, error) {
		var b strings.Builder
		b.WriteString("(?s")
		if fold {
			b.WriteString("i")
		}
		b.WriteString(")^")
		escaped := false
		for _, c := range p {
			switch {
			case escaped:
				b.WriteString(regexp.QuoteMeta(string(c)))
				escaped = false
			case c == '\\':
				escaped = true
			case c == '%':
				b.WriteString(".*")
			case c == '_':
				b.WriteString(".")
			default:
				b.WriteString(regexp.QuoteMeta(string(c)))
			}
		}
		return regexp.Compile(b.String() + "$")
	}
}

// concat is || of texts and of arrays.
func (s *scope) concat(l, r value, pos int) value {
	switch {
	case isArray(l.typ) && (r.lit != nil || r.par != nil):
		r = s.coerce(r, l.typ, pos)
	case isArray(r.typ) && (l.lit != nil || l.par != nil):
		l = s.coerce(l, r.typ, pos)
	default:
		l, r = s.coerce(l, oidText, pos), s.coerce(r, oidText, pos)
	}
	typ := uint32(oidText)
	if isArray(l.typ) {
		typ = l.typ
	} else if isArray(r.typ) {
		typ = r.typ
	}
	db := s.c.db
	return value{typ: typ, eval: func(e *env) (any, error) {
		a, err := l.eval(e)
		if err != nil {
			return nil, err
		}
		b, err := r.eval(e)
		if err != nil {
			return nil, err
		}
		if typ == oidText {
			if a == nil || b == nil {
				return nil, nil
			}
			x, y := db.asText(a, l.typ), db.asText(b, r.typ)
			return x + y, fits(len(x) + len(y))
		}
		x, y := listOf(a, isArray(l.typ)), listOf(b, isArray(r.typ))
		if x == nil && y == nil {
			return nil, nil
		}
		return append(x[:len(x):len(x)], y...), fits(len(x) + len(y))
	}}
}

// asText is a value cast to text: true, and not t.
func (d *Database) asText(v any, oid uint32) string {
	if b, ok := v.(bool); ok {
		return strconv.FormatBool(b)
	}
	return d.Text(v, oid)
}

// listOf is an array, or an element as an array. NULL as an array is nil.
func listOf(v any, array bool) []any {
	if array {
		all, _ := v.([]any)
		return all
	}
	return []any{v}
}

func (s *scope) contains(op string, l, r value, pos int) value {
	l, r = s.same(l, r, pos)
	if !isArray(l.typ) || !isArray(r.typ) {
		panic(fault(codeUndefinedFunc, pos, "operator does not exist: %s %s %s", formatType(l.typ, -1, false), op,
			formatType(r.typ, -1, false)))
	}
	return value{typ: oidBool, eval: func(e *env) (any, error) {
		a, err := l.eval(e)
		if err != nil || a == nil {
			return nil, err
		}
		b, err := r.eval(e)
		if err != nil || b == nil {
			return nil, err
		}
		x, _ := a.([]any)
		y, _ := b.([]any)
		if op == "<@" {
			x, y = y, x
		}
		has := map[string]bool{}
		for _, v := range x {
			has[rowKey([]any{v})] = v != nil
		}
		n := 0
		for _, v := range y {
			if has[rowKey([]any{v})] {
				n++
			}
		}
		if op == "&&" {
			return n > 0, nil
		}
		return n == len(y), nil
	}}
}

func (s *scope) arithmetic(op string, l, r value, pos int) value {
	l, r = s.same(l, r, pos)
	typ := common(l.typ, r.typ)
	if l.typ == oidUnknown || !isNumber(l.typ) || !isNumber(r.typ) {
		panic(fault(codeUndefinedFunc, pos, "operator does not exist: %s %s %s", formatType(l.typ, -1, false), op,
			formatType(r.typ, -1, false)))
	}
	if op == "^" {
		typ = oidFloat8
	}
	return value{typ: typ, eval: func(e *env) (any, error) {
		a, err := l.eval(e)
		if err != nil || a == nil {
			return nil, err
		}
		b, err := r.eval(e)
		if err != nil || b == nil {
			return nil, err
		}
		x, ok := a.(int64)
		y, ok2 := b.(int64)
		if ok && ok2 && op != "^" {
			n, err := wholeResult(op, x, y, pos)
			if err != nil {
				return nil, err
			}
			return n, inRange(typ, n, pos)
		}
		return floatResult(op, asFloat(a), asFloat(b), pos)
	}}
}

func asFloat(v any) float64 {
	switch v := v.(type) {
	case int64:
		return float64(v)
	case float64:
		return v
	}
	return math.NaN()
}

func wholeResult(op string, x, y int64, pos int) (int64, error) {
	n, over := int64(0), false
	switch op {
	case "+":
		n = x + y
		over = (n > x) != (y > 0)
	case "-":
		n = x - y
		over = (n < x) != (y > 0)
	case "*":
		n = x * y
		over = x != 0 && (n/x != y || x == -1 && y == math.MinInt64)
	case "&":
		n = x & y
	case "|":
		n = x | y
	default:
		if y == 0 {
			return 0, fault(codeDivision, pos, "division by zero")
		}
		if op == "%" {
			return x % y, nil
		}
		over = x == math.MinInt64 && y == -1
		n = x / y
	}
	if over {
		return 0, fault(codeRange, pos, "bigint out of range")
	}
	return n, nil
}

func floatResult(op string, x, y float64, pos int) (any, error) {
	switch op {
	case "+":
		return x + y, nil
	case "-":
		return x - y, nil
	case "*":
		return x * y, nil
	case "^":
		return math.Pow(x, y), nil
	case "/", "%":
		if y == 0 {
			return nil, fault(codeDivision, pos, "division by zero")
		}
		if op == "%" {
			return math.Mod(x, y), nil
		}
		return x / y, nil
	}
	return nil, fault(codeUnsupported, pos, "operator %s is not supported for these types", op)
}
