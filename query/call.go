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
	"ends_with":        {expr.EndsWith, []record.Type{record.String, record.String}, false},
	"initcap":          {expr.InitCap, []record.Type{record.String}, false},
	"translate":        {expr.Translate, []record.Type{record.String, record.String, record.String}, false},
	"to_hex":           {expr.ToHex, []record.Type{record.Int64}, false},
	"overlay":          {expr.Overlay, []record.Type{record.String, record.String, record.Int64, record.Int64}, true},
	"atan2":            {expr.Atan2, []record.Type{record.Float64, record.Float64}, false},
	"factorial":        {expr.Factorial, []record.Type{record.Int64}, false},
	"gcd":              {expr.GCD, []record.Type{record.Int64, record.Int64}, false},
	"lcm":              {expr.LCM, []record.Type{record.Int64, record.Int64}, false},
	"bit_count":        {expr.BitCount, []record.Type{record.Int64}, false},
	"width_bucket": {
		expr.WidthBucket, []record.Type{record.Float64, record.Float64, record.Float64, record.Int64}, false,
	},
	"make_time": {expr.MakeClock, []record.Type{record.Int64, record.Int64, record.Float64}, false},
	"make_date": {expr.MakeDate, []record.Type{record.Int64, record.Int64, record.Int64}, false},
	"make_timestamp": {
		expr.MakeTime,
		[]record.Type{record.Int64, record.Int64, record.Int64, record.Int64, record.Int64, record.Float64},
		false,
	},
}

// call binds a call of a scalar function.
func (c *compiler) call(x *syntax.Call, l leaf) (v value, ok bool) {
	if c.unknown(x) {
		return v, false
	}
	if x.Distinct || x.Star || x.Filter != nil || len(x.OrderBy)+len(x.WithinGroup) > 0 || x.Over != nil {
		c.fault(x.Pos, "%s is no aggregate", x.Name)
		return v, false
	}
	if f := userFunction(x.Name); f != nil {
		return c.userCall(f, x, l)
	}
	if e, done, ok := c.synonym(x); done {
		if !ok {
			return v, false
		}
		return c.bind(e, l)
	}
	for _, family := range families {
		if f := family[x.Name]; f != nil {
			return f(c, x, l)
		}
	}
	if expr.IsMath(x.Name) {
		return c.mathFunction(x, l)
	}
	if slices.Contains(fieldFunctions, x.Name) {
		return c.fieldFunction(x, l)
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
	case "nullif", "mod", "div":
		if !c.arity(x, 2, 2) {
			return v, false
		}
		if x.Name == "div" {
			return c.div(x, l)
		}
		if x.Name == "mod" {
			return c.bind(&syntax.Binary{Pos: x.Pos, Op: "%", X: x.Args[0], Y: x.Args[1]}, l)
		}
		return c.nullIf(x, l)
	case "to_timestamp":
		if len(x.Args) == 2 {
			return c.parseTime(x, l)
		}
		if !c.arity(x, 1, 2) {
			return v, false
		}
	case "strpos":
		if !c.arity(x, 2, 2) {
			return v, false
		}
		return c.call(&syntax.Call{Pos: x.Pos, Name: "position", Args: []syntax.Expr{x.Args[1], x.Args[0]}}, l)
	case processingTime:
		c.fault(x.Pos, "%s() is the time of a window: GROUP BY tumble(%s(), INTERVAL '1 s')", processingTime,
			processingTime)
		return v, false
	case "random":
		c.fault(x.Pos, "%s() would make the result depend on when it is computed: use a column of the stream", x.Name)
		return v, false
	case "try":
		return c.try(x, l)
	}
	return c.function(x, l)
}

// try is try(x): NULL if x cannot be computed.
func (c *compiler) try(x *syntax.Call, l leaf) (v value, ok bool) {
	if !c.arity(x, 1, 1) {
		return v, false
	}
	v, ok = c.bind(x.Args[0], l)
	if !ok {
		return v, false
	}
	e, err := expr.Try(v.e)
	return c.made(x.Pos, e, err)
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
		if twin := bytesTwins[x.Name]; i == 0 && twin != nil && v.e.Type() == record.Bytes {
			return twin(c, x, v, l)
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
	if first, _ := c.bind(x.Args[0], l); !first.open && isDecimal(first.e.Type()) {
		// The result has the digits of the first argument, as in PostgreSQL.
		e, err := expr.Cast(v.e, first.e.Type())
		return value{e: e}, err == nil
	}
	return v, true
}

// concat is CONCAT of any values, and CONCAT_WS, whose first argument is put between them.
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
	if x.Name == "concat_ws" {
		return c.texts(x.Pos, expr.ConcatWS, args...)
	}
	return c.texts(x.Pos, expr.Concat, args...)
}

// families are the functions that are bound by a function each.
var families = []map[string]func(*compiler, *syntax.Call, leaf) (value, bool){}

