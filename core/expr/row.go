package expr

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"strings"

	"github.com/velo-engine/velo/record"
)

// These are the ways in which an operation may fail.
var (
	errRange = errors.New("out of range")
	errZero  = errors.New("division by zero")

	errQuotient = fmt.Errorf("%w: the quotient has more than 38 digits; round(x / y, n) keeps fewer of them after "+
		"the point, and x::double precision / y has no limit", errRange)
)

// Eval computes the expression for a row of a batch. The error says which operation failed, and on
// which values.
func (e *Expr) Eval(b *record.Batch, row int) (Value, error) {
	return e.eval(func(column int, t record.Type) Value { return columnValue(b.Column(column), t, row) })
}

// EvalFunc computes the expression over columns whose values the function column returns.
func (e *Expr) EvalFunc(column func(i int, t record.Type) Value) (Value, error) {
	return e.eval(column)
}

// eval is the twin of the machine.
func (e *Expr) eval(column func(i int, t record.Type) Value) (Value, error) {
	switch e.op {
	case opConst:
		return e.value, nil
	case opColumn:
		return column(e.column, e.typ), nil
	case And, Or:
		return e.evalLogic(column)
	case opTry:
		v, err := e.args[0].eval(column)
		if err != nil {
			return Value{Null: true}, nil
		}
		return v, nil
	case opCase:
		for i := 0; i+1 < len(e.args); i += 2 {
			c, err := e.args[i].eval(column)
			if err != nil {
				return c, err
			}
			if !c.Null && c.Bits != 0 {
				return e.args[i+1].eval(column)
			}
		}
		return e.args[len(e.args)-1].eval(column)
	case Coalesce:
		for _, a := range e.args {
			if v, err := a.eval(column); err != nil || !v.Null {
				return v, err
			}
		}
		return Value{Null: true}, nil
	}
	var few [4]Value
	values := few[:0]
	null := false
	for _, a := range e.args {
		v, err := a.eval(column)
		if err != nil {
			return v, err
		}
		values = append(values, v)
		null = null || v.Null
	}
	return e.apply(values, null)
}

// apply computes an operation that is not lazy.
func (e *Expr) apply(values []Value, null bool) (Value, error) {
	o := &ops[e.op]
	if null && !o.lenient {
		return Value{Null: true}, nil
	}
	v, err := o.eval(e, values)
	if err != nil && (e.op == opRequire || e.op == opChecked) {
		return Value{}, err // the error says everything
	}
	if err != nil {
		var args []string
		for i, v := range values {
			args = append(args, v.format(e.args[i].typ))
		}
		return Value{}, fmt.Errorf("%v: %s of %s: %w", e, e.opName(), strings.Join(args, " and "), err)
	}
	return v, nil
}

func columnValue(c *record.Column, t record.Type, row int) Value {
	switch {
	case c.Null(row):
		return Value{Null: true}
	case t.Kind() == record.String:
		return Value{Text: string(c.View(row))}
	}
	return Value{Bits: c.Words()[row]}
}

// evalLogic evaluates the second argument only if the first does not decide.
func (e *Expr) evalLogic(column func(int, record.Type) Value) (Value, error) {
	decides := word(e.op == Or)
	x, err := e.args[0].eval(column)
	if err != nil || !x.Null && x.Bits == decides {
		return x, err
	}
	y, err := e.args[1].eval(column)
	switch {
	case err != nil || !y.Null && y.Bits == decides:
		return y, err
	case x.Null || y.Null:
		return Value{Null: true}, nil
	}
	return Value{Bits: 1 - decides}, nil
}

func evalNot(_ *Expr, a []Value) (Value, error) { return Value{Bits: 1 - a[0].Bits}, nil }

func evalIs(e *Expr, a []Value) (Value, error) {
	switch e.op {
	case IsTrue:
		return Value{Bits: word(!a[0].Null && a[0].Bits != 0)}, nil
	case IsFalse:
		return Value{Bits: word(!a[0].Null && a[0].Bits == 0)}, nil
	}
	return Value{Bits: word(a[0].Null)}, nil
}

// Compare orders two values of one type that are not NULL.
func Compare(t record.Type, a, b Value) int { return compare(t, a, b) }

func compare(t record.Type, a, b Value) int {
	switch t.Kind() {
	case record.String:
		return strings.Compare(a.Text, b.Text)
	case record.Float64:
		return cmp.Compare(ordered(a.Bits), ordered(b.Bits))
	}
	return cmp.Compare(int64(a.Bits), int64(b.Bits))
}

// ordered maps the bits of a float to an integer that is ordered as PostgreSQL orders floats: NaN
// is last, and -0 is 0.
//
//gcassert:inline
func ordered(w uint64) int64 {
	if w<<1 == 0 {
		return 0
	}
	if w&^(1<<63) > 0x7ff0000000000000 {
		return math.MaxInt64
	}
	return int64(w ^ uint64(int64(w)>>63)>>1)
}

