package catalog

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// A Kind is the kind of a token.
type Kind uint8

// Kinds of tokens.
const (
	End       Kind = iota
	Word           // a keyword or a name, folded to lower case
	Quoted         // a name in double quotes, as it is
	String         // a string constant, without quotes and escapes
	Number         // a number
	Parameter      // $1
	Operator       // <=, ~, ::, and others
	Punct          // ( ) [ ] , ; .
)

// A Token is one token of a statement.
type Token struct {
	Kind Kind
	Text string
	Pos  int // where it begins, in bytes
	End  int // where it ends
}

// Is says whether the token is this keyword, operator or sign.
func (t Token) Is(text string) bool {
	return (t.Kind == Word || t.Kind == Operator || t.Kind == Punct) && t.Text == text
}

// An Error is a fault of a statement, with its SQLSTATE and the place of it.
type Error struct {
	Code    string
	Message string
	Hint    string
	Pos     int // in bytes; -1 if there is no place
}

func (e *Error) Error() string { return e.Message }

// SQLSTATEs that the catalog gives.
const (
	codeSyntax        = "42601"
	codeUndefinedName = "42703"
	codeUndefinedRel  = "42P01"
	codeUndefinedFunc = "42883"
	codeUndefinedObj  = "42704"
	codeAmbiguous     = "42702"
	codeMismatch      = "42804"
	codeBadText       = "22P02"
	codeDivision      = "22012"
	codeCardinality   = "21000"
	codeUnsupported   = "0A000"
	codeTooComplex    = "54001"
	codeGrouping      = "42803"
	codeRange         = "22003"
	codeBadRegexp     = "2201B"
	codeBadValue      = "22023"
)

func fault(code string, pos int, format string, args ...any) *Error {
	return &Error{Code: code, Pos: pos, Message: fmt.Sprintf(format, args...)}
}

// Tokens are the tokens of a text of SQL, with a last one of kind End.
func Tokens(text string) ([]Token, error) {
	l := lexer{text: text}
	var all []Token
	for {
		t, err := l.next()
		if err != nil {
			return nil, err
		}
		all = append(all, t)
		if t.Kind == End {
			return all, nil
		}
	}
}

// Split gives the tokens of each statement of a text, without the semicolons. Statements without
// tokens are left out.
func Split(text string) ([][]Token, error) {
	all, err := Tokens(text)
	if err != nil {
		return nil, err
	}
	var statements [][]Token
	from := 0
	for i, t := range all {
		if t.Kind != End && !t.Is(";") {
			continue
		}
		if i > from {
			last := all[i-1].End
			one := append(all[from:i:i], Token{Kind: End, Pos: last, End: last})
			statements = append(statements, one)
		}
		from = i + 1
	}
	return statements, nil
}

type lexer struct {
	text string
	at   int
}

