package expr

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/velo-engine/velo/record"
)

// A pattern is a regular expression and, for a replacement, the text that replaces a match.
type pattern struct {
	re      *regexp.Regexp
	replace string // in the form that package regexp uses
	all     bool   // every match is replaced, and not only the first
}

// MaxPattern bounds the bytes of a regular expression.
const MaxPattern = 1 << 12

// compilePattern makes a regular expression of Go's syntax (RE2). As in PostgreSQL a dot matches a
// line feed too, and ^ and $ match the ends of the text, unless the flag n or m makes them match
// the ends of lines.
func compilePattern(text, flags string) (*pattern, error) {
	if len(text) > MaxPattern {
		return nil, fmt.Errorf("expr: a regular expression of %d bytes, at most %d are allowed", len(text), MaxPattern)
	}
	p, modes := &pattern{}, "s"
	for _, f := range flags {
		switch f {
		case 'i':
			modes += "i"
		case 'g':
			p.all = true
		case 'n', 'm':
			modes = strings.ReplaceAll(modes, "s", "") + "m"
		case 'c', 's':
		default:
			return nil, fmt.Errorf("expr: the flag %q of a regular expression, expected some of g, i, n", f)
		}
	}
	if modes != "" {
		modes = "(?" + modes + ")"
	}
	re, err := regexp.Compile(modes + text)
	if err != nil {
		return nil, fmt.Errorf("expr: the regular expression %s: %w (the syntax is RE2's)", quote(text), err)
	}
	p.re = re
	return p, nil
}

// Regexp applies a regular expression, which is a constant, to a text: RegexpMatch, RegexpFind or
// RegexpCount. The flag i ignores case.
func Regexp(op Op, x *Expr, text, flags string) (*Expr, error) {
	p, err := compilePattern(text, flags)
	if err != nil {
		return nil, err
	}
	return build(&Expr{op: op, name: fmt.Sprintf("%s, %s", quote(text), quote(flags)), args: []*Expr{x}, aux: p})
}

// RegexpReplace replaces the first match of a regular expression in a text, or all matches with the
// flag g. In the replacement \1 is what the first parentheses matched, \& is the whole match, and
// \\ is a backslash.
func RegexpReplace(x *Expr, text, replacement, flags string) (*Expr, error) {
	p, err := compilePattern(text, flags)
	if err != nil {
		return nil, err
	}
	var b strings.Builder
	for i := 0; i < len(replacement); i++ {
		c := replacement[i]
		switch {
		case c == '$':
			b.WriteString("$$")
		case c == '\\' && i+1 < len(replacement):
			i++
			switch d := replacement[i]; {
			case d >= '1' && d <= '9':
				b.WriteString("${" + string(d) + "}")
			case d == '&':
				b.WriteString("${0}")
			case d == '\\':
				b.WriteByte('\\')
			default:
				b.WriteByte('\\')
				i--
			}
		default:
			b.WriteByte(c)
		}
	}
	p.replace = b.String()
	name := fmt.Sprintf("%s, %s, %s", quote(text), quote(replacement), quote(flags))
	return build(&Expr{op: regexpReplace, name: name, args: []*Expr{x}, aux: p})
}

func regexpTypes(e *Expr) error {
	result := map[Op]record.Type{
		RegexpMatch: record.Bool, RegexpCount: record.Int64, RegexpFind: record.String,
		regexpReplace: record.String,
	}[e.op]
	if err := signature(result, false, record.String)(e); err != nil {
		return err
	}
	e.nullable = e.nullable || e.op == RegexpFind
	return nil
}

func evalRegexp(e *Expr, a []Value) (Value, error) {
	p, s := e.aux.(*pattern), a[0].Text
	switch e.op {
	case RegexpMatch:
		return Value{Bits: word(p.re.MatchString(s))}, nil
	case RegexpCount:
		return Value{Bits: uint64(len(p.re.FindAllStringIndex(s, -1)))}, nil
	case RegexpFind:
		at := p.re.FindStringIndex(s)
		if at == nil {
			return Value{Null: true}, nil
		}
		return Value{Text: s[at[0]:at[1]]}, nil
	}
	return evalMade(e, a)
}

// appendReplaced appends a text in which matches are replaced.
func appendReplaced(e *Expr, to []byte, a []Value) ([]byte, error) {
	p, s, begin := e.aux.(*pattern), a[0].Text, len(to)
	most := 1
	if p.all {
		most = -1
	}
	last := 0
	for _, at := range p.re.FindAllStringSubmatchIndex(s, most) {
		to = append(to, s[last:at[0]]...)
		to = p.re.ExpandString(to, p.replace, s, at)
		last = at[1]
		if len(to)-begin > MaxText {
			return to[:begin], fmt.Errorf("a text of more than %d bytes", MaxText)
		}
	}
	return append(to, s[last:]...), nil
}
