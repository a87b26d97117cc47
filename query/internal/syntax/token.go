package syntax

import (
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/alecthomas/participle/v2/lexer"
)

// The kinds of tokens. A token's Value has as many bytes as its text:
//
//	word      a keyword in upper case, or another name in lower case; so "FROM" in the grammar
//	          is the keyword however it was written, and nothing else
//	quoted    with its quotes: "so"
//	str       with its quotes: 'so'
//	estr      with its quotes: E'so'
//	integer   the digits
//	decimal   digits with a point or an exponent
//	symbol    itself; != is <>, == is =
//	parameter $ and digits: $1
const (
	word lexer.TokenType = iota + 1
	quoted
	str
	estr
	integer
	decimal
	symbol
	parameter
)

// definition presents this lexer to participle when it builds a parser. Parsing begins with tokens,
// see parseTokens.
type definition struct{}

func (definition) Symbols() map[string]lexer.TokenType {
	return map[string]lexer.TokenType{
		"EOF": lexer.EOF, "Word": word, "Quoted": quoted, "String": str, "EString": estr, "Integer": integer,
		"Decimal": decimal, "Symbol": symbol, "Parameter": parameter,
	}
}

func (definition) Lex(_ string, r io.Reader) (lexer.Lexer, error) {
	text, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	list, fault := scan(string(text))
	if fault != nil {
		return nil, fault
	}
	return (*tokens)(&list), nil
}

// tokens returns the tokens of a list one by one; the last is EOF.
type tokens []lexer.Token

func (t *tokens) Next() (lexer.Token, error) {
	next := (*t)[0]
	if len(*t) > 1 {
		*t = (*t)[1:]
	}
	return next, nil
}

// scan cuts a text into tokens; the last is EOF. Of their places, only the offset is set.
func scan(text string) ([]lexer.Token, *Error) {
	list := make([]lexer.Token, 0, len(text)/4+2)
	end := 0
	for {
		at, fault := skipBlank(text, end)
		if fault != nil {
			return nil, fault
		}
		if at == len(text) {
			return append(list, lexer.EOFToken(lexer.Position{Offset: at})), nil
		}
		var kind lexer.TokenType
		kind, end, fault = scanOne(text, at)
		if fault != nil {
			return nil, fault
		}
		value := text[at:end]
		switch {
		case kind == word:
			value = fold(value)
		case value == "!=":
			value = "<>"
		case value == "==": // SQLite and DuckDB
			value = "="
		}
		list = append(list, lexer.Token{Type: kind, Value: value, Pos: lexer.Position{Offset: at}})
	}
}

// skipBlank is the offset of the first byte at or after i that is neither a space nor in a comment.
func skipBlank(text string, i int) (int, *Error) {
	for i < len(text) {
		switch c := text[i]; {
		case c == ' ' || '\t' <= c && c <= '\r':
			i++
		case strings.HasPrefix(text[i:], "--"):
			n := strings.IndexByte(text[i:], '\n')
			if n < 0 {
				return len(text), nil
			}
			i += n + 1
		case strings.HasPrefix(text[i:], "/*"):
			// Comments nest, as in PostgreSQL.
			begin, depth := i, 1
			for i += 2; depth > 0; {
				switch {
				case i == len(text):
					return 0, ErrorAt(text, Pos(begin), "unclosed comment that begins at %s", where(text, Pos(begin)))
				case strings.HasPrefix(text[i:], "/*"):
					depth++
					i += 2
				case strings.HasPrefix(text[i:], "*/"):
					depth--
					i += 2
				default:
					i++
				}
			}
		default:
			return i, nil
		}
	}
	return i, nil
}

