package expr

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/velo-engine/velo/record"
)

// Limits of an expression.
const (
	// MaxDepth bounds how deep operations may be nested.
	MaxDepth = 1000

	// MaxNodes bounds the different operations of a program.
	MaxNodes = 1 << 14

	// MaxText bounds the bytes of a text that an operation makes.
	MaxText = 1 << 20
)

// A Value is one value: the word of a fixed type (see record.Column), or a text.
type Value struct {
	Null  bool
	Unfit bool // it is NULL because it does not fit its type or could not be computed
	Bits  uint64
	Text  string
}

// An Expr is an expression over the columns of one schema. It does not change, and may be part of any number of others.
type Expr struct {
	op       Op
	typ      record.Type
	nullable bool
	args     []*Expr
	column   int    // of a column
	name     string // of a column; the unit of a time function
	value    Value  // of a constant
	depth    int
	aux      any // what is made of constant arguments once: a pattern, a set
}

// Type is the type of its values.
func (e *Expr) Type() record.Type { return e.typ }

// Nullable says whether they may be NULL.
func (e *Expr) Nullable() bool { return e.nullable }

// Const is its value where it is a constant.
func (e *Expr) Const() (v Value, ok bool) { return e.value, e.op == opConst }

// IsColumn is the column of the schema that it is, where it is nothing else.
func (e *Expr) IsColumn() (column int, ok bool) { return e.column, e.op == opColumn }

// Column is column i of a schema.
func Column(s *record.Schema, i int) *Expr {
	f := s.Field(i)
	return &Expr{op: opColumn, typ: f.Type, nullable: f.Nullable, column: i, name: f.Name, depth: 1}
}

// Null is the NULL of a type.
func Null(t record.Type) *Expr {
	return &Expr{op: opConst, typ: t, nullable: true, value: Value{Null: true}, depth: 1}
}

// Int is a constant of a type that has whole numbers: bigint, a timestamp in nanoseconds, a decimal by its digits.
func Int(t record.Type, v int64) *Expr { return constant(t, Value{Bits: uint64(v)}) }

// Float is a constant.
func Float(v float64) *Expr { return constant(record.Float64, Value{Bits: math.Float64bits(v)}) }

// Text is a constant.
func Text(v string) *Expr { return constant(record.String, Value{Text: v}) }

// Bool is a constant.
func Bool(v bool) *Expr { return constant(record.Bool, Value{Bits: word(v)}) }

func constant(t record.Type, v Value) *Expr { return &Expr{op: opConst, typ: t, value: v, depth: 1} }

func word(v bool) uint64 {
	if v {
		return 1
	}
	return 0
}

// New is an operation over arguments. The error says that there is no such operation for their types, or that it is nested too deep.
func New(op Op, args ...*Expr) (*Expr, error) { return build(&Expr{op: op, args: args}) }

// Cast is x as a value of another type.
func Cast(x *Expr, t record.Type) (*Expr, error) {
	if x.typ == t {
		return x, nil
	}
	return build(&Expr{op: opCast, typ: t, args: []*Expr{x}})
}

// Extract is a field of a timestamp: see the names of fields. Seconds, milliseconds and the epoch are floats, the others integers.
func Extract(field string, x *Expr) (*Expr, error) {
	return build(&Expr{op: opExtract, name: field, args: []*Expr{x}})
}

// DateTrunc is a timestamp cut to a unit.
func DateTrunc(unit string, x *Expr) (*Expr, error) {
	return build(&Expr{op: opDateTrunc, name: unit, args: []*Expr{x}})
}

// Require is x, never NULL: a record where x is NULL fails, with an error that says what it was needed
// for. It costs nothing where no value is NULL.
func Require(what string, x *Expr) (*Expr, error) {
	if !x.nullable {
		return x, nil
	}
	return build(&Expr{op: opRequire, name: what, args: []*Expr{x}})
}

// Case is the value of the first branch whose condition is true: conditions and values take turns, and the last is the value where none is.
func Case(args ...*Expr) (*Expr, error) { return New(opCase, args...) }

// Like says whether a text is like a pattern, a constant: _ is any character, % any number of them, escape (0: none) takes that from the one
// behind it. fold ignores case.
func Like(x *Expr, pattern string, escape rune, fold bool) (*Expr, error) {
	p, err := compileLike(pattern, escape, fold)
	if err != nil {
		return nil, err
	}
	name := "LIKE"
	if fold {
		name = "ILIKE"
	}
	return build(&Expr{op: opLike, name: name, args: []*Expr{x}, aux: p})
}

