package expr

import (
	"crypto/sha256"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"github.com/velo-engine/velo/record"
)

// Limits of an expression.
const (
	// MaxDepth bounds how deeply operations may be nested.
	MaxDepth = 1000

	// MaxNodes bounds the number of different operations of a program.
	MaxNodes = 1 << 14

	// MaxText bounds the bytes of a text that an operation makes.
	MaxText = 1 << 20
)

// A Value is one value: the word of a fixed type (see record.Column), or a text.
type Value struct {
	Null  bool
	Unfit bool // the value is NULL because it does not fit its type or could not be computed
	Bits  uint64
	Text  string
}

// ForKey is a value of a type, which is not NULL, as groupkey.Layout.EncodeValues takes it. It
// shares no memory with v.
func (v Value) ForKey(t record.Type) any {
	switch {
	case t == record.String:
		return strings.Clone(v.Text)
	case t.Kind() == record.String:
		return []byte(v.Text)
	case t.IsLogical():
		return time.Duration(v.Bits)
	case t == record.Bool:
		return v.Bits != 0
	case t == record.Float64:
		return math.Float64frombits(v.Bits)
	case t == record.Timestamp:
		return time.Unix(0, int64(v.Bits)).UTC()
	case t.IsDecimal():
		return record.Decimal{Unscaled: int64(v.Bits), Scale: uint8(t.Scale())}
	}
	return int64(v.Bits)
}

// An Expr is an expression over the columns of one schema. It does not change, and may be part of
// any number of others.
type Expr struct {
	op       Op
	typ      record.Type
	nullable bool
	args     []*Expr
	column   int    // number of a column
	name     string // name of a column, or the unit of a time function
	value    Value  // value of a constant
	depth    int
	aux      any // what is made once from constant arguments: a pattern, a set
}

// Type returns the type of the values.
func (e *Expr) Type() record.Type { return e.typ }

// Nullable says whether the values may be NULL.
func (e *Expr) Nullable() bool { return e.nullable }

// Const returns the value of a constant. ok is false if the expression is no constant.
func (e *Expr) Const() (v Value, ok bool) { return e.value, e.op == opConst }

// IsColumn returns the number of a column of the schema. ok is false if the expression is not just
// a column.
func (e *Expr) IsColumn() (column int, ok bool) { return e.column, e.op == opColumn }

// InSet is In for many values, which are not arguments: its text has their number, and a digest of
// them. They are constants of the type of x.
func InSet(x *Expr, values []*Expr) (*Expr, error) {
	s := &set{}
	digest := sha256.New()
	for _, a := range values {
		v, ok := a.Const()
		switch {
		case !ok || a.typ != x.typ:
			return nil, fmt.Errorf("expr: IN of %v, expected constants of type %v", a, x.typ)
		case v.Null:
			s.null = true
		default:
			s.add(x.typ, v)
		}
		fmt.Fprintf(digest, "%v,", a)
	}
	s.many = true
	name := fmt.Sprintf("%d values, %x", len(values), digest.Sum(nil)[:8]) // tells sets apart, see compiler.add
	return build(&Expr{op: In, name: name, args: []*Expr{x}, aux: s})
}

// Column makes an expression of column i of a schema.
func Column(s *record.Schema, i int) *Expr {
	f := s.Field(i)
	return &Expr{op: opColumn, typ: f.Type, nullable: f.Nullable, column: i, name: f.Name, depth: 1}
}

// Null makes the NULL of a type.
func Null(t record.Type) *Expr {
	return &Expr{op: opConst, typ: t, nullable: true, value: Value{Null: true}, depth: 1}
}

// Int makes a constant of a type of whole numbers: a bigint, a timestamp in nanoseconds, or a
// decimal by its digits.
func Int(t record.Type, v int64) *Expr { return constant(t, Value{Bits: uint64(v)}) }

// Float makes a constant.
func Float(v float64) *Expr { return constant(record.Float64, Value{Bits: math.Float64bits(v)}) }

// Text makes a constant.
func Text(v string) *Expr { return constant(record.String, Value{Text: v}) }

// Bool makes a constant.
func Bool(v bool) *Expr { return constant(record.Bool, Value{Bits: word(v)}) }

func constant(t record.Type, v Value) *Expr { return &Expr{op: opConst, typ: t, value: v, depth: 1} }

func word(v bool) uint64 {
	if v {
		return 1
	}
	return 0
}

// New makes an operation over arguments. The error says that there is no such operation for their
// types, or that it is nested too deeply.
func New(op Op, args ...*Expr) (*Expr, error) { return build(&Expr{op: op, args: args}) }

// Cast converts x to another type.
func Cast(x *Expr, t record.Type) (*Expr, error) {
	if x.typ == t {
		return x, nil
	}
	if isAnyDecimal(t) {
		x = RoundQuotient(x, t.Scale())
	}
	if t == record.Float64 && x.isQuotient() {
		return floatQuotient(x)
	}
	return build(&Expr{op: opCast, typ: t, args: []*Expr{x}})
}

// Extract takes a field of a timestamp; see fields for the names. Seconds, milliseconds and the
// epoch are floats, the other fields are integers.
func Extract(field string, x *Expr) (*Expr, error) {
	return build(&Expr{op: opExtract, name: field, args: []*Expr{x}})
}

// DateTrunc cuts a timestamp to a unit.
func DateTrunc(unit string, x *Expr) (*Expr, error) {
	return build(&Expr{op: opDateTrunc, name: unit, args: []*Expr{x}})
}