// scanOne is the kind of the token that begins at i, and its end.
func scanOne(text string, i int) (kind lexer.TokenType, end int, fault *Error) {
	fail := func(format string, args ...any) (lexer.TokenType, int, *Error) {
		return 0, 0, ErrorAt(text, Pos(i), format, args...)
	}
	c := text[i]
	switch {
	case c == '\'':
		end = closing(text, i+1, '\'', false)
		if end < 0 {
			return fail(unclosedText, where(text, Pos(i)))
		}
		return str, end, nil
	case (c == 'e' || c == 'E') && strings.HasPrefix(text[i+1:], "'"):
		end = closing(text, i+2, '\'', true)
		if end < 0 {
			return fail(unclosedText, where(text, Pos(i)))
		}
		return estr, end, nil
	case c == '"':
		end = closing(text, i+1, '"', false)
		if end < 0 {
			return fail("unclosed quoted name that begins at %s", where(text, Pos(i)))
		}
		if end == i+2 {
			return fail("a quoted name is empty")
		}
		return quoted, end, nil
	case isDigit(text, i) || c == '.' && isDigit(text, i+1):
		kind, end = number(text, i)
		if r, size := utf8.DecodeRuneInString(text[end:]); isLetter(r) || r >= '0' && r <= '9' {
			for isLetter(r) || r >= '0' && r <= '9' {
				end += size
				r, size = utf8.DecodeRuneInString(text[end:])
			}
			hint := ""
			if strings.Trim(text[i:end], "0123456789") != "" && len(text[i:end]) > 1 &&
				strings.Contains("ns us ms s m h d w", strings.TrimLeft(text[i:end], "0123456789")) {
				hint = "; an interval is INTERVAL '1 minute'"
			}
			return fail("%s is neither a number nor a name%s", shown(text[i:end]), hint)
		}
		return kind, end, nil
	case strings.IndexByte("(),;.[]", c) >= 0:
		return symbol, i + 1, nil
	case strings.HasPrefix(text[i:], "::"):
		return symbol, i + 2, nil
	case strings.IndexByte(operatorBytes, c) >= 0:
		end = operator(text, i)
		if end == i {
			run := text[i:operatorRun(text, i)]
			if hint := mistaken[run]; hint != "" {
				return fail("unknown operator %s, expected %s", shown(run), hint)
			}
			return fail("unknown operator %s: those of arrays, ranges, shapes and jsonb are not there", shown(run))
		}
		return symbol, end, nil
	case c == '$' && isDigit(text, i+1):
		for end = i + 1; isDigit(text, end); {
			end++
		}
		return parameter, end, nil
	case c == '$':
		return fail("strings in $$ are not supported")
	}
	r, _ := utf8.DecodeRuneInString(text[i:])
	if !isLetter(r) {
		if r < utf8.RuneSelf && unicode.IsPrint(r) {
			return fail("unexpected character %q", r)
		}
		return fail("unexpected character %q (%U)%s", r, r, quoteFor(r))
	}
	size := 0
	for end = i; ; end += size {
		r, size = utf8.DecodeRuneInString(text[end:])
		if !isLetter(r) && !(r >= '0' && r <= '9' || r == '$' || unicode.IsMark(r)) {
			return word, end, nil
		}
	}
}

// closing is the offset after the quote that ends what begins at i, or -1 if there is none. A
// doubled quote counts as one quote. If backslash is set, a backslash hides the character after it.
func closing(text string, i int, quote byte, backslash bool) int {
	for ; i < len(text); i++ {
		switch {
		case backslash && text[i] == '\\':
			i++
		case text[i] != quote:
		case i+1 < len(text) && text[i+1] == quote:
			i++
		default:
			return i + 1
		}
	}
	return -1
}

// number is the kind of the number that begins at i, and its end: 12, 1_000, 1.5, .5, 5., 1e9,
// 1.5e-9.
func number(text string, i int) (lexer.TokenType, int) {
	digits := func() {
		for isDigit(text, i) || i > 0 && i < len(text) && text[i] == '_' && isDigit(text, i-1) && isDigit(text, i+1) {
			i++
		}
	}
	kind := integer
	digits()
	if i < len(text) && text[i] == '.' {
		kind = decimal
		i++
		digits()
	}
	if i < len(text) && (text[i] == 'e' || text[i] == 'E') {
		n := i + 1
		if n < len(text) && (text[n] == '+' || text[n] == '-') {
			n++
		}
		if isDigit(text, n) {
			kind = decimal
			i = n
			digits()
		}
	}
	return kind, i
}

