package syntax

import (
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/alecthomas/participle/v2"
	"github.com/alecthomas/participle/v2/lexer"
)

// MaxText bounds the bytes of a text.
const MaxText = 1 << 20

// Parse returns the tree of each statement of a text, in order. Statements are separated by
// semicolons. A text without statements has no trees. An error is an *Error.
func Parse(text string) ([]Statement, error) {
	all, faults := parse(text, 1)
	if len(faults) > 0 {
		return nil, faults[0]
	}
	return all, nil
}

// maxFaults is how many faults ParseAll finds at most.
const maxFaults = 100

// ParseAll is Parse, but after a fault it goes on with the next statement. It returns the trees of
// the statements without faults, and the faults, each an *Error. If the text cannot be cut into
// statements at all, because a quote is not closed, there is one fault and no tree.
func ParseAll(text string) (all []Statement, faults []error) { return parse(text, maxFaults) }

// parse stops after most faults.
func parse(text string, most int) (all []Statement, faults []error) {
	list, err := check(text)
	if err == nil {
		err = noParameters(text, list)
	}
	if err != nil {
		return nil, []error{err}
	}
	return parseList(text, list, most)
}

// parseList parses the statements of a list of tokens.
func parseList(text string, list []lexer.Token, most int) (all []Statement, faults []error) {
	for len(list) > 1 && len(faults) < most { // more than the EOF
		var one []lexer.Token
		one, list = cut(list)
		if len(one) == 1 {
			continue
		}
		s, fault := parseTokens(one)
		if fault != nil {
			faults = append(faults, explain(text, one, fault))
			continue
		}
		all = append(all, s)
	}
	return all, faults
}

// ParseQuery is the tree of a text that is one SELECT. An error is an *Error.
func ParseQuery(text string) (*Select, error) {
	all, err := Parse(text)
	if err != nil {
		return nil, err
	}
	return onlySelect(text, all)
}

// onlySelect is the one SELECT of a text.
func onlySelect(text string, all []Statement) (*Select, error) {
	switch {
	case len(all) == 0:
		return nil, ErrorAt(text, Pos(len(text)), "unexpected end of the text, expected SELECT")
	case len(all) > 1:
		return nil, ErrorAt(text, all[1].Start(), "unexpected second statement, expected one SELECT")
	}
	if s, ok := all[0].(*Select); ok {
		return s, nil
	}
	return nil, ErrorAt(text, all[0].Start(), "unexpected statement, expected SELECT")
}

// check returns the tokens of a text.
func check(text string) ([]lexer.Token, error) {
	if len(text) > MaxText {
		return nil, ErrorAt(text, MaxText, "the text has %d bytes, at most %d are allowed", len(text), MaxText)
	}
	if !utf8.ValidString(text) {
		for i, r := range text {
			if _, n := utf8.DecodeRuneInString(text[i:]); r == utf8.RuneError && n == 1 {
				return nil, ErrorAt(text, Pos(i), "byte %#x is not UTF-8", text[i])
			}
		}
	}
	if i := strings.IndexByte(text, 0); i >= 0 {
		return nil, ErrorAt(text, Pos(i), "unexpected byte 0")
	}
	list, fault := scan(text)
	if fault != nil {
		return nil, fault
	}
	return list, nil
}

// cut returns the tokens up to the next semicolon, with an EOF in its place, and the tokens after
// it.
func cut(list []lexer.Token) (one, rest []lexer.Token) {
	for i, t := range list {
		if t.Value == ";" {
			list[i].Type, list[i].Value = lexer.EOF, ""
			return list[:i+1], list[i+1:]
		}
	}
	return list, nil
}

// parseTokens parses one statement; the last of the tokens is EOF.
func parseTokens(list []lexer.Token) (Statement, *failure) {
	if fault := tooDeep(list); fault != nil {
		return nil, fault
	}
	source := tokens(list)
	lex, err := lexer.Upgrade(&source)
	if err != nil {
		return nil, &failure{message: err.Error()} // impossible: the tokens are there
	}
	node, err := statements().ParseFromLexer(lex)
	if err == nil {
		return node.tree()
	}
	return nil, failureOf(err)
}

// failureOf is an error of participle as a fault; nil if there is none.
func failureOf(err error) *failure {
	var fault *failure
	var at participle.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &fault):
		return fault
	case errors.As(err, &at):
		return &failure{pos: Pos(at.Position().Offset)}
	}
	// impossible: participle's errors have a place
	return &failure{message: "it cannot be parsed"}
}
