package query

import (
	"github.com/velo-engine/velo/query/internal/syntax"
)

// synonyms are functions that have the arguments of another, by the names that DuckDB, SQLite,
// Flink, MySQL and Trino have for them.
var synonyms = map[string]string{
	"ifnull": "coalesce", "nvl": "coalesce", "len": "length", "ucase": "upper", "lcase": "lower",
	"startswith": "starts_with", "endswith": "ends_with", "prefix": "starts_with", "suffix": "ends_with",
	"instr": "strpos", "charindex": "position", "locate": "position", "strlen": "octet_length", "char": "chr",
	"regexp_matches": "regexp_like", "rlike": "regexp_like",
	"regexp_contains": "regexp_like", "parse_timestamp": "strptime", "greatest_common_divisor": "gcd",
	"least_common_multiple": "lcm",
}

// written are functions that are written with others. Each is called with as many arguments as
// wanted.
var written = map[string]struct {
	least, most int
	make        func(x *syntax.Call) syntax.Expr
}{
	"if": {3, 3, ifOf}, "iff": {3, 3, ifOf}, "iif": {3, 3, ifOf},
	"contains": {2, 2, func(x *syntax.Call) syntax.Expr {
		return binaryOf(x, ">", callOf(x, "strpos", x.Args...), wholeAt(x.Pos, "0"))
	}},
	"xor":  {2, 2, func(x *syntax.Call) syntax.Expr { return binaryOf(x, "#", x.Args[0], x.Args[1]) }},
	"fmod": {2, 2, func(x *syntax.Call) syntax.Expr { return binaryOf(x, "%", x.Args[0], x.Args[1]) }},
	"nvl2": {3, 3, nvl2},
	"bit_length": {1, 1, func(x *syntax.Call) syntax.Expr {
		return binaryOf(x, "*", callOf(x, "octet_length", x.Args[0]), wholeAt(x.Pos, "8"))
	}},
	"num_nulls":    {1, syntax.MaxRow, func(x *syntax.Call) syntax.Expr { return countNulls(x, false) }},
	"num_nonnulls": {1, syntax.MaxRow, func(x *syntax.Call) syntax.Expr { return countNulls(x, true) }},
	"isnull": {1, 2, func(x *syntax.Call) syntax.Expr {
		if len(x.Args) == 2 { // of SQL Server
			return callOf(x, "coalesce", x.Args...)
		}
		return &syntax.IsNull{Pos: x.Pos, X: x.Args[0]}
	}},
	"unix_timestamp": {1, 1, func(x *syntax.Call) syntax.Expr {
		return binaryOf(x, "/", callOf(x, "epoch_ms", x.Args[0]), wholeAt(x.Pos, "1000"))
	}},
	"space": {1, 1, func(x *syntax.Call) syntax.Expr {
		return callOf(x, "repeat", &syntax.Literal{Pos: x.Pos, Kind: syntax.String, Text: " "}, x.Args[0])
	}},
}

func callOf(x *syntax.Call, name string, args ...syntax.Expr) *syntax.Call {
	return &syntax.Call{Pos: x.Pos, Name: name, Args: args}
}

func binaryOf(x *syntax.Call, op string, a, b syntax.Expr) syntax.Expr {
	return &syntax.Binary{Pos: x.Pos, Op: op, X: a, Y: b}
}

// countNulls is how many of the arguments are NULL, or are not.
func countNulls(x *syntax.Call, not bool) (sum syntax.Expr) {
	for _, a := range x.Args {
		one := syntax.Expr(&syntax.Case{
			Pos: x.Pos, Whens: []syntax.When{{
				Pos: x.Pos, When: &syntax.IsNull{Pos: x.Pos, X: a, Not: not}, Then: wholeAt(x.Pos, "1"),
			}}, Else: wholeAt(x.Pos, "0"),
		})
		if sum != nil {
			one = binaryOf(x, "+", sum, one)
		}
		sum = one
	}
	return sum
}

func ifOf(x *syntax.Call) syntax.Expr {
	return &syntax.Case{
		Pos: x.Pos, Whens: []syntax.When{{Pos: x.Pos, When: x.Args[0], Then: x.Args[1]}}, Else: x.Args[2],
	}
}

func nvl2(x *syntax.Call) syntax.Expr {
	some := &syntax.IsNull{Pos: x.Pos, X: x.Args[0], Not: true}
	return &syntax.Case{
		Pos: x.Pos, Whens: []syntax.When{{Pos: x.Pos, When: some, Then: x.Args[1]}}, Else: x.Args[2],
	}
}

// textFunctions are functions of texts that are not in the table functions.
var textFunctions = map[string]func(*compiler, *syntax.Call, leaf) (value, bool){
	"concat": (*compiler).concat, "concat_ws": (*compiler).concat, "overlay": (*compiler).overlay,
	"regexp_replace": (*compiler).regexpCall, "regexp_like": (*compiler).regexpCall,
	"regexp_substr": (*compiler).regexpCall, "regexp_count": (*compiler).regexpCall,
	"regexp_instr": (*compiler).regexpCall, "regexp_extract": (*compiler).regexpExtract,
	"regexp_full_match": (*compiler).regexpFull, "similar_to": (*compiler).similar, "format": (*compiler).format,
	"pg_typeof": (*compiler).typeName,
}

// overlay is overlay(s PLACING r FROM a [FOR b]).
func (c *compiler) overlay(x *syntax.Call, l leaf) (value, bool) { return c.function(x, l) }

// regexpFull says whether a regular expression matches a text as a whole.
func (c *compiler) regexpFull(x *syntax.Call, l leaf) (v value, ok bool) {
	if !c.arity(x, 2, 3) {
		return v, false
	}
	pattern, ok := c.constant(x.Args[1], l, "the regular expression of "+x.Name)
	if !ok {
		return v, false
	}
	anchored := &syntax.Literal{Pos: x.Args[1].Start(), Kind: syntax.String, Text: "^(?:" + pattern + ")$"}
	args := append([]syntax.Expr{x.Args[0], anchored}, x.Args[2:]...)
	return c.regexpCall(callOf(x, "regexp_like", args...), l)
}

// synonym replaces a call by what it is another name of. done is false if it is none.
func (c *compiler) synonym(x *syntax.Call) (e syntax.Expr, done, ok bool) {
	if w, is := written[x.Name]; is {
		if !c.arity(x, w.least, w.most) {
			return nil, true, false
		}
		return w.make(x), true, true
	}
	if name, is := synonyms[x.Name]; is {
		call := *x
		call.Name = name
		return &call, true, true
	}
	return nil, false, true
}

// isSynonym says whether a function is another name of one, or is written with others.
func isSynonym(name string) bool {
	_, w := written[name]
	_, s := synonyms[name]
	return w || s
}
