package syntax

import (
	"slices"
	"sort"
	"strings"

	"github.com/alecthomas/participle/v2/lexer"
)

// failure says why tokens are not a statement.
type failure struct {
	pos      Pos
	message  string // "" if the token at pos was not expected
	expected string // what was expected in its place; "" if it is still to be found out
}

func (f *failure) Error() string { return f.message }

const (
	// maxProbed is how many tokens may come before a fault for which explain finds out what was
	// expected: that takes as many parses as there are candidates.
	maxProbed = 2000

	// maxExpected is how many things a message lists at most.
	maxExpected = 6
)

// A candidate is something that could have been expected, with a token that represents it.
type candidate struct {
	shown string
	token lexer.Token
}

// candidates has the candidates in the order of messages.
var candidates = func() []candidate {
	symbols := []string{",", ")", "(", "="}
	all := []candidate{
		{"an expression", lexer.Token{Type: word, Value: "CASE"}},
		{"a name", lexer.Token{Type: quoted, Value: `"a"`}},
		{"a string", lexer.Token{Type: str, Value: "''"}},
		{"a number", lexer.Token{Type: integer, Value: "1"}},
		{"an operator", lexer.Token{Type: symbol, Value: "||"}},
	}
	for _, s := range symbols {
		all = append(all, candidate{`"` + s + `"`, lexer.Token{Type: symbol, Value: s}})
	}
	for _, k := range []string{
		"SELECT", "CREATE", "INSERT", "EXPLAIN", "SOURCE", "TABLE", "SINK", "MATERIALIZED", "INTO", "AS", "FROM",
		"WHEN", "THEN",
		"ELSE", "END", "IN", "FOR", "AND", "NULL",
		"TRUE", "FALSE", "UNKNOWN", "DISTINCT", "EXISTS", "NOT", "TIME", "ZONE", "WHERE", "GROUP", "HAVING", "BY",
		"ORDER", "ASC", "DESC", "NULLS", "FIRST", "LAST", "LIMIT", "UNION",
		"OFFSET", "EMIT", "CHANGES", "FINAL", "ON", "WINDOW", "CLOSE", "WITH", "FORMAT", "ENCODE", "WATERMARK",
	} {
		all = append(all, candidate{k, lexer.Token{Type: word, Value: k}})
	}
	return all
}()

// explain makes the error of a failure.
//
// It finds out what was expected by trying: it parses the statement up to the fault again with one
// candidate after it. The candidates that are accepted were expected. So the message is right
// whichever part of the grammar failed, and the grammar need not keep track of what it expects.
func explain(text string, list []lexer.Token, f *failure) *Error {
	if f.message != "" {
		return ErrorAt(text, f.pos, "%s", f.message)
	}
	if pos, message := notThere(list, f.pos); message != "" {
		return ErrorAt(text, pos, "%s", message)
	}
	at := sort.Search(len(list)-1, func(i int) bool { return Pos(list[i].Pos.Offset) >= f.pos })
	if at <= maxProbed {
		if i, hint := misspelt(text, list, at); hint != "" {
			return ErrorAt(text, Pos(list[i].Pos.Offset), "unexpected %s, expected %s", source(text, list[i]), hint)
		}
	}
	if instead := unsupportedText(list, at); instead != "" {
		return ErrorAt(text, f.pos, "%s", instead)
	}
	message := "unexpected " + source(text, list[at])
	open, inside := unclosed(list[:at])
	switch {
	case inside && list[at].EOF():
		return ErrorAt(text, open, "unclosed parenthesis that begins at %s", where(text, open))
	case f.expected != "":
		message += ", expected " + f.expected
	case at <= maxProbed:
		if e := expected(list, at); e != "" {
			message += ", expected " + e
		}
	}
	if hint := slip(list, at); hint != "" {
		return ErrorAt(text, f.pos, "%s: %s", message, hint)
	}
	if t := list[at]; inside && t.Type == word && keywords[t.Value].use == reserved {
		message += ": unclosed parenthesis that begins at " + where(text, open)
	}
	return ErrorAt(text, f.pos, "%s", message)
}

