package query

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/velo-engine/velo/core/expr"
	"github.com/velo-engine/velo/query/internal/syntax"
	"github.com/velo-engine/velo/record"
)

// function is a scalar function: its operation and the types of its arguments. If optional is set,
// the last argument may be left out.
type function struct {
	op       expr.Op
	args     []record.Type
	optional bool
}

const (
	anyNumber = record.Type(0) // whatever number the operation accepts
)

var functions = map[string]function{
	"lower":       {expr.Lower, []record.Type{record.String}, false},
	"upper":       {expr.Upper, []record.Type{record.String}, false},
	"length":      {expr.Length, []record.Type{record.String}, false},
	"char_length": {expr.Length, []record.Type{record.String}, false},
	"substring":   {expr.Substring, []record.Type{record.String, record.Int64, record.Int64}, true},
	"substr":      {expr.Substring, []record.Type{record.String, record.Int64, record.Int64}, true},
	"trim":        {expr.Trim, []record.Type{record.String, record.String}, true},
	"btrim":       {expr.Trim, []record.Type{record.String, record.String}, true},
	"ltrim":       {expr.TrimLeft, []record.Type{record.String, record.String}, true},
	"rtrim":       {expr.TrimRight, []record.Type{record.String, record.String}, true},
	"split_part":  {expr.SplitPart, []record.Type{record.String, record.String, record.Int64}, false},
	"replace":     {expr.Replace, []record.Type{record.String, record.String, record.String}, false},
	"position":    {expr.Position, []record.Type{record.String, record.String}, false},
	"abs":         {expr.Abs, []record.Type{anyNumber}, false}, "sign": {expr.Sign, []record.Type{anyNumber}, false},
	"floor": {expr.Floor, []record.Type{anyNumber}, false}, "ceil": {expr.Ceil, []record.Type{anyNumber}, false},
	"ceiling": {expr.Ceil, []record.Type{anyNumber}, false},
	"trunc":   {expr.Trunc, []record.Type{anyNumber}, false},
	"power":   {expr.Power, []record.Type{record.Float64, record.Float64}, false},
	"pow":     {expr.Power, []record.Type{record.Float64, record.Float64}, false},
	"sqrt":    {expr.Sqrt, []record.Type{record.Float64}, false}, "ln": {expr.Ln, []record.Type{record.Float64}, false},
	"exp":              {expr.Exp, []record.Type{record.Float64}, false},
	"to_timestamp":     {expr.ToTimestamp, []record.Type{record.Float64}, false},
	"left":             {expr.Left, []record.Type{record.String, record.Int64}, false},
	"right":            {expr.Right, []record.Type{record.String, record.Int64}, false},
	"lpad":             {expr.PadLeft, []record.Type{record.String, record.Int64, record.String}, true},
	"rpad":             {expr.PadRight, []record.Type{record.String, record.Int64, record.String}, true},
	"repeat":           {expr.Repeat, []record.Type{record.String, record.Int64}, false},
	"reverse":          {expr.Reverse, []record.Type{record.String}, false},
	"starts_with":      {expr.StartsWith, []record.Type{record.String, record.String}, false},
	"ascii":            {expr.ASCII, []record.Type{record.String}, false},
	"chr":              {expr.Chr, []record.Type{record.Int64}, false},
	"md5":              {expr.MD5, []record.Type{record.String}, false},
	"octet_length":     {expr.OctetLength, []record.Type{record.String}, false},
	"character_length": {expr.Length, []record.Type{record.String}, false},
	"log":              {expr.Log10, []record.Type{record.Float64}, false},
	"log10":            {expr.Log10, []record.Type{record.Float64}, false},
}

