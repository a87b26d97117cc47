package query

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/query/internal/syntax"
	"github.com/velo-engine/velo/record"
)

// CompileWith is Compile for a text with the parameters $1, $2 and so on. A parameter may be
// wherever a constant may be. Its value is nil for NULL, a bool, an integer, a float, a string,
// []byte (a text), a time.Time or a record.Decimal. A string takes the type of what it meets, as a
// text constant does. The error also says that there are more or fewer values than parameters.
func CompileWith(text string, values []any, schemas ...*record.Schema) (*plan.Plan, error) {
	return Catalog{Sources: schemas}.CompileWith(text, values)
}

// CompileWith is Compile for a text with parameters, as the function CompileWith is.
func (g Catalog) CompileWith(text string, values []any) (*plan.Plan, error) {
	most := 0
	q, _, err := syntax.ParseQueryWith(text, func(n int) (string, error) {
		most = max(most, n)
		if n > len(values) {
			return "", fmt.Errorf("parameter $%d has no value, %d values are given", n, len(values))
		}
		constant, err := constantOf(values[n-1])
		if err != nil {
			return "", fmt.Errorf("parameter $%d: %w", n, err)
		}
		return constant, nil
	})
	if err != nil {
		return nil, err
	}
	if most < len(values) {
		return nil, fmt.Errorf("query: %d values are given for %d parameters", len(values), most)
	}
	return compileQuery(text, q, g)
}

// constantOf is a value as SQL writes it.
func constantOf(v any) (string, error) {
	switch v := v.(type) {
	case nil:
		return "NULL", nil
	case bool:
		return strings.ToUpper(strconv.FormatBool(v)), nil
	case int:
		return wholeNumber(int64(v)), nil
	case int64:
		return wholeNumber(v), nil
	case int32:
		return wholeNumber(int64(v)), nil
	case int16:
		return wholeNumber(int64(v)), nil
	case int8:
		return wholeNumber(int64(v)), nil
	case uint:
		return unsignedNumber(uint64(v))
	case uint64:
		return unsignedNumber(v)
	case uint32:
		return wholeNumber(int64(v)), nil
	case uint16:
		return wholeNumber(int64(v)), nil
	case uint8:
		return wholeNumber(int64(v)), nil
	case float32:
		return doubleNumber(float64(v)), nil
	case float64:
		return doubleNumber(v), nil
	case string:
		return quotedText(v)
	case []byte:
		return quotedText(string(v))
	case time.Time:
		if v.Before(minTime) || v.After(maxTime) {
			return "", fmt.Errorf("the time %v is not within %v and %v", v, minTime, maxTime)
		}
		return "TIMESTAMP '" + v.UTC().Format("2006-01-02 15:04:05.999999999") + "'", nil
	case time.Duration:
		return typedText(record.Interval, string(record.AppendInterval(nil, int64(v))))
	case [16]byte:
		return typedText(record.UUID, string(record.AppendLogical(nil, record.UUID, 0, v[:])))
	case record.Literal:
		if !v.Type.IsLogical() || !v.Type.Valid() {
			return "", fmt.Errorf("a literal of type %v, expected time, interval, uuid, bytea or a decimal of "+
				"more than %d digits", v.Type, record.MaxPrecision)
		}
		if _, _, err := record.ParseLogical(nil, v.Type, v.Text); err != nil {
			return "", err
		}
		return typedText(v.Type, v.Text)
	case record.Decimal128:
		return typedText(record.DecimalOf(record.MaxDigits, int(v.Scale)), v.String())
	case record.Decimal:
		return fmt.Sprintf("CAST('%v' AS decimal(%d,%d))", v, record.MaxPrecision, v.Scale), nil
	}
	return "", fmt.Errorf("%T is no type of a value, expected nil, bool, int64, float64, string, time.Time, "+
		"time.Duration, [16]byte, record.Decimal, record.Decimal128 or record.Literal", v)
}

// typedText is a value of a logical type.
func typedText(t record.Type, text string) (string, error) {
	quoted, err := quotedText(text)
	return "CAST(" + quoted + " AS " + t.String() + ")", err
}