// unsupportedText is what to write for a text constant that follows what it cannot follow, such as
// X'1F'; "" if it is another fault.
func unsupportedText(list []lexer.Token, at int) string {
	if t := list[at].Type; at == 0 || t != str && t != estr {
		return ""
	}
	before := list[at-1]
	adjacent := before.Pos.Offset+len(before.Value) == list[at].Pos.Offset
	switch {
	case adjacent && before.Value == "x":
		return "X'...' is not supported: bytes are written '\\x1f'::bytea, and a number is not written in hex"
	case adjacent && before.Value == "b":
		return "B'...' is not supported: write a number; & and | are for the bits of bigints"
	case before.Value == "variadic":
		return "VARIADIC is not supported: write the arguments one by one"
	case before.Type == word && keywords[before.Value].use != reserved && at > 1 &&
		(list[at-2].Type == symbol || keywords[list[at-2].Value].use == reserved):
		return "unexpected text after " + shown(before.Value) + ": a name for a column is AS name, and a constant of " +
			"a type is CAST('...' AS type)"
	case before.Value == ")" && at > 3 && list[at-4].Value == "INTERVAL":
		return "INTERVAL(n) is not supported: write INTERVAL '...' without digits in parentheses"
	}
	return ""
}

// slip guesses what a typing error was about; "" if there is no guess.
func slip(list []lexer.Token, at int) string {
	if at == 0 {
		return ""
	}
	t, before, after := list[at], list[at-1].Value, ""
	if !t.EOF() {
		after = list[at+1].Value
	}
	isReserved := t.Type == word && keywords[t.Value].use == reserved
	open, inside := unclosed(list[:at])
	opener := sort.Search(at, func(i int) bool { return Pos(list[i].Pos.Offset) >= open })
	switch {
	case isReserved && (after == "," || after == "FROM" || after == ")" || binary[after] == comparison):
		return "a name that is a word of SQL is in double quotes, \"" + lower(t.Value) + "\""
	case before == "," && (isReserved || t.Value == "," || t.Value == ")" || t.EOF()):
		return "there is a comma too many before it"
	case t.Value == "(" && before == ")":
		return "a call has one pair of parentheses, such as approx_percentile(x, 0.9)"
	case t.Value == "," && at > 1 && list[at-2].Value == "BETWEEN":
		return "write x BETWEEN 1 AND 5"
	case t.Value == "," && inside && opener > 0 && list[opener-1].Value == "CAST":
		return "write CAST(x AS type)"
	case before == "indexed" && t.Value == "BY", t.Value == "indexed" && after == "BY",
		t.Value == "NOT" && after == "indexed":
		return "there are no indexes, leave INDEXED out"
	case before == "variadic":
		return "VARIADIC is not supported, write the arguments one by one"
	case before == "prewhere":
		return "PREWHERE is not supported, write WHERE"
	case t.Value == "WITH" && lower(before) == "time":
		return "a time of day has no zone, write TIME '10:00'"
	}
	return ""
}

// unsupported are the words that begin a clause that velo does not have, with what to write
// instead.
var unsupported = map[string]string{
	"LATERAL": "LATERAL is not supported: a query reads one source",
}

// firstWords are the words that begin a statement that velo does not have.
var firstWords = map[string]string{
	"update":    "UPDATE is not supported: results are made by SELECT",
	"delete":    "DELETE is not supported: results are made by SELECT",
	"drop":      "DROP is not supported: sources and sinks are there as long as the job",
	"alter":     "ALTER is not supported: sources and sinks are there as long as the job",
	"show":      "SHOW is not supported; velo schema FILE says what columns a file has",
	"describe":  "DESCRIBE is not supported; velo schema FILE says what columns a file has",
	"desc":      "DESC is not supported; velo schema FILE says what columns a file has",
	"pragma":    "PRAGMA is not supported; velo schema FILE says what columns a file has",
	"summarize": "SUMMARIZE is not supported: write SELECT count(*), min(x), max(x), approx_count_distinct(x) FROM ...",
	"set":       "SET is not supported: options are given in the command, or WITH (...) of a source or sink",
	"use":       "USE is not supported: FROM names the source",
	"truncate":  "TRUNCATE is not supported: results are made by SELECT",
	"merge":     "MERGE is not supported: results are made by SELECT; a sink that upserts has a primary key",
	"copy":      "COPY is not supported: FROM names a file, and a result goes to a sink, or is written with --format",
	"begin":     "BEGIN is not supported: there are no transactions",
	"commit":    "COMMIT is not supported: there are no transactions",
	"FROM":      "a query begins with SELECT: SELECT * FROM ...",
}