func init() {
	families = append(families, textFunctions, numberFunctions, dateFunctions, jsonFunctions, bytesFunctions)
}

// special are the functions that are bound neither with a table nor by a family.
var special = []string{
	"coalesce", "greatest", "least", "nullif", "mod", "div", "random",
	"strpos", "try", processingTime,
}

// isFunction says whether there is a scalar function.
func isFunction(name string) bool { return isBuiltIn(name) || userFunction(name) != nil }

// isBuiltIn says whether there is a scalar function that no user has registered.
func isBuiltIn(name string) bool {
	_, known := functions[name]
	for _, f := range families {
		known = known || f[name] != nil
	}
	return known || slices.Contains(special, name) || isSynonym(name) || expr.IsMath(name) ||
		slices.Contains(fieldFunctions, name)
}

// functionNames are the names of the scalar functions that are no synonyms.
func functionNames() []string {
	names := slices.AppendSeq(slices.Clone(special), maps.Keys(functions))
	for _, f := range families {
		names = slices.AppendSeq(names, maps.Keys(f))
	}
	return names
}

// instead says what to write for functions of other systems.
var instead = map[string]string{
	"date_format":    "to_char(at, 'YYYY-MM-DD')",
	"formatdatetime": "to_char(at, 'YYYY-MM-DD')",
	"str_to_date":    "to_timestamp(x, '%d/%m/%Y')",

	"from_unixtime": "to_timestamp(seconds)", "to_timestamp_ltz": "to_timestamp(seconds)",

	"timestampdiff":   "at - other",
	"dateadd":         "at + INTERVAL '1 day'",
	"bin":             "tumble(at, INTERVAL '1 minute') in GROUP BY",
	"tostartofminute": "date_trunc('minute', at)", "tostartofhour": "date_trunc('hour', at)",
	"tostartofday": "date_trunc('day', at)",

	"dayofweek": "extract(dow FROM at)",

	"top": "LIMIT n at the end", "convert": "CAST(x AS text), or x::text", "split": "split_part(x, ',', 1)",
	"string_to_array": "split_part(x, ',', 1)", "getdate": "now()", "sysdate": "now()", "curdate": "current_date",
	"match":     "x ~ 'pattern'",
	"to_number": "CAST(replace(x, ',', '') AS decimal(18, 2))",
	"isfinite":  "x IS NOT NULL, because no time is infinite", "current_time": "localtime",
	"todate": "CAST(at AS date)", "todatetime": "CAST(x AS timestamp)", "tostring": "CAST(x AS text)",
	"toint32": "CAST(x AS bigint)", "toint64": "CAST(x AS bigint)", "tofloat64": "CAST(x AS double precision)",
	"regexp_match": "regexp_like(x, 'pattern') or regexp_substr(x, 'pattern')",
	"json_query":   "x -> 'key', or x #> '{a,0}'",
	"json_type":    "json_typeof(x)", "json_keys": "x -> 'key' for each key",
	"typeof": "pg_typeof(x) for the name of the type in PostgreSQL; json_typeof(x) is the type of JSON",

	"window_start": "the column window_start, without parentheses",
	"window_end":   "the column window_end, without parentheses",
}

// unknown reports a fault if there is no such function.
func (c *compiler) unknown(x *syntax.Call) bool {
	if isFunction(x.Name) {
		return false
	}
	names := append(slices.AppendSeq(functionNames(), maps.Keys(aggregates)), userNames()...)
	names = append(slices.AppendSeq(slices.AppendSeq(names, maps.Keys(synonyms)), maps.Keys(written)), "total")
	slices.Sort(names)
	hint := nearest(x.Name, names)
	switch f := percentileNamed(x.Name); {
	case f != "":
		hint = ": write approx_percentile(x, " + f + ")"
	case x.Name == "unnest" || x.Name == "generate_series":
		hint = ": a record is one row"
	case instead[x.Name] != "":
		hint = ": write " + instead[x.Name]
	case strings.HasPrefix(x.Name, "json") && distance(x.Name, nearestName(x.Name, names)) > 2:
		hint = ": functions that make or change JSON are not there; x -> 'key' and x #> '{a,0}' read it"
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
	hint := ""
	if t == record.String && !v.open && u != record.Bytes {
		hint = ": write CAST(x AS text)"
	}
	c.fault(at.Start(), "%s of %s, expected %v%s", of, typeOf(v),
		map[bool]string{true: "a number", false: want.String()}[t == anyNumber], hint)
	return nil, false
}

// texts is an operation on texts; other values are converted to texts.
func (c *compiler) texts(pos syntax.Pos, op expr.Op, args ...*expr.Expr) (value, bool) {
	for i, a := range args {
		args[i] = c.to(a, record.String)
	}
	return c.make(pos, op, args...)
}