func evalCompare(e *Expr, a []Value) (Value, error) {
	c := compare(e.args[0].typ, a[0], a[1])
	return Value{Bits: word(holds(e.op, c))}, nil
}

// holds says whether a comparison holds, given the order of its arguments.
func holds(op Op, c int) bool {
	switch op {
	case Eq:
		return c == 0
	case Ne:
		return c != 0
	case Lt:
		return c < 0
	case Le:
		return c <= 0
	case Gt:
		return c > 0
	}
	return c >= 0
}

func evalDistinct(e *Expr, a []Value) (Value, error) {
	if a[0].Null || a[1].Null {
		return Value{Bits: word(a[0].Null != a[1].Null)}, nil
	}
	return Value{Bits: word(compare(e.args[0].typ, a[0], a[1]) != 0)}, nil
}

// A set is the constants that IN looks in.
type set struct {
	words map[uint64]bool
	texts map[string]bool
	null  bool
	// many says that the values are no arguments.
	many bool
}

func (s *set) add(t record.Type, v Value) {
	if t.Kind() == record.String {
		if s.texts == nil {
			s.texts = map[string]bool{}
		}
		s.texts[v.Text] = true
		return
	}
	if s.words == nil {
		s.words = map[uint64]bool{}
	}
	s.words[inWord(t, v.Bits)] = true
}

// inWord returns the same word for equal values.
func inWord(t record.Type, w uint64) uint64 {
	if t == record.Float64 {
		return uint64(ordered(w))
	}
	return w
}

func evalIn(e *Expr, a []Value) (Value, error) {
	s, x := e.aux.(*set), a[0]
	if x.Null {
		return Value{Null: true}, nil
	}
	found := false
	if t := e.args[0].typ; t.Kind() == record.String {
		found = s.texts[x.Text]
	} else {
		found = s.words[inWord(t, x.Bits)]
	}
	if !found && s.null {
		return Value{Null: true}, nil
	}
	return Value{Bits: word(found)}, nil
}

func evalRequire(e *Expr, a []Value) (Value, error) {
	if a[0].Null {
		return Value{}, fmt.Errorf("%s is NULL, expected a value", e.name)
	}
	return a[0], nil
}

func evalChecked(e *Expr, a []Value) (Value, error) {
	if err := e.aux.(func(string) error)(a[0].Text); err != nil {
		return Value{}, fmt.Errorf("%s %w", e.name, err)
	}
	return a[0], nil
}

func evalNullIf(e *Expr, a []Value) (Value, error) {
	if !a[0].Null && !a[1].Null && compare(e.typ, a[0], a[1]) == 0 {
		return Value{Null: true}, nil
	}
	return a[0], nil
}

func evalExtreme(e *Expr, a []Value) (Value, error) {
	best := Value{Null: true}
	for _, v := range a {
		if v.Null {
			continue
		}
		c := 1
		if !best.Null {
			c = compare(e.typ, v, best)
		}
		if best.Null || e.op == Greatest && c > 0 || e.op == Least && c < 0 {
			best = v
		}
	}
	return best, nil
}

func evalArithmetic(e *Expr, a []Value) (Value, error) {
	if e.typ.IsWide() {
		return evalMade(e, a)
	}
	if e.args[0].typ == record.Float64 {
		v, err := floatOf(e.op, math.Float64frombits(a[0].Bits), math.Float64frombits(a[1].Bits))
		return Value{Bits: math.Float64bits(v)}, err
	}
	v, err := intOf(e.op, int64(a[0].Bits), int64(a[1].Bits))
	if err == nil && !fits(e.typ, v) {
		err = errRange
	}
	return Value{Bits: uint64(v)}, err
}

// fits says whether a whole number fits the digits of a decimal type. Other types fit any.
func fits(t record.Type, v int64) bool {
	if !t.IsDecimal() {
		return true
	}
	limit := record.Pow10[t.Precision()]
	return v < limit && v > -limit
}

func intOf(op Op, a, b int64) (v int64, err error) {
	switch op {
	case Add, AddNanos:
		v = a + b
		if (a^v)&(b^v) < 0 {
			err = errRange
		}
	case Sub, SubTimes:
		v = a - b
		if (a^b)&(a^v) < 0 {
			err = errRange
		}
	case Mul:
		high, low := bits.Mul64(uint64(a), uint64(b))
		v = int64(low)
		if int64(high)-(a>>63&b)-(b>>63&a) != v>>63 {
			err = errRange
		}
	case Div:
		switch {
		case b == 0:
			err = errZero
		case b == -1 && a == math.MinInt64:
			err = errRange
		default:
			v = a / b
		}
	case Mod:
		switch b {
		case 0:
			err = errZero
		case -1:
		default:
			v = a % b
		}
	}
	return v, err
}