// call binds a call of a scalar function.
func (c *compiler) call(x *syntax.Call, l leaf) (v value, ok bool) {
	if c.unknown(x) {
		return v, false
	}
	if x.Distinct || x.Star || x.Filter != nil || len(x.OrderBy)+len(x.WithinGroup) > 0 {
		c.fault(x.Pos, "%s is no aggregate", x.Name)
		return v, false
	}
	switch x.Name {
	case "coalesce", "greatest", "least":
		args, ok := c.same(x.Pos, l, x.Args...)
		if !ok {
			return v, false
		}
		return c.make(x.Pos, map[string]expr.Op{
			"coalesce": expr.Coalesce, "greatest": expr.Greatest,
			"least": expr.Least,
		}[x.Name], args...)
	case "nullif", "mod":
		if !c.arity(x, 2, 2) {
			return v, false
		}
		if x.Name == "mod" {
			return c.bind(&syntax.Binary{Pos: x.Pos, Op: "%", X: x.Args[0], Y: x.Args[1]}, l)
		}
		return c.nullIf(x, l)
	case "concat":
		return c.concat(x, l)
	case "extract", "date_part", "date_trunc":
		return c.timeField(x, l)
	case "timezone":
		return c.timezone(x, l)
	case "to_char":
		return c.toChar(x, l)
	case "date_bin":
		return c.dateBin(x, l)
	case "to_timestamp":
		if len(x.Args) == 2 {
			return c.parseTime(x, l)
		}
		if !c.arity(x, 1, 2) {
			return v, false
		}
	case "regexp_replace", "regexp_like", "regexp_matches", "regexp_match", "regexp_substr", "regexp_count":
		return c.regexpCall(x, l)
	case "strpos":
		if !c.arity(x, 2, 2) {
			return v, false
		}
		return c.call(&syntax.Call{Pos: x.Pos, Name: "position", Args: []syntax.Expr{x.Args[1], x.Args[0]}}, l)
	case "round":
		return c.round(x, l)
	case processingTime:
		c.fault(x.Pos, "%s() is the time of a window: GROUP BY tumble(%s(), INTERVAL '1 s')", processingTime,
			processingTime)
		return v, false
	case "now", "current_timestamp", "current_date", "random":
		c.fault(x.Pos, "%s() would make the result depend on when it is computed: use a column of the stream", x.Name)
		return v, false
	}
	return c.function(x, l)
}

// function is a call of one of the functions in the table.
func (c *compiler) function(x *syntax.Call, l leaf) (v value, ok bool) {
	f := functions[x.Name]
	least := len(f.args)
	if f.optional {
		least--
	}
	if !c.arity(x, least, len(f.args)) {
		return v, false
	}
	var args []*expr.Expr
	for i, a := range x.Args {
		v, ok := c.bind(a, l)
		if !ok {
			return v, false
		}
		e, ok := c.argument(v, f.args[i], a, x.Name)
		if !ok {
			return value{}, false
		}
		args = append(args, e)
	}
	return c.make(x.Pos, f.op, args...)
}

// nullIf is NULLIF(a, b).
func (c *compiler) nullIf(x *syntax.Call, l leaf) (v value, ok bool) {
	args, ok := c.same(x.Pos, l, x.Args...)
	if !ok {
		return v, false
	}
	v, ok = c.make(x.Pos, expr.NullIf, args...)
	if !ok {
		return v, false
	}
	if first, _ := c.bind(x.Args[0], l); !first.open && first.e.Type().IsDecimal() {
		// The result has the digits of the first argument, as in PostgreSQL.
		e, err := expr.Cast(v.e, first.e.Type())
		return value{e: e}, err == nil
	}
	return v, true
}

// concat is CONCAT of any values.
func (c *compiler) concat(x *syntax.Call, l leaf) (v value, ok bool) {
	var args []*expr.Expr
	for _, a := range x.Args {
		v, ok := c.bind(a, l)
		if !ok {
			return v, false
		}
		if v.e.Type() == record.Bool {
			// PostgreSQL's concat writes t and f where || writes true and false.
			letter, err := expr.Case(v.e, expr.Text("t"), expr.Text("f"))
			isNull, ok := c.make(x.Pos, expr.IsNull, v.e)
			if err == nil && ok {
				v.e, err = expr.Case(isNull.e, expr.Null(record.String), letter)
			}
			if err != nil || !ok {
				c.fault(x.Pos, "concat: %v", err)
				return value{}, false
			}
		}
		args = append(args, v.e)
	}
	return c.texts(x.Pos, expr.Concat, args...)
}

// special are the functions that are not bound with the table functions.
var special = []string{
	"coalesce", "greatest", "least", "nullif", "mod", "concat", "extract", "date_part", "date_trunc", "round", "now",
	"current_timestamp", "current_date", "random", processingTime,
	"timezone", "to_char", "date_bin", "regexp_replace", "regexp_like", "regexp_matches", "regexp_match",
	"regexp_substr", "regexp_count", "strpos",
}