// Require returns x as an expression that is never NULL. A record for which x is NULL fails, with
// an error that says what x was needed for. It costs nothing if no value is NULL.
func Require(what string, x *Expr) (*Expr, error) {
	if !x.nullable {
		return x, nil
	}
	return build(&Expr{op: opRequire, name: what, args: []*Expr{x}})
}

// Checked is a text that a check lets through. A record whose text it does not let through fails.
// The error has what, and then the error of the check. A NULL is let through.
func Checked(what string, x *Expr, check func(text string) error) (*Expr, error) {
	return build(&Expr{op: opChecked, name: what, args: []*Expr{x}, aux: check})
}

// Case takes the value of the first branch whose condition is true. Its arguments are conditions
// and values in turn; the last argument is the value if no condition is true.
func Case(args ...*Expr) (*Expr, error) { return New(opCase, args...) }

// Like says whether a text matches a pattern, which is a constant. In the pattern _ is any
// character and % is any number of characters. After the character escape (0 means none) either
// stands for itself. fold ignores case.
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

// build finds the type of an operation, and its value if all its arguments are constants.
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
	e.depth++
	if e.depth > MaxDepth {
		return nil, fmt.Errorf("expr: operations nested more than %d deep", MaxDepth)
	}
	if err := o.types(e); err != nil {
		return nil, err
	}
	if constants && !e.op.changes() {
		if v, err := e.eval(nil); err == nil {
			return &Expr{op: opConst, typ: e.typ, nullable: v.Null, value: v, depth: 1}, nil
		}
	}
	return e, nil
}

// String writes the expression as SQL, with all parentheses.
func (e *Expr) String() string {
	switch e.op {
	case opColumn:
		return e.name
	case opConst:
		return e.value.format(e.typ)
	case opRequire, opChecked, opRetype:
		return e.args[0].String()
	case opCast:
		return fmt.Sprintf("CAST(%v AS %v)", e.args[0], e.typ)
	case opExtract:
		return fmt.Sprintf("extract(%s FROM %v)", e.name, e.args[0])
	case opDateTrunc:
		return fmt.Sprintf("date_trunc('%s', %v)", e.name, e.args[0])
	case opMath:
		return fmt.Sprintf("%s(%v)", e.name, e.args[0])
	case roundTo:
		p := e.aux.(places)
		return fmt.Sprintf("%s(%v, %d)", map[bool]string{true: "trunc", false: "round"}[p.cut], e.args[0], p.digits)
	case opLookup, opLookupColumn:
		return e.lookupText()
	case opJSON:
		return fmt.Sprintf("(%v%s)", e.args[0], e.name)
	case inZone, fromZone:
		return fmt.Sprintf("(%v AT TIME ZONE %s)", e.args[0], quote(e.name))
	case truncZone:
		u := e.aux.(zoneUnit)
		return fmt.Sprintf("date_trunc('%s', %v, %s)", u.unit, e.args[0], quote(u.in.String()))
	case opSHA:
		return fmt.Sprintf("sha%s(%v)", e.name, e.args[0])
	case toChar, toCharNumber, toCharInterval, parseTime, opEncode, opDecode:
		return fmt.Sprintf("%s(%v, %s)", ops[e.op].name, e.args[0], quote(e.name))
	case addMonths:
		return fmt.Sprintf("(%v + INTERVAL '%s months')", e.args[0], e.name)
	case monthBin:
		return fmt.Sprintf("time_bucket('%s months', %v)", e.name, e.args[0])
	case RegexpMatch, RegexpFind, RegexpCount, RegexpPlace, regexpReplace:
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
		if e.aux.(*set).many {
			return fmt.Sprintf("(%v IN (%s))", e.args[0], e.name)
		}
		return fmt.Sprintf("(%v IN (%s))", e.args[0], list(e.args[1:]))
	}
	o := &ops[e.op]
	if p, ok := e.aux.(places); ok { // see RoundQuotient
		return fmt.Sprintf("round((%v / %v), %d)", e.args[0], e.args[1], p.digits)
	}
	switch {
	case o.infix && len(e.args) == 2:
		return fmt.Sprintf("(%v %s %v)", e.args[0], o.name, e.args[1])
	case o.postfix:
		return fmt.Sprintf("(%v %s)", e.args[0], o.name)
	case o.prefix:
		return fmt.Sprintf("(%s %v)", o.name, e.args[0])
	}
	return e.opName() + "(" + list(e.args) + ")"
}

func list(args []*Expr) string {
	var texts []string
	for _, a := range args {
		texts = append(texts, a.String())
	}
	return strings.Join(texts, ", ")
}

func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// format writes a value as SQL does.
func (v Value) format(t record.Type) string {
	if v.Null {
		return "NULL"
	}
	switch {
	case t.IsLogical():
		return strings.ToUpper(t.String()) + " " + quote(string(appendLogical(nil, t, v)))
	case t == record.String:
		return quote(v.Text)
	case t == record.Bool:
		return strings.ToUpper(strconv.FormatBool(v.Bits != 0))
	case t == record.Timestamp:
		return "TIMESTAMP " + quote(formatTime(int64(v.Bits)))
	}
	return formatNumber(t, v.Bits)
}

// appendLogical appends a value of a logical type as PostgreSQL writes it.
func appendLogical(to []byte, t record.Type, v Value) []byte {
	return record.AppendLogical(to, t, v.Bits, unsafe.Slice(unsafe.StringData(v.Text), len(v.Text)))
}

// formatNumber writes a number as PostgreSQL does.
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

// formatTime writes a timestamp in UTC.
func formatTime(nanos int64) string { return string(appendTime(nil, nanos)) }

func appendTime(to []byte, nanos int64) []byte {
	return time.Unix(0, nanos).UTC().AppendFormat(to, time.RFC3339Nano)
}