func floatOf(op Op, a, b float64) (v float64, err error) {
	switch op {
	case Add:
		v = a + b
	case Sub:
		v = a - b
	case Mul:
		v = a * b
	case Div:
		if b == 0 && a == a {
			return 0, errZero
		}
		v = a / b
	}
	if math.IsInf(v, 0) && !math.IsInf(a, 0) && !math.IsInf(b, 0) {
		return 0, errRange
	}
	if v == 0 && (op == Mul && a != 0 && b != 0 || op == Div && a != 0 && !math.IsInf(b, 0)) {
		return 0, errRange // too small, an error as in PostgreSQL
	}
	return v, nil
}

func evalSign(e *Expr, a []Value) (Value, error) {
	if e.typ.IsWide() {
		return evalMade(e, a)
	}
	if e.typ == record.Float64 {
		f := math.Float64frombits(a[0].Bits)
		switch {
		case e.op == Neg:
			f = -f
		case e.op == Abs:
			f = math.Abs(f)
		case f != f:
			f = 0 // as PostgreSQL does
		default:
			f = float64(cmp.Compare(f, 0))
		}
		return Value{Bits: math.Float64bits(f)}, nil
	}
	v := int64(a[0].Bits)
	if e.op == Sign {
		return Value{Bits: uint64(cmp.Compare(v, 0)) * uint64(record.Pow10[e.typ.Scale()])}, nil
	}
	if v == math.MinInt64 {
		return Value{}, errRange
	}
	if e.op == Neg || v < 0 {
		v = -v
	}
	return Value{Bits: uint64(v)}, nil
}

func evalRound(e *Expr, a []Value) (Value, error) {
	if e.typ.IsWide() {
		return evalMade(e, a)
	}
	t := e.args[0].typ
	if t == record.Float64 {
		f := math.Float64frombits(a[0].Bits)
		switch e.op {
		case Round:
			f = math.RoundToEven(f)
		case Floor:
			f = math.Floor(f)
		case Ceil:
			f = math.Ceil(f)
		default:
			f = math.Trunc(f)
		}
		return Value{Bits: math.Float64bits(f)}, nil
	}
	v, unit := int64(a[0].Bits), record.Pow10[t.Scale()]
	whole, rest := v/unit, v%unit
	switch {
	case e.op == Floor && rest < 0, e.op == Round && -rest >= unit-(-rest) && rest < 0:
		whole--
	case e.op == Ceil && rest > 0, e.op == Round && rest >= unit-rest && rest > 0:
		whole++
	}
	return Value{Bits: uint64(whole)}, nil
}

func evalFloat(e *Expr, a []Value) (Value, error) {
	x := math.Float64frombits(a[0].Bits)
	var v float64
	var err error
	if e.op == Power {
		v, err = powerOf(x, math.Float64frombits(a[1].Bits))
	} else {
		v, err = floatFunc(e.op, x)
	}
	if err != nil {
		return Value{}, err
	}
	return Value{Bits: math.Float64bits(v)}, nil
}

func powerOf(x, y float64) (float64, error) {
	if x == 0 && y < 0 {
		return 0, errors.New("zero raised to a negative power is undefined")
	}
	if x < 0 && y == y && y != math.Trunc(y) {
		return 0, errors.New("a negative number raised to a power that is not whole is no number")
	}
	v := math.Pow(x, y)
	if math.IsInf(v, 0) && !math.IsInf(x, 0) && !math.IsInf(y, 0) || v == 0 && x != 0 && !math.IsInf(x, 0) &&
		!math.IsInf(y, 0) {
		return 0, errRange
	}
	return v, nil
}

// floatFunc is Sqrt, Ln, Log10 and Exp.
func floatFunc(op Op, x float64) (v float64, err error) {
	switch op {
	case Sqrt:
		if x < 0 {
			return 0, errors.New("the root of a negative number")
		}
		v = math.Sqrt(x)
	case Ln, Log10:
		if x <= 0 {
			return 0, errors.New("the logarithm of a number that is not more than 0")
		}
		// Numbers too small for a full mantissa are scaled, because math.Log on amd64 treats all of
		// them as 0x1p-1023.
		log, two := math.Log, math.Ln2
		if op == Log10 {
			log, two = math.Log10, math.Ln2/math.Ln10
		}
		v = log(x)
		if x < 0x1p-1022 {
			v = log(x*0x1p54) - 54*two
		}
	case Exp:
		v = math.Exp(x)
		if math.IsInf(v, 0) && !math.IsInf(x, 0) || v == 0 && !math.IsInf(x, 0) {
			return 0, errRange
		}
	}
	return v, nil
}