// instead says what to write for functions of other systems.
var instead = map[string]string{
	"ifnull": "coalesce(x, y)", "nvl": "coalesce(x, y)", "if": "CASE WHEN a THEN b ELSE c END",
	"iff": "CASE WHEN a THEN b ELSE c END", "decode": "CASE x WHEN ... THEN ... END",
	"len": "length(x)", "ucase": "upper(x)", "lcase": "lower(x)", "instr": "strpos(x, y)", "locate": "strpos(x, y)",
	"charindex": "strpos(x, y)",
	"strftime":  "to_char(at, 'YYYY-MM-DD')", "date_format": "to_char(at, 'YYYY-MM-DD')",
	"formatdatetime": "to_char(at, 'YYYY-MM-DD')",
	"strptime":       "to_timestamp(x, '%d/%m/%Y')", "str_to_date": "to_timestamp(x, '%d/%m/%Y')",
	"to_date": "to_timestamp(x, 'DD/MM/YYYY')", "parse_timestamp": "to_timestamp(x, '%d/%m/%Y')",
	"from_unixtime": "to_timestamp(seconds)", "to_timestamp_ltz": "to_timestamp(seconds)",
	"epoch_ms": "to_timestamp(x / 1000.0)", "unix_timestamp": "extract(epoch FROM at)",
	"epoch":    "extract(epoch FROM at)",
	"datediff": "at - other", "date_diff": "at - other", "timestampdiff": "at - other",
	"date_add": "at + INTERVAL '1 day'", "dateadd": "at + INTERVAL '1 day'", "date_sub": "at - INTERVAL '1 day'",
	"time_bucket": "tumble(at, INTERVAL '1 minute') in GROUP BY", "bin": "tumble(at, INTERVAL '1 minute') in GROUP BY",
	"tostartofminute": "date_trunc('minute', at)", "tostartofhour": "date_trunc('hour', at)",
	"tostartofday": "date_trunc('day', at)",
	"year":         "extract(year FROM at)", "month": "extract(month FROM at)", "day": "extract(day FROM at)",
	"hour": "extract(hour FROM at)", "minute": "extract(minute FROM at)",
	"second": "extract(second FROM at)", "week": "extract(week FROM at)", "quarter": "extract(quarter FROM at)",
	"dayofweek": "extract(dow FROM at)", "dayofyear": "extract(doy FROM at)",
	"regexp_contains": "x ~ 'pattern'", "rlike": "x ~ 'pattern'", "regexp_extract": "regexp_substr(x, 'pattern')",
	"match":        "x ~ 'pattern'",
	"json_extract": "x -> 'key'", "json_extract_string": "x ->> 'key'", "json_extract_scalar": "x ->> 'key'",
	"get_json_object": "x ->> 'key'", "json_value": "x ->> 'key'",
	"json_query": "x -> 'key'", "try_cast": "CAST(x AS type)", "safe_cast": "CAST(x AS type)",
	"contains": "strpos(x, y) > 0", "endswith": "x LIKE '%end'", "ends_with": "x LIKE '%end'",
	"startswith": "starts_with(x, y)", "truncate": "trunc(x)",
	"window_start": "the column window_start, without parentheses",
	"window_end":   "the column window_end, without parentheses",
	"tumble_start": "the column window_start", "tumble_end": "the column window_end",
	"hop_start": "the column window_start", "hop_end": "the column window_end",
	"session_start": "the column window_start", "session_end": "the column window_end",
}

// unknown reports a fault if there is no such function.
func (c *compiler) unknown(x *syntax.Call) bool {
	if _, known := functions[x.Name]; known || slices.Contains(special, x.Name) {
		return false
	}
	names := slices.AppendSeq(slices.Collect(maps.Keys(functions)), maps.Keys(aggregates))
	names = append(names, special...)
	slices.Sort(names)
	hint := nearest(x.Name, names)
	switch f := percentileNamed(x.Name); {
	case f != "":
		hint = ": write approx_percentile(x, " + f + ")"
	case x.Name == "unnest" || x.Name == "generate_series":
		hint = ": a record is one row"
	case instead[x.Name] != "":
		hint = ": write " + instead[x.Name]
	}
	c.fault(x.Pos, "there is no function %q%s", x.Name, hint)
	return true
}

func (c *compiler) arity(x *syntax.Call, least, most int) bool {
	if n := len(x.Args); n < least || n > most {
		want := fmt.Sprint(least)
		if most > least {
			want = fmt.Sprintf("%d to %d", least, most)
		}
		c.fault(x.Pos, "%s of %d arguments, expected %s", x.Name, n, want)
		return false
	}
	return true
}