// unclosedText is the fault of a text that does not end.
const unclosedText = "unclosed string that begins at %s; a quote in a text is written twice: 'it''s'"

// quoteFor is what to write for a quote of word processors; "" for other characters.
func quoteFor(r rune) string {
	if strings.ContainsRune("“”„«»‘’‚", r) {
		return ": texts are in ' and names in \""
	}
	return ""
}

// operatorBytes are the bytes that PostgreSQL's operators are made of.
const operatorBytes = "+-*/%^<>=!|&~#@?`:"

// operators are those that velo knows, the longest first.
var operators = []string{
	"!~~*", "!~~", "~~*", "~~", "!~*", "->>", "#>>", "#>", "!~", "~*", "->", "||/", "|/",
	"||", "<<", ">>", "<=", ">=", "<>", "!=", "==", "=>", ":=", "~", "+", "-", "*",
	"/", "%", "^@", "^", "<", ">", "=", "&", "|", "#", "@",
}

// mistaken are operators of other languages, with what SQL has instead.
var mistaken = map[string]string{
	"`": `names in double quotes: "size"`, "?": "CASE WHEN ... THEN ... ELSE ... END, or if(c, a, b)",
	"===": "=", "!": "NOT", "!==": "<>", "&&": "AND",
	"**": "^", "<=>": "IS NOT DISTINCT FROM", "=<": "<=", "=!": "<>", "><": "<>",
}

// operator is the end of the operator that begins at i, or i itself if there is none. A sign may
// follow it: a*-1.
func operator(text string, i int) int {
	run := text[i:operatorRun(text, i)]
	for _, op := range operators {
		if rest, ok := strings.CutPrefix(run, op); ok {
			if strings.Trim(rest, "+-") != "" {
				break
			}
			return i + len(op)
		}
	}
	return i
}

// operatorRun is the end of the operator bytes that begin at i. A comment ends them.
func operatorRun(text string, i int) int {
	n := i
	for n < len(text) && strings.IndexByte(operatorBytes, text[n]) >= 0 {
		if n > i && (strings.HasPrefix(text[n:], "--") || strings.HasPrefix(text[n:], "/*")) {
			break
		}
		n++
	}
	return n
}

func isDigit(text string, i int) bool { return i < len(text) && text[i] >= '0' && text[i] <= '9' }

// isLetter says whether a character may begin a name.
func isLetter(r rune) bool {
	switch {
	case r < utf8.RuneSelf:
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r == '_'
	case r == utf8.RuneError:
		return false
	}
	return unicode.IsLetter(r)
}

// fold is the value of a word: a keyword in upper case, another name in lower case. Only ASCII
// letters have cases here, as in PostgreSQL.
func fold(s string) string {
	if len(s) <= longestKeyword {
		var upper [longestKeyword]byte
		for i := range len(s) {
			c := s[i]
			if c >= 'a' && c <= 'z' {
				c -= 'a' - 'A'
			}
			upper[i] = c
		}
		if k, ok := keywords[string(upper[:len(s)])]; ok {
			return k.word
		}
	}
	return lower(s)
}

// lower is s with ASCII letters in lower case.
func lower(s string) string {
	for i := range len(s) {
		if s[i] >= 'A' && s[i] <= 'Z' {
			b := []byte(s)
			for i, c := range b {
				if c >= 'A' && c <= 'Z' {
					b[i] = c + 'a' - 'A'
				}
			}
			return string(b)
		}
	}
	return s
}

// maxToken is how many bytes of a token a message shows.
const maxToken = 40

// shown is a piece of the text in a message.
func shown(s string) string {
	if len(s) > maxToken {
		cut := maxToken
		for cut > 0 && !utf8.RuneStart(s[cut]) {
			cut--
		}
		s = s[:cut] + "..."
	}
	return `"` + strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return utf8.RuneError
		}
		return r
	}, s) + `"`
}
