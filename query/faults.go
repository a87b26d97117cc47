package query

import (
	"fmt"
	"strings"

	"github.com/velo-engine/velo/core/expr"
	"github.com/velo-engine/velo/internal/interval"
	"github.com/velo-engine/velo/query/internal/syntax"
)

// made is an expression, or a fault at pos if err is not nil.
func (c *compiler) made(pos syntax.Pos, e *expr.Expr, err error) (value, bool) {
	if err != nil {
		c.fault(pos, "%s", said(err))
		return value{}, false
	}
	return valueOf(e), true
}

// said is what an error says, without the package that says it. There are carets for where it is.
func said(err error) string {
	return strings.TrimPrefix(strings.TrimPrefix(err.Error(), "expr: "), "agg: ")
}

// reason is the innermost error. The outer ones say where it is, which a caret does better.
func reason(err error) string {
	for {
		switch x := err.(type) {
		case interface{ Unwrap() error }:
			if x.Unwrap() == nil {
				return err.Error()
			}
			err = x.Unwrap()
		case interface{ Unwrap() []error }:
			err = x.Unwrap()[0]
		default:
			return err.Error()
		}
	}
}

// nearest suggests the name that a misspelt one may have been meant to be, or says which names
// there are.
func nearest(name string, names []string) string {
	best, least := "", len(name)/3+1 // how many letters may be wrong, and one
	switch {
	case len(name) <= 3:
		least = 2
	case len(name) <= 8:
		least = 3
	}
	n := nearestName(name, names)
	if d := distance(strings.ToLower(name), strings.ToLower(n)); n != "" && d < least {
		best = n
	}
	switch {
	case best != "":
		return fmt.Sprintf("; did you mean %q?", best)
	case len(names) > 0 && len(names) <= 12:
		return ", expected one of " + strings.Join(names, ", ")
	}
	return ""
}

// nearestName is the name that is nearest to another, however far that is; "" if there are none.
func nearestName(name string, names []string) (best string) {
	least := 0
	for _, n := range names {
		if d := distance(strings.ToLower(name), strings.ToLower(n)); best == "" || d < least {
			best, least = n, d
		}
	}
	return best
}

// distance is the number of characters to insert, delete or change.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}

// timeInstead says what to write for a text that is no timestamp, and is something else.
func timeInstead(text string) string {
	_, _, err := interval.Of(text, "")
	switch word := strings.ToLower(strings.TrimSpace(text)); {
	case word == "now" || word == "today":
		return "; now() and current_date are the time of the query"
	case word == "yesterday" || word == "tomorrow":
		return "; current_date - 1 is yesterday"
	case strings.HasSuffix(word, "infinity"):
		return "; no time is infinite, NULL may stand for it"
	case err == nil && strings.ContainsAny(word, "dhimnsy:"):
		return "; a length of time is written INTERVAL '" + text + "'"
	}
	return ""
}

// conditionInstead says what to write for a number as a condition.
func conditionInstead(v value) string {
	if isNumber(v.e.Type()) && !v.interval {
		return ": write a comparison, such as x <> 0"
	}
	return ""
}