// argument makes an argument of a type from a value. Numbers become floats, but decimals and floats
// do not become integers.
func (c *compiler) argument(v value, t record.Type, at syntax.Expr, of string) (*expr.Expr, bool) {
	want := t
	if t == anyNumber {
		want = record.Float64
	}
	v, ok := c.as(v, want, at)
	if !ok {
		return nil, false
	}
	u := v.e.Type()
	switch {
	case v.interval:
	case t == anyNumber && isNumber(u), u == t:
		return v.e, true
	case t == record.Float64 && isNumber(u):
		return c.to(v.e, t), true
	}
	c.fault(at.Start(), "%s of %s, expected %v", of, typeOf(v),
		map[bool]string{true: "a number", false: want.String()}[t == anyNumber])
	return nil, false
}

// texts is an operation on texts; other values are converted to texts.
func (c *compiler) texts(pos syntax.Pos, op expr.Op, args ...*expr.Expr) (value, bool) {
	for i, a := range args {
		args[i] = c.to(a, record.String)
	}
	return c.make(pos, op, args...)
}

// timeField is extract and date_trunc. date_trunc may have a time zone.
func (c *compiler) timeField(x *syntax.Call, l leaf) (v value, ok bool) {
	most := 2
	if x.Name == "date_trunc" {
		most = 3
	}
	if !c.arity(x, 2, most) {
		return v, false
	}
	name, is := x.Args[0].(*syntax.Literal)
	if !is || name.Kind != syntax.String {
		c.fault(x.Args[0].Start(), "the field of %s must be a text constant", x.Name)
		return v, false
	}
	field := strings.ToLower(name.Text)
	v, ok = c.bind(x.Args[1], l)
	if !ok {
		return v, false
	}
	if !c.fixed(v, x.Args[1]) {
		return v, false
	}
	if v.interval && field == "epoch" && x.Name != "date_trunc" {
		// Go by way of microseconds: a float holds the microseconds of 285 years exactly.
		v, ok = c.make(x.Pos, expr.Div, v.e, expr.Int(record.Int64, 1000))
		if !ok {
			return v, false
		}
		return c.make(x.Pos, expr.Div, c.to(v.e, record.Float64), expr.Float(1e6))
	}
	e, ok := c.argument(v, record.Timestamp, x.Args[1], x.Name)
	if !ok {
		return v, false
	}
	var err error
	wall := v.wall
	switch {
	case len(x.Args) == 3:
		in, ok := c.zoneNamed(x.Args[2], l)
		if !ok {
			return v, false
		}
		e, err = expr.TruncZone(field, e, in)
		wall = false
	case x.Name == "date_trunc":
		e, err = expr.DateTrunc(field, e)
	default:
		e, err = expr.Extract(field, e)
		wall = false
	}
	v, ok = c.made(name.Pos, e, err)
	v.wall = wall
	return v, ok
}

// round is round(x) and round(x, n); n is a constant.
func (c *compiler) round(x *syntax.Call, l leaf) (v value, ok bool) {
	if !c.arity(x, 1, 2) {
		return v, false
	}
	v, ok = c.bind(x.Args[0], l)
	if !ok {
		return v, false
	}
	e, ok := c.argument(v, anyNumber, x.Args[0], "round")
	if !ok {
		return v, false
	}
	if len(x.Args) == 1 {
		return c.make(x.Pos, expr.Round, e)
	}
	lit, is := x.Args[1].(*syntax.Literal)
	n, whole := int64(0), false
	if is {
		n, whole = number(lit)
	}
	if !whole || n > record.MaxPrecision {
		c.fault(x.Args[1].Start(), "the digits of round must be a constant, 0 to %d", record.MaxPrecision)
		return v, false
	}
	switch t := e.Type(); {
	case t == record.Int64 || t.IsDecimal() && int(n) >= t.Scale():
		return value{e: e}, true
	case t.IsDecimal():
		return value{e: c.to(e, record.DecimalOf(min(record.MaxPrecision, t.Precision()-t.Scale()+int(n)+1), int(n)))},
			true
	}
	// Round floats through a decimal, like PostgreSQL's round(x::numeric, n).
	return value{e: c.to(c.to(e, record.DecimalOf(record.MaxPrecision, int(n))), record.Float64)}, true
}
