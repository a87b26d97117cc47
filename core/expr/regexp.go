package expr

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"
	"unicode/utf8"

	"github.com/velo-engine/velo/record"
)

// A pattern is a regular expression and, for a replacement, the text that replaces a match.
type pattern struct {
	re      *regexp.Regexp
	replace string // in the form that package regexp uses
	all     bool   // every match is replaced, and not only the first
	group   int    // what RegexpFind returns: what these parentheses match, or all if it is 0

	// needs is a text that every match has: at the beginning if begins is set.
	needs  []byte
	begins bool

	// fast is the same as a pattern of LIKE; it is nil if there is none.
	fast *likePattern
}

// fastPattern returns a pattern of LIKE that matches the same texts as a regular expression of
// plain characters, maybe with ^ before or $ after them.
func fastPattern(text, flags string) *likePattern {
	if flags != "" {
		return nil
	}
	plain, begin := strings.CutPrefix(text, "^")
	plain, end := strings.CutSuffix(plain, "$")
	if regexp.QuoteMeta(plain) != plain || strings.ContainsRune(plain, utf8.RuneError) || !utf8.ValidString(plain) {
		return nil
	}
	like := strings.NewReplacer("%", "!%", "_", "!_", "!", "!!").Replace(plain)
	if !begin {
		like = "%" + like
	}
	if !end && like != "%" {
		like += "%"
	}
	p, err := compileLike(like, '!', false)
	if err != nil || p.kind == likeOther {
		return nil
	}
	return p
}

// needed returns a text that every match of a regular expression begins with, and whether a match
// is at the beginning of the text. It returns nothing if it does not know one.
func needed(text string) (needs []byte, begins bool) {
	parsed, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return nil, false
	}
	list := []*syntax.Regexp{parsed.Simplify()}
	if list[0].Op == syntax.OpConcat {
		list = list[0].Sub
	}
	if len(list) > 0 && list[0].Op == syntax.OpBeginText {
		begins, list = true, list[1:]
	}
	if len(list) == 0 || list[0].Op != syntax.OpLiteral || list[0].Flags&syntax.FoldCase != 0 {
		return nil, false
	}
	needs = []byte(string(list[0].Rune))
	if bytes.ContainsRune(needs, utf8.RuneError) { // it also matches bytes that are not UTF-8
		return nil, false
	}
	return needs, begins
}

// vectorRegexp matches patterns without operators as LIKE does.
func vectorRegexp(m *Machine, e *node, a []*vec) bool {
	p := e.aux.(*pattern).fast
	if p == nil {
		return m.eachMatch(e, a)
	}
	return m.like(p, a)
}

