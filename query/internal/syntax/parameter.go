package syntax

import (
	"fmt"
	"strconv"

	"github.com/alecthomas/participle/v2/lexer"
)

// MaxParameters bounds the number of a parameter, as in PostgreSQL.
const MaxParameters = 65535

// noParameters refuses parameters in a text that is given none.
func noParameters(text string, list []lexer.Token) error {
	for _, t := range list {
		if t.Type == parameter {
			return ErrorAt(text, Pos(t.Pos.Offset), "parameters (%s) have no values here", t.Value)
		}
	}
	return nil
}

// ParseQueryWith is ParseQuery for a text with parameters $1, $2, ... Value returns the text of the
// constant that stands for a parameter. Its tokens get the place of the parameter, so that an error
// points there. At says for each place of a parameter which one it is. An error is an *Error.
func ParseQueryWith(text string, value func(n int) (string, error)) (q *Select, at map[Pos]int, err error) {
	list, err := check(text)
	if err != nil {
		return nil, nil, err
	}
	at = map[Pos]int{}
	with := make([]lexer.Token, 0, len(list))
	for _, t := range list {
		if t.Type != parameter {
			with = append(with, t)
			continue
		}
		pos := Pos(t.Pos.Offset)
		n, err := strconv.Atoi(t.Value[1:])
		if err != nil || n < 1 || n > MaxParameters {
			return nil, nil, ErrorAt(text, pos, "there is no parameter %s, they are $1 to $%d", t.Value, MaxParameters)
		}
		constant, err := value(n)
		if err != nil {
			return nil, nil, ErrorAt(text, pos, "%v", err)
		}
		tokens, fault := scan(constant)
		if fault != nil {
			return nil, nil, ErrorAt(text, pos, "parameter %s: %s", t.Value, fault.Message)
		}
		for _, c := range tokens[:len(tokens)-1] { // without the end
			c.Pos = t.Pos
			with = append(with, c)
		}
		at[pos] = n
	}
	all, faults := parseList(text, with, 1)
	if len(faults) > 0 {
		return nil, nil, faults[0]
	}
	q, err = onlySelect(text, all)
	return q, at, err
}

// Parameters are the numbers of the parameters of a text, in the order of their places. LIMIT and
// OFFSET have true in counts: what is there must be a number.
func Parameters(text string) (numbers []int, counts map[int]bool, err error) {
	list, err := check(text)
	if err != nil {
		return nil, nil, err
	}
	counts = map[int]bool{}
	for i, t := range list {
		if t.Type != parameter {
			continue
		}
		n, err := strconv.Atoi(t.Value[1:])
		if err != nil || n < 1 || n > MaxParameters {
			return nil, nil, fmt.Errorf("query: there is no parameter %s, they are $1 to $%d", t.Value, MaxParameters)
		}
		numbers = append(numbers, n)
		if i > 0 && (list[i-1].Value == "LIMIT" || list[i-1].Value == "OFFSET") {
			counts[n] = true
		}
	}
	return numbers, counts, nil
}