// minTime and maxTime are the bounds of a timestamp.
var (
	minTime = time.Unix(0, math.MinInt64).UTC()
	maxTime = time.Unix(0, math.MaxInt64).UTC()
)

// wholeNumber is a whole number. A negative one is in parentheses, because it is an operand.
func wholeNumber(v int64) string {
	if v == math.MinInt64 {
		return "CAST('" + strconv.FormatInt(v, 10) + "' AS bigint)"
	}
	if v < 0 {
		return "(" + strconv.FormatInt(v, 10) + ")"
	}
	return strconv.FormatInt(v, 10)
}

func unsignedNumber(v uint64) (string, error) {
	if v > math.MaxInt64 {
		return "", fmt.Errorf("%d is out of range of a bigint", v)
	}
	return wholeNumber(int64(v)), nil
}

func doubleNumber(v float64) string {
	return "CAST('" + strconv.FormatFloat(v, 'g', -1, 64) + "' AS double precision)"
}

// quotedText is a text between quotes.
func quotedText(v string) (string, error) {
	switch {
	case len(v) > syntax.MaxText:
		return "", fmt.Errorf("the text has %d bytes, at most %d are allowed", len(v), syntax.MaxText)
	case !utf8.ValidString(v):
		return "", errors.New("the text is not UTF-8")
	case strings.IndexByte(v, 0) >= 0:
		return "", errors.New("the text has a byte 0")
	}
	return "'" + strings.ReplaceAll(v, "'", "''") + "'", nil
}

// Parameters are the types of the parameters $1, $2 and so on of a SELECT: the type of the column
// that a parameter is compared with, the type that it is cast to, or bigint after LIMIT and OFFSET.
// The type is 0 if none of these says it. A parameter that is left out, such as $1 if there is only
// $2, is 0, too. The error is the error of the text.
func Parameters(text string, schemas ...*record.Schema) ([]record.Type, error) {
	numbers, counts, err := syntax.Parameters(text)
	if err != nil {
		return nil, err
	}
	most := 0
	for _, n := range numbers {
		most = max(most, n)
	}
	types := make([]record.Type, most)
	q, at, err := syntax.ParseQueryWith(text, func(n int) (string, error) {
		if counts[n] {
			types[n-1] = record.Int64
			return "1", nil
		}
		return "NULL", nil
	})
	if err != nil {
		return nil, err
	}
	f := &typeFinder{types: types, at: at, schemas: schemas}
	f.query(q)
	return types, nil
}

// typeFinder finds the types of parameters.
type typeFinder struct {
	types   []record.Type
	at      map[syntax.Pos]int
	schemas []*record.Schema
	// of is the schema of the query that is looked at; nil if it is not known.
	of *record.Schema
}

// query looks at a query and at what it reads.
func (f *typeFinder) query(q *syntax.Select) {
	if q.Set != nil {
		for _, leaf := range q.Leaves() {
			f.query(leaf)
		}
		return
	}
	if q.From.Query != nil {
		f.query(q.From.Query)
	}
	f.of = nil
	for _, s := range f.schemas {
		if s.Name() == q.From.Name && q.From.Query == nil {
			f.of = s
		}
	}
	for _, at := range syntax.Clauses(q) {
		syntax.Walk(*at, f.look)
	}
	for _, sub := range q.Subqueries() {
		f.query(sub)
	}
}

// look notes what an expression says of parameters in it.
func (f *typeFinder) look(e syntax.Expr) {
	switch x := e.(type) {
	case *syntax.Binary:
		switch x.Op {
		case "=", "<>", "<", "<=", ">", ">=", "+", "-", "*", "/", "%", "||":
			f.alike(x.X, x.Y)
		}
	case *syntax.IsDistinct:
		f.alike(x.X, x.Y)
	case *syntax.Between:
		f.alike(x.X, x.Low, x.High)
	case *syntax.In:
		f.alike(append([]syntax.Expr{x.X}, x.List...)...)
	case *syntax.Like:
		f.note(x.X, record.String)
		f.note(x.Pattern, record.String)
	case *syntax.Cast:
		t, err := typeNamed(x.Type)
		if err == nil {
			f.note(x.X, t)
		}
	}
}

