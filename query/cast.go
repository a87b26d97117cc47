package query

import (
	"fmt"
	"strings"

	"github.com/velo-engine/velo/core/expr"
	"github.com/velo-engine/velo/query/internal/syntax"
	"github.com/velo-engine/velo/record"
)

func (c *compiler) cast(x *syntax.Cast, l leaf) (v value, ok bool) {
	from := x.X
	if p, is := from.(*syntax.Binary); is && p.Op == "->>" {
		// A column that has this type already need not be converted to a text first.
		raw, ok := c.bind(&syntax.Binary{Pos: p.Pos, Op: "->", X: p.X, Y: p.Y}, l)
		if t, err := typeNamed(x.Type); ok && err == nil && raw.e.Type() == t && t != record.String {
			from = &syntax.Binary{Pos: p.Pos, Op: "->", X: p.X, Y: p.Y}
		}
	}
	v, ok = c.bind(from, l)
	if !ok {
		return v, false
	}
	switch x.Type.Name {
	case "json":
		return c.castJSON(x, v)
	case "interval":
		k, is := v.e.Const()
		switch {
		case v.interval:
			return v, true
		case is && v.open && !k.Null && !x.Try:
			return c.interval(x.Pos, k.Text, "")
		}
	}
	t, err := typeOfCast(x.Type, v)
	if err != nil {
		c.fault(x.Type.Pos, "%v", err)
		return v, false
	}
	if v.interval {
		e, ok := c.settled(v, x.X)
		if !ok {
			return v, false
		}
		if t != record.String && t != record.TimeOfDay {
			c.fault(x.Pos, "an interval cannot become %v", t)
			return v, false
		}
		e, err := expr.Cast(e, t)
		return c.made(x.Pos, e, err)
	}
	if v.date && t == record.String {
		e, err := expr.ToChar(v.e, "YYYY-MM-DD")
		return c.made(x.Pos, e, err)
	}
	if !x.Try || v.open && isNullConst(v.e) {
		v, ok = c.as(v, t, x.X)
		if !ok {
			return v, false
		}
	}
	e, err := expr.Cast(v.e, t)
	if err != nil {
		c.fault(x.Pos, "%s", said(err))
		return v, false
	}
	v = valueOf(e)
	wall := t == record.Timestamp && x.Type.Name != "timestamptz"
	v.wall = wall
	switch {
	case x.Try:
		e, err := expr.Try(e)
		v, ok = c.made(x.Pos, e, err)
		v.wall = wall
		if !ok || x.Type.Name != "date" {
			return v, ok
		}
		fallthrough
	case x.Type.Name == "date":
		v, ok = c.day(v, x.Pos)
		v.wall, v.date = true, true
		return v, ok
	case t == record.String && len(x.Type.Args) == 1:
		return c.make(x.Pos, expr.Substring, e, expr.Int(record.Int64, 1), expr.Int(record.Int64, x.Type.Args[0]))
	}
	return v, true
}

// typeOfCast is the type that a value is cast to.
func typeOfCast(t syntax.TypeName, v value) (record.Type, error) {
	if free, ok := freeDecimal(t, v); ok {
		return free, nil
	}
	return typeNamed(t)
}

// castJSON is CAST(x AS json): the text itself, which must be JSON.
func (c *compiler) castJSON(x *syntax.Cast, v value) (value, bool) {
	if v.e.Type() != record.String {
		c.fault(x.Pos, "%s cannot become json, expected a text that has JSON", typeOf(v))
		return v, false
	}
	e, err := expr.New(expr.JSONText, v.e)
	if err == nil && x.Try {
		e, err = expr.Try(e)
	}
	return c.made(x.Pos, e, err)
}