// eachMatch is the loop of regular expressions that say whether a text matches.
func (m *Machine) eachMatch(e *node, a []*vec) bool {
	x, r, p := a[0], registerOf(a[1]), e.aux.(*pattern)
	r.bits = r.ownBits[:]
	clear(r.bits)
	for i := range m.n {
		if !r.isValid(i) {
			continue
		}
		text := x.text(i)
		if p.begins && !bytes.HasPrefix(text, p.needs) || !p.begins && !bytes.Contains(text, p.needs) {
			continue
		}
		r.bits[i>>6] |= word(p.re.Match(text)) << (i & 63)
	}
	return true
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

// Regexp applies a regular expression, which is a constant, to a text: RegexpMatch, RegexpFind,
// RegexpCount or RegexpPlace. The flag i ignores case.
func Regexp(op Op, x *Expr, text, flags string) (*Expr, error) {
	return RegexpGroup(op, x, text, flags, 0)
}

// RegexpGroup is Regexp; RegexpFind then finds what the parentheses of this number match, or all if
// it is 0.
func RegexpGroup(op Op, x *Expr, text, flags string, group int) (*Expr, error) {
	p, err := compilePattern(text, flags)
	if err != nil {
		return nil, err
	}
	if group < 0 || group > p.re.NumSubexp() {
		return nil, fmt.Errorf("expr: group %d of the regular expression %s, which has %d", group, quote(text),
			p.re.NumSubexp())
	}
	p.group = group
	name := fmt.Sprintf("%s, %s", quote(text), quote(flags))
	if group > 0 {
		name += fmt.Sprintf(", %d", group)
	}
	if op == RegexpMatch {
		p.needs, p.begins = needed(p.re.String())
		p.fast = fastPattern(text, flags)
	}
	return build(&Expr{op: op, name: name, args: []*Expr{x}, aux: p})
}

// Similar says whether a text as a whole matches a pattern of SQL's SIMILAR TO: % and _ as in LIKE,
// and | * + ? {} () [] as in regular expressions.
func Similar(x *Expr, pattern string, escape rune) (*Expr, error) {
	var b strings.Builder
	escaped, class := false, false
	for _, r := range pattern {
		switch {
		case escaped:
			b.WriteString(regexp.QuoteMeta(string(r)))
			escaped = false
		case r == escape && escape != 0:
			escaped = true
		case class:
			if r == '\\' {
				b.WriteByte('\\')
			}
			b.WriteRune(r)
			class = r != ']'
		case r == '[':
			b.WriteRune(r)
			class = true
		case r == '%':
			b.WriteString(".*")
		case r == '_':
			b.WriteByte('.')
		case strings.ContainsRune("|*+?{}()", r):
			b.WriteRune(r)
		default:
			b.WriteString(regexp.QuoteMeta(string(r)))
		}
	}
	if escaped {
		return nil, fmt.Errorf("expr: the pattern %s ends with its escape", quote(pattern))
	}
	return Regexp(RegexpMatch, x, `^(?:`+b.String()+`)$`, "")
}

// Glob says whether a text as a whole matches a pattern of GLOB: * is any number of characters, ?
// is one, and [...] is one of a class, [^...] or [!...] one that is not in it. A pattern without
// classes costs as much as LIKE.
func Glob(x *Expr, pattern string) (*Expr, error) {
	runes := []rune(pattern)
	var like, re strings.Builder
	classes := false
	for i := 0; i < len(runes); i++ {
		switch r := runes[i]; r {
		case '*':
			like.WriteByte('%')
			re.WriteString(".*")
		case '?':
			like.WriteByte('_')
			re.WriteByte('.')
		case '[':
			classes = true
			n, err := globClass(&re, runes[i+1:])
			if err != nil {
				return nil, fmt.Errorf("expr: the pattern %s: %w", quote(pattern), err)
			}
			i += n
		case '%', '_', '\\':
			like.WriteByte('\\')
			fallthrough
		default:
			like.WriteRune(r)
			re.WriteString(regexp.QuoteMeta(string(r)))
		}
	}
	if classes {
		return Regexp(RegexpMatch, x, `^(?:`+re.String()+`)$`, "")
	}
	return Like(x, like.String(), '\\', false)
}

// globClass writes a class of GLOB, which begins after its bracket, as one of a regular expression.
// It returns how many runes it has, with the closing bracket.
func globClass(to *strings.Builder, runes []rune) (n int, err error) {
	to.WriteByte('[')
	if n < len(runes) && (runes[n] == '^' || runes[n] == '!') {
		to.WriteByte('^')
		n++
	}
	for first := n; n < len(runes); n++ {
		r := runes[n]
		switch {
		case r == ']' && n > first:
			to.WriteByte(']')
			return n + 1, nil
		case r == '-' && n > first && n+1 < len(runes) && runes[n+1] != ']':
			if runes[n-1] > runes[n+1] {
				return 0, errors.New("a range of its [...] ends before it begins")
			}
			to.WriteByte('-')
		case strings.ContainsRune(`\[]^-&~`, r):
			to.WriteByte('\\')
			fallthrough
		default:
			to.WriteRune(r)
		}
	}
	return 0, errors.New("its [ has no ] after it")
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
		RegexpMatch: record.Bool, RegexpCount: record.Int64, RegexpPlace: record.Int64, RegexpFind: record.String,
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
	case RegexpPlace:
		at := p.re.FindStringIndex(s)
		if at == nil {
			return Value{}, nil
		}
		return Value{Bits: uint64(utf8.RuneCountInString(s[:at[0]]) + 1)}, nil
	case RegexpFind:
		at := p.re.FindStringSubmatchIndex(s)
		if at == nil || at[2*p.group] < 0 {
			return Value{Null: true}, nil
		}
		return Value{Text: s[at[2*p.group]:at[2*p.group+1]]}, nil
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