func isSpace(c byte) bool {
	return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v'
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isLetter(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c >= utf8.RuneSelf
}

func (l *lexer) byteAt(i int) byte {
	if i < len(l.text) {
		return l.text[i]
	}
	return 0
}

// space skips blanks and comments. Comments of PostgreSQL nest.
func (l *lexer) space() error {
	for l.at < len(l.text) {
		switch {
		case isSpace(l.text[l.at]):
			l.at++
		case strings.HasPrefix(l.text[l.at:], "--"):
			n := strings.IndexByte(l.text[l.at:], '\n')
			if n < 0 {
				l.at = len(l.text)
				return nil
			}
			l.at += n + 1
		case strings.HasPrefix(l.text[l.at:], "/*"):
			from, depth := l.at, 0
			for {
				switch {
				case l.at >= len(l.text):
					return fault(codeSyntax, from, "unterminated /* comment")
				case strings.HasPrefix(l.text[l.at:], "/*"):
					depth++
					l.at += 2
				case strings.HasPrefix(l.text[l.at:], "*/"):
					depth--
					l.at += 2
				default:
					l.at++
				}
				if depth == 0 {
					break
				}
			}
		default:
			return nil
		}
	}
	return nil
}

func (l *lexer) next() (Token, error) {
	err := l.space()
	if err != nil {
		return Token{}, err
	}
	from := l.at
	if from >= len(l.text) {
		return Token{Kind: End, Pos: from, End: from}, nil
	}
	c, d := l.text[from], l.byteAt(from+1)
	switch {
	case c == 0:
		return Token{}, fault(codeSyntax, from, "a statement may not have a zero byte")
	case (c == 'E' || c == 'e') && d == '\'':
		l.at++
		return l.quoted(from, true)
	case (c == 'N' || c == 'n') && d == '\'':
		l.at++
		return l.quoted(from, false)
	case isLetter(c):
		for l.at < len(l.text) && (isLetter(l.text[l.at]) || isDigit(l.text[l.at]) || l.text[l.at] == '$') {
			l.at++
		}
		return l.token(Word, from, lower(l.text[from:l.at])), nil
	case c == '"':
		return l.name()
	case c == '\'':
		return l.quoted(from, false)
	case isDigit(c), c == '.' && isDigit(d):
		return l.number()
	case c == '$':
		return l.dollar()
	case c == ':' && (d == ':' || d == '='):
		l.at += 2
		return l.token(Operator, from, l.text[from:l.at]), nil
	case strings.IndexByte("()[],;.:", c) >= 0:
		l.at++
		return l.token(Punct, from, l.text[from:l.at]), nil
	case strings.IndexByte(operators, c) >= 0:
		return l.operator(), nil
	}
	_, size := utf8.DecodeRuneInString(l.text[from:])
	return Token{}, fault(codeSyntax, from, "syntax error at or near %q", l.text[from:from+size])
}

func (l *lexer) token(k Kind, from int, text string) Token {
	return Token{Kind: k, Text: text, Pos: from, End: l.at}
}

// lower folds the letters of ASCII, as PostgreSQL folds names.
func lower(s string) string {
	for i := range len(s) {
		if s[i] >= 'A' && s[i] <= 'Z' {
			return strings.Map(func(r rune) rune {
				if r >= 'A' && r <= 'Z' {
					return r + 'a' - 'A'
				}
				return r
			}, s)
		}
	}
	return s
}

const operators = "+-*/<>=~!@#%^&|`?"

// maxOperator is the longest operator, as PostgreSQL has it. It bounds how far is looked ahead for
// each of many signs in a row.
const maxOperator = 63

// operator takes the longest operator: one that has none of ~!@#%^&|`? does not end with + or -.
func (l *lexer) operator() Token {
	from := l.at
	for l.at < len(l.text) && l.at-from < maxOperator && strings.IndexByte(operators, l.text[l.at]) >= 0 {
		if l.at > from && (strings.HasPrefix(l.text[l.at:], "--") || strings.HasPrefix(l.text[l.at:], "/*")) {
			break
		}
		l.at++
	}
	if !strings.ContainsAny(l.text[from:l.at], "~!@#%^&|`?") {
		for l.at > from+1 && (l.text[l.at-1] == '+' || l.text[l.at-1] == '-') {
			l.at--
		}
	}
	return l.token(Operator, from, l.text[from:l.at])
}

func (l *lexer) name() (Token, error) {
	from := l.at
	var b strings.Builder
	for l.at++; l.at < len(l.text); l.at++ {
		c := l.text[l.at]
		if c != '"' {
			b.WriteByte(c)
			continue
		}
		if l.byteAt(l.at+1) != '"' {
			l.at++
			if b.Len() == 0 {
				return Token{}, fault(codeSyntax, from, "zero-length delimited identifier")
			}
			return l.token(Quoted, from, b.String()), nil
		}
		b.WriteByte('"')
		l.at++
	}
	return Token{}, fault(codeSyntax, from, "unterminated quoted identifier")
}

// quoted takes a string from its quote on. Strings with only blanks and a line break between them
// are one.
func (l *lexer) quoted(from int, escapes bool) (Token, error) {
	var b strings.Builder
	for {
		closed := false
		for l.at++; l.at < len(l.text) && !closed; l.at++ {
			c := l.text[l.at]
			switch {
			case c == '\'' && l.byteAt(l.at+1) == '\'':
				b.WriteByte('\'')
				l.at++
			case c == '\'':
				closed = true
			case c == '\\' && escapes && l.at+1 < len(l.text):
				l.at++
				b.WriteByte(unescape(l.text[l.at]))
			default:
				b.WriteByte(c)
			}
		}
		if !closed {
			return Token{}, fault(codeSyntax, from, "unterminated quoted string")
		}
		end := l.at
		err := l.space()
		if err != nil {
			return Token{}, err
		}
		if l.byteAt(l.at) != '\'' || !strings.Contains(l.text[end:l.at], "\n") {
			l.at = end
			return l.token(String, from, b.String()), nil
		}
	}
}

func unescape(c byte) byte {
	switch c {
	case 'n':
		return '\n'
	case 't':
		return '\t'
	case 'r':
		return '\r'
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	}
	return c
}

func (l *lexer) number() (Token, error) {
	from := l.at
	digits := func() {
		for isDigit(l.byteAt(l.at)) {
			l.at++
		}
	}
	digits()
	if l.byteAt(l.at) == '.' && l.byteAt(l.at+1) != '.' {
		l.at++
		digits()
	}
	if c := l.byteAt(l.at); c == 'e' || c == 'E' {
		n := l.at + 1
		if s := l.byteAt(n); s == '+' || s == '-' {
			n++
		}
		if isDigit(l.byteAt(n)) {
			l.at = n
			digits()
		}
	}
	if isLetter(l.byteAt(l.at)) {
		return Token{}, fault(
			codeSyntax,
			from,
			"trailing junk after numeric literal at or near %q",
			l.text[from:l.at+1],
		)
	}
	return l.token(Number, from, l.text[from:l.at]), nil
}

// dollar takes a parameter, or a string in dollar quotes.
func (l *lexer) dollar() (Token, error) {
	from := l.at
	l.at++
	if isDigit(l.byteAt(l.at)) {
		for isDigit(l.byteAt(l.at)) {
			l.at++
		}
		return l.token(Parameter, from, l.text[from+1:l.at]), nil
	}
	for isLetter(l.byteAt(l.at)) || l.at > from+1 && isDigit(l.byteAt(l.at)) {
		l.at++
	}
	if l.byteAt(l.at) != '$' {
		return Token{}, fault(codeSyntax, from, "syntax error at or near \"$\"")
	}
	l.at++
	tag := l.text[from:l.at]
	n := strings.Index(l.text[l.at:], tag)
	if n < 0 {
		return Token{}, fault(codeSyntax, from, "unterminated dollar-quoted string")
	}
	text := l.text[l.at : l.at+n]
	l.at += n + len(tag)
	return l.token(String, from, text), nil
}