// build finds the type of an operation, and its value where that is constant.
func build(e *Expr) (*Expr, error) {
	if int(e.op) >= len(ops) || ops[e.op].types == nil {
		return nil, fmt.Errorf("expr: there is no operation %d", e.op)
	}
	o := &ops[e.op]
	constants := true
	for _, a := range e.args {
		e.depth = max(e.depth, a.depth)
		e.nullable = e.nullable || a.nullable
		constants = constants && a.op == opConst
	}
	if e.depth++; e.depth > MaxDepth {
		return nil, fmt.Errorf("expr: operations nested more than %d deep", MaxDepth)
	}
	if err := o.types(e); err != nil {
		return nil, err
	}
	if constants {
		if v, err := e.eval(nil); err == nil {
			return &Expr{op: opConst, typ: e.typ, nullable: v.Null, value: v, depth: 1}, nil
		}
	}
	return e, nil
}

// String is the expression as SQL would say it, with all parentheses.
func (e *Expr) String() string {
	switch e.op {
	case opColumn:
		return e.name
	case opConst:
		return e.value.format(e.typ)
	case opRequire:
		return e.args[0].String()
	case opCast:
		return fmt.Sprintf("CAST(%v AS %v)", e.args[0], e.typ)
	case opExtract:
		return fmt.Sprintf("extract(%s FROM %v)", e.name, e.args[0])
	case opDateTrunc:
		return fmt.Sprintf("date_trunc('%s', %v)", e.name, e.args[0])
	case opJSON:
		return fmt.Sprintf("(%v%s)", e.args[0], e.name)
	case inZone, fromZone:
		return fmt.Sprintf("(%v AT TIME ZONE %s)", e.args[0], quote(e.name))
	case truncZone:
		u := e.aux.(zoneUnit)
		return fmt.Sprintf("date_trunc('%s', %v, %s)", u.unit, e.args[0], quote(u.in.String()))
	case toChar, parseTime:
		return fmt.Sprintf("%s(%v, %s)", ops[e.op].name, e.args[0], quote(e.name))
	case addMonths:
		return fmt.Sprintf("(%v + INTERVAL '%s months')", e.args[0], e.name)
	case RegexpMatch, RegexpFind, RegexpCount, regexpReplace:
		return fmt.Sprintf("%s(%v, %s)", ops[e.op].name, e.args[0], e.name)
	case opLike:
		return fmt.Sprintf("(%v %s %s)", e.args[0], e.name, quote(e.aux.(*likePattern).text))
	case opCase:
		var b strings.Builder
		b.WriteString("CASE")
		for i := 0; i+1 < len(e.args); i += 2 {
			fmt.Fprintf(&b, " WHEN %v THEN %v", e.args[i], e.args[i+1])
		}
		fmt.Fprintf(&b, " ELSE %v END", e.args[len(e.args)-1])
		return b.String()
	case In:
		return fmt.Sprintf("(%v IN (%s))", e.args[0], list(e.args[1:]))
	}
	o := &ops[e.op]
	switch {
	case o.infix && len(e.args) == 2:
		return fmt.Sprintf("(%v %s %v)", e.args[0], o.name, e.args[1])
	case o.postfix:
		return fmt.Sprintf("(%v %s)", e.args[0], o.name)
	case o.prefix:
		return fmt.Sprintf("(%s %v)", o.name, e.args[0])
	}
	return o.name + "(" + list(e.args) + ")"
}

func list(args []*Expr) string {
	var texts []string
	for _, a := range args {
		texts = append(texts, a.String())
	}
	return strings.Join(texts, ", ")
}

func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// format is a value as SQL writes it.
func (v Value) format(t record.Type) string {
	if v.Null {
		return "NULL"
	}
	switch {
	case t == record.String:
		return quote(v.Text)
	case t == record.Bool:
		return strings.ToUpper(strconv.FormatBool(v.Bits != 0))
	case t == record.Timestamp:
		return "TIMESTAMP " + quote(formatTime(int64(v.Bits)))
	}
	return formatNumber(t, v.Bits)
}

// formatNumber is a number as PostgreSQL writes it.
func formatNumber(t record.Type, bits uint64) string { return string(appendNumber(nil, t, bits)) }

func appendNumber(to []byte, t record.Type, bits uint64) []byte {
	switch {
	case t == record.Float64:
		return appendFloat(to, math.Float64frombits(bits))
	case t.IsDecimal():
		return record.Decimal{Unscaled: int64(bits), Scale: uint8(t.Scale())}.Append(to)
	}
	return strconv.AppendInt(to, int64(bits), 10)
}

// appendFloat appends the shortest text that reads as the same number.
func appendFloat(to []byte, f float64) []byte {
	switch {
	case f != f:
		return append(to, "NaN"...)
	case math.IsInf(f, 1):
		return append(to, "Infinity"...)
	case math.IsInf(f, -1):
		return append(to, "-Infinity"...)
	}
	format := byte('f')
	if a := math.Abs(f); a != 0 && (a < 1e-4 || a >= 1e15) {
		format = 'e'
	}
	return strconv.AppendFloat(to, f, format, -1, 64)
}

// formatTime is a timestamp, UTC.
func formatTime(nanos int64) string { return string(appendTime(nil, nanos)) }

func appendTime(to []byte, nanos int64) []byte {
	return time.Unix(0, nanos).UTC().AppendFormat(to, time.RFC3339Nano)
}