// notThere finds a clause that velo does not have at the place of a fault. It returns the place and
// the message, or "" if the fault is another one.
func notThere(list []lexer.Token, pos Pos) (Pos, string) {
	at := sort.Search(len(list)-1, func(i int) bool { return Pos(list[i].Pos.Offset) >= pos })
	word := func(i int) string {
		if i < 0 || i >= len(list) {
			return ""
		}
		return list[i].Value
	}
	place := Pos(list[at].Pos.Offset)
	switch {
	case at == 0 && firstWords[word(0)] != "":
		return place, firstWords[word(0)]
	case word(at-1) == "WITH" && (word(at) == "rollup" || word(at) == "cube"), word(at) == "WITH" &&
		(word(at+1) == "rollup" || word(at+1) == "cube"):
		return place, "WITH ROLLUP and WITH CUBE are not supported: write GROUP BY ROLLUP(a, b) or GROUP BY CUBE(a, b)"
	case unsupported[word(at)] != "":
		return place, unsupported[word(at)]
	}
	for i := max(0, at-2); i <= at; i++ {
		if text := elsewhere(word, i); text != "" {
			return Pos(list[i].Pos.Offset), text
		}
	}
	return 0, ""
}

// elsewhere is what to write for words that other databases have at a place; "" if there are none.
func elsewhere(word func(i int) string, at int) string {
	number := func(i int) bool { return word(i) != "" && strings.Trim(word(i), "0123456789") == "" }
	switch w := word(at); {
	case w == "top" && (number(at+1) || word(at+1) == "("):
		return "TOP is not supported: write LIMIT n at the end"
	case w == "WITH" && word(at+1) == "ties":
		return "WITH TIES is not supported: write QUALIFY rank() OVER (ORDER BY ...) <= n"
	case w == "USING" && strings.Trim(word(at+1), "<>=") == "":
		return "ORDER BY ... USING is not supported: write ASC or DESC"
	case w == "TABLESAMPLE":
		return "TABLESAMPLE is not supported: reservoir_sample(x, k) has the values of k records"
	case w == "pivot" || w == "unpivot":
		return strings.ToUpper(w) + " is not supported: write an aggregate with FILTER (WHERE ...) for each column"
	case w == "FOR" && (word(at+1) == "update" || word(at+1) == "share"):
		return "FOR UPDATE and FOR SHARE are not supported: nothing is locked; leave them out"
	case w == "CROSS" && word(at+1) == "apply" || w == "outer" && word(at+1) == "apply":
		return "APPLY is not supported: a record is joined with the row that it finds in a table, by " +
			"[LEFT] JOIN name ON ..."
	case w == "rlike" || w == "regexp":
		return strings.ToUpper(w) + " is not supported: write x ~ 'pattern', or !~ for NOT"
	case w == "div":
		return "DIV is not supported: a bigint / a bigint is a whole number"
	case w == "separator":
		return "SEPARATOR is not supported: write string_agg(x, ';' ORDER BY y)"
	case (w == "replace" || w == "rename" || w == "ilike") && word(at-1) == "*":
		return "* " + strings.ToUpper(w) + " is not supported: name the columns, or leave some out by * EXCLUDE (a)"
	case w == "asof":
		return "ASOF JOIN is not supported: a record is joined with the row that it finds in a table by equal " +
			"values, by [LEFT] JOIN name ON ..."
	case w == "analyze" || w == "verbose":
		return "EXPLAIN " + strings.ToUpper(w) + " is not supported: velo query --stats says what a query did"
	case (w == "tumbling" || w == "hopping" || w == "session") && word(at-1) == "WINDOW":
		return "WINDOW " + strings.ToUpper(w) + " is not supported: write GROUP BY tumble(at, INTERVAL '1 minute'), " +
			"or hop or session"
	case w == "BY" && number(at-1) && word(at-2) == "LIMIT":
		return "LIMIT n BY is not supported: write QUALIFY row_number() OVER (PARTITION BY x ORDER BY y) <= n"
	case w == "=>":
		return "=> is not a comparison, expected >="
	case w == ":=":
		return ":= is not a comparison, expected ="
	case w == "[" && (word(at-1) == "SELECT" || word(at-1) == ","):
		return "lists in brackets are not supported; a name is in double quotes"
	case w == "minus":
		return "MINUS is not supported: write EXCEPT"
	case w == "start" && word(at+1) == "WITH", w == "connect" && word(at+1) == "BY":
		return "CONNECT BY is not supported: a query reads each record once"
	}
	return ""
}

// source is a token as it is written in the text.
func source(text string, t lexer.Token) string {
	switch {
	case !t.EOF() && text[t.Pos.Offset] == '$': // the constant of a parameter
		_, end, _ := scanOne(text, t.Pos.Offset)
		return text[t.Pos.Offset:end]
	case !t.EOF():
		return shown(text[t.Pos.Offset : t.Pos.Offset+len(t.Value)])
	case t.Pos.Offset < len(text):
		return "end of the statement"
	}
	return "end of the text"
}