// alike notes that expressions have the same type.
func (f *typeFinder) alike(all ...syntax.Expr) {
	var t record.Type
	for _, e := range all {
		if t == 0 {
			t = f.typeOf(e)
		}
	}
	for _, e := range all {
		f.note(e, t)
	}
}

// typeOf is the type of a column or of a constant; 0 if it is not known.
func (f *typeFinder) typeOf(e syntax.Expr) record.Type {
	switch x := e.(type) {
	case *syntax.Ident:
		if f.of == nil {
			return 0
		}
		if i, ok := f.of.Index(x.Name); ok {
			return f.of.Field(i).Type
		}
	case *syntax.Cast:
		t, err := typeNamed(x.Type)
		if err == nil {
			return t
		}
	case *syntax.Literal:
		switch x.Kind {
		case syntax.Bool:
			return record.Bool
		case syntax.Integer:
			return record.Int64
		case syntax.String:
			return record.String
		case syntax.Timestamp, syntax.TimestampTZ, syntax.Date:
			return record.Timestamp
		case syntax.Interval:
			return record.Interval
		}
	}
	return 0
}

// note notes the type of a parameter. What is found first counts.
func (f *typeFinder) note(e syntax.Expr, t record.Type) {
	lit, ok := e.(*syntax.Literal)
	if !ok {
		return
	}
	if n := f.at[lit.Pos]; n > 0 && f.types[n-1] == 0 {
		f.types[n-1] = t
	}
}

// A Fault is a fault of a text, with its place.
type Fault struct {
	Offset       int // in bytes
	Line, Column int // both from 1; columns count characters
	Message      string
}

// Faults are the faults that an error of this package consists of. Those without a place have the
// Line 0.
func Faults(err error) (all []Fault) {
	if err == nil {
		return nil
	}
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range many.Unwrap() {
			all = append(all, Faults(e)...)
		}
		return all
	}
	if at := new(syntax.Error); errors.As(err, &at) {
		return []Fault{{int(at.Pos), at.Line, at.Column, at.Message}}
	}
	return []Fault{{Message: err.Error()}}
}

// Lookup says, for a SELECT whose WHERE is nothing but comparisons of columns with parameters
// (column = $1), joined by AND, which column each parameter is compared with. It returns false if
// there is anything else in WHERE, or a parameter anywhere else. Then the columns of the result do
// not depend on the values, and a caller that finds the records by itself may use the plan of one
// statement for others with other values of the same types.
func Lookup(text string) (columns []string, ok bool) {
	q, at, err := syntax.ParseQueryWith(text, func(int) (string, error) { return "NULL", nil })
	if err != nil || q.Set != nil || hasSubqueries(q) ||
		q.From.Query != nil || q.From.Window != nil || q.From.Joins != nil {
		return nil, false
	}
	columns = make([]string, len(at))
	if q.Where == nil || !noteColumns(q, q.Where, at, columns) || slices.Contains(columns, "") {
		return nil, false
	}
	return columns, true
}

// noteColumns notes the column of each parameter in a condition.
func noteColumns(q *syntax.Select, e syntax.Expr, at map[syntax.Pos]int, columns []string) bool {
	x, ok := e.(*syntax.Binary)
	if !ok {
		return false
	}
	if x.Op == "AND" {
		return noteColumns(q, x.X, at, columns) && noteColumns(q, x.Y, at, columns)
	}
	column, isColumn := x.X.(*syntax.Ident)
	value, isValue := x.Y.(*syntax.Literal)
	if !isColumn {
		column, isColumn = x.Y.(*syntax.Ident)
		value, isValue = x.X.(*syntax.Literal)
	}
	if x.Op != "=" || !isColumn || !isValue || column.Table != "" && column.Table != q.From.Name &&
		column.Table != q.From.Alias {
		return false
	}
	n := at[value.Pos]
	if n < 1 || n > len(columns) || columns[n-1] != "" {
		return false
	}
	columns[n-1] = column.Name
	return true
}