// freeDecimal is the type of a cast to numeric without digits: the digits of the value, if they are
// known.
func freeDecimal(t syntax.TypeName, v value) (record.Type, bool) {
	if t.Name != "numeric" && t.Name != "decimal" || len(t.Args) > 0 {
		return 0, false
	}
	k, _ := v.e.Const()
	switch u := v.e.Type(); {
	case v.interval:
	case isDecimal(u):
		return u, true
	case u == record.Int64:
		return record.DecimalOf(record.MaxPrecision, 0), true
	case v.open && !k.Null:
		whole, fraction, _ := strings.Cut(strings.TrimLeft(strings.TrimSpace(k.Text), "+-"), ".")
		if strings.Trim(whole+fraction, "0123456789") == "" && len(whole)+len(fraction) <= record.MaxDigits {
			return withDigits(len(whole)+len(fraction), len(fraction)), true
		}
	}
	return 0, false
}

func isNullConst(e *expr.Expr) bool {
	k, ok := e.Const()
	return ok && k.Null
}

// otherTypes says what to write for types that velo has not.
var otherTypes = map[string]string{
	"clob": "write text", "nchar": "write text",
	"json":   "write text; x -> 'key' and x ->> 'key' read it",
	"jsonb":  "write json, which keeps the text as it is, or nothing: x -> 'key' and x ->> 'key' read a text",
	"timetz": "write time: a time of day has no zone here",
	"number": "write decimal(18, 4) with the digits that there are, or bigint", "unsigned": "write bigint",
	"signed": "write bigint", "hugeint": "write bigint", "ubigint": "write bigint", "uint64": "write bigint",
	"int64": "write bigint", "int32": "write bigint", "float64": "write double precision",
	"timestamp_ntz": "write timestamp", "timestamp_ltz": "write timestamp", "money": "write decimal(18, 2)",
	"array": "there are no arrays; array_agg(x ORDER BY y) makes a list as a text",
}

// typeNamed is a type by its name in SQL.
func typeNamed(t syntax.TypeName) (record.Type, error) {
	switch t.Name {
	case "bool", "boolean":
		return record.Bool, nil
	case "smallint", "int2", "tinyint", "int1", "short", "long", "int", "int4", "integer", "bigint", "int8":
		return record.Int64, nil
	case "real", "float4", "float", "float8", "double precision", "double":
		return record.Float64, nil
	case "text", "varchar", "char", "character", "string", "bpchar", "nvarchar":
		return record.String, nil
	case "timestamp", "timestamptz", "date", "datetime":
		return record.Timestamp, nil
	case "time":
		return record.TimeOfDay, nil
	case "interval":
		return record.Interval, nil
	case "uuid":
		return record.UUID, nil
	case "bytea", "blob", "binary", "varbinary":
		return record.Bytes, nil
	case "decimal", "numeric":
		p, s := int64(record.MaxPrecision), int64(0)
		switch len(t.Args) {
		case 0:
			return 0, fmt.Errorf("%s: say how many digits there are, and how many of them after the point: %s(18, 4)",
				t.Name, t.Name)
		case 2:
			s = t.Args[1]
			fallthrough
		default:
			p = t.Args[0]
		}
		if p < 1 || p > record.MaxDigits || s < 0 || s > p {
			hint := ""
			if p > record.MaxDigits {
				hint = ": for more, write double precision, which has 15 of them, or text, which keeps all"
			}
			return 0, fmt.Errorf("%s(%d, %d): expected up to %d digits, and no more of them after the point%s", t.Name,
				p, s, record.MaxDigits, hint)
		}
		return record.DecimalOf(int(p), int(s)), nil
	}
	names := []string{
		"boolean", "integer", "bigint", "real", "double precision", "decimal", "numeric", "text",
		"varchar", "timestamp", "timestamptz", "date", "time", "interval", "uuid", "bytea",
	}
	hint := nearest(t.Name, names)
	if write := otherTypes[t.Name]; write != "" {
		hint = ": " + write
	}
	return 0, fmt.Errorf("there is no type %q%s", t.Name, hint)
}