// unclosed is the last parenthesis that is still open after the tokens.
func unclosed(list []lexer.Token) (Pos, bool) {
	var open []int
	for _, t := range list {
		switch t.Value {
		case "(":
			open = append(open, t.Pos.Offset)
		case ")":
			open = open[:max(0, len(open)-1)]
		}
	}
	if len(open) == 0 {
		return 0, false
	}
	return Pos(open[len(open)-1]), true
}

// with is the statement up to a token, followed by other tokens instead of the rest.
func with(list []lexer.Token, at int, behind ...lexer.Token) []lexer.Token {
	changed := slices.Clone(list[:at])
	offset := list[at].Pos.Offset
	for _, t := range append(behind, lexer.Token{Type: lexer.EOF}) {
		t.Pos.Offset = offset
		changed = append(changed, t)
		offset++
	}
	return changed
}

// expected lists what could come in the place of a token.
func expected(list []lexer.Token, at int) string {
	var found []string
	kinds := map[string]bool{}
	for _, c := range candidates {
		switch {
		case kinds["an expression"] && (c.token.Type != symbol || c.shown == `"("`):
			continue // names, literals and some words are expressions
		case kinds["an operator"] && (c.shown == "AND" || c.shown == "IN" || c.shown == "NOT" || c.shown == `"="`):
			continue
		case kinds["a name"] && c.token.Type == word && c.shown != "FROM" && keywords[c.token.Value].use != reserved:
			continue // included in names
		}
		if _, f := parseTokens(with(list, at, c.token)); f == nil || f.pos > Pos(list[at].Pos.Offset) {
			kinds[c.shown] = true
			switch c.shown {
			case "GROUP", "ORDER":
				c.shown += " BY"
			}
			found = append(found, c.shown)
		}
	}
	if _, f := parseTokens(with(list, at)); f == nil && !list[at].EOF() {
		found = append(found, "the end of the statement")
	}
	if len(found) > maxExpected {
		return strings.Join(found[:maxExpected], ", ") + ", ..."
	}
	if n := len(found); n > 1 {
		return strings.Join(found[:n-1], ", ") + " or " + found[n-1]
	}
	return strings.Join(found, "")
}

// misspelt looks for a keyword that a word was meant to be. The word is the one at the fault, or
// the one before, which was taken for a name (SELECT a FORM t). With the keyword in its place the
// parser must get further.
func misspelt(text string, list []lexer.Token, at int) (int, string) {
	for _, i := range []int{at, at - 1} {
		if i < 0 || list[i].Type != word {
			continue
		}
		if _, is := keywords[list[i].Value]; is {
			continue
		}
		typed := strings.ToUpper(list[i].Value)
		best, hint := 3, ""
		for k := range keywords {
			d := distance(typed, k)
			if d > tolerated(k) || d > best || d == best && k > hint {
				continue
			}
			changed := slices.Clone(list)
			changed[i].Value = k
			if _, f := parseTokens(changed); f == nil || f.pos > Pos(list[at].Pos.Offset) {
				best, hint = d, k
			}
		}
		if hint != "" {
			return i, hint
		}
	}
	return 0, ""
}

// tolerated is how far a word may be from a keyword and still be taken for it.
func tolerated(keyword string) int {
	switch n := len(keyword); {
	case n <= 5:
		return 1
	default:
		return 2
	}
}

// distance is the number of letters to insert, to delete, to change, or to swap with the next one,
// that turn a into b (optimal string alignment). For a b of two letters only a swap counts:
// otherwise any name would be close to one of the short keywords.
func distance(a, b string) int {
	if len(b) == 2 && (len(a) != 2 || a[0] != b[1] || a[1] != b[0]) || len(a) > len(b)+2 || len(b) > len(a)+2 {
		return len(a) + len(b)
	}
	var rows [3][]int
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
	}
	for i := 0; i <= len(a); i++ {
		row, up, upup := rows[i%3], rows[(i+2)%3], rows[(i+1)%3]
		for j := range row {
			switch {
			case i == 0:
				row[j] = j
				continue
			case j == 0:
				row[j] = i
				continue
			}
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(up[j]+1, row[j-1]+1, up[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], upup[j-2]+1)
			}
		}
	}
	return rows[len(a)%3][len(b)]
}
