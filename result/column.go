package result

import (
	"fmt"
	"math"
	"runtime"
	"time"

	"github.com/velo-engine/velo/core/agg"
	"github.com/velo-engine/velo/core/layout"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/record"
)

// A Value is a Go type that a column of a result can be read as.
type Value interface {
	bool | int64 | float64 | string | time.Time | time.Duration | [16]byte | record.Decimal | record.Decimal128
}

// A Column reads one column of a result from rows. Any number of goroutines may use it.
type Column[T Value] struct {
	layout *layout.Layout
	index  int
	typ    record.Type
	read   func(bits uint64) T
}

// ColumnOf is the column of the plan's result with that name: a key or an aggregate. T must be the
// column's type:
//
//	boolean          bool
//	bigint           int64
//	double precision float64
//	text             string
//	timestamp        time.Time, or int64 for the nanoseconds
//	decimal(p,s)     record.Decimal, or float64 for the nearest; of more than 18 digits
//	                 record.Decimal128 (which takes any decimal), float64, or string for its text
//	time             time.Duration since midnight
//	interval         time.Duration
//	uuid             [16]byte, or string for its text
//	bytea            string for its bytes
//
// The error says that the plan is not valid, that it has no such column, or which type the column
// has.
func ColumnOf[T Value](p *plan.Plan, name string) (Column[T], error) {
	l, err := readLayout(p)
	if err != nil {
		return Column[T]{}, err
	}
	i, ok := l.Result.Index(name)
	if !ok {
		return Column[T]{}, fmt.Errorf("plan %s: the result has no column %q: %v", l.Name, name, l.Result)
	}
	typ := l.Result.Field(i).Type
	read, ok := reader[T](typ)
	if !ok {
		return Column[T]{}, fmt.Errorf("plan %s: column %q is %v, it cannot be read as %T", l.Name, name, typ,
			*new(T))
	}
	return Column[T]{l, i, typ, read}, nil
}

// reader makes the function that turns the word of a value into T. ok is false if T does not fit
// the type.
func reader[T Value](typ record.Type) (read func(uint64) T, ok bool) {
	var f any
	switch any(*new(T)).(type) {
	case bool:
		f, ok = func(w uint64) bool { return w != 0 }, typ == record.Bool
	case int64:
		f, ok = func(w uint64) int64 { return int64(w) }, typ == record.Int64 || typ == record.Timestamp
	case float64:
		if typ.IsWide() {
			f, ok = func(uint64) float64 { return 0 }, true // Of reads them itself
		} else if typ.IsDecimal() {
			scale := uint8(typ.Scale())
			f, ok = func(w uint64) float64 { return record.Decimal{Unscaled: int64(w), Scale: scale}.Float64() }, true
		} else {
			f, ok = math.Float64frombits, typ == record.Float64
		}
	case string:
		f, ok = func(uint64) string { return "" }, !typ.IsFixed() // Of reads strings itself
	case time.Duration:
		f, ok = func(w uint64) time.Duration { return time.Duration(w) }, typ.IsLogical() && typ.IsFixed()
	case [16]byte:
		f, ok = func(uint64) [16]byte { return [16]byte{} }, typ == record.UUID // Of reads them itself
	case time.Time:
		f, ok = func(w uint64) time.Time { return time.Unix(0, int64(w)).UTC() }, typ == record.Timestamp
	case record.Decimal128:
		scale := uint8(typ.Scale())
		f, ok = func(w uint64) record.Decimal128 {
			return record.Decimal{Unscaled: int64(w), Scale: scale}.Wide()
		}, typ.IsDecimal() || typ.IsWide() // Of reads wide ones itself
	case record.Decimal:
		scale := uint8(typ.Scale())
		f, ok = func(w uint64) record.Decimal {
			return record.Decimal{Unscaled: int64(w), Scale: scale}
		}, typ.IsDecimal()
	}
	read, _ = f.(func(uint64) T)
	return read, ok
}

// Of is the value in row, or the zero value if it is NULL. Strings are copied.
func (c Column[T]) Of(row Row) T {
	if c.typ.Kind() == record.String {
		bytes := c.AppendBytes(nil, row)
		switch any(*new(T)).(type) {
		case [16]byte:
			var id [16]byte
			copy(id[:], bytes)
			return any(id).(T)
		case record.Decimal128:
			return any(record.WideDecimal(c.typ, bytes)).(T)
		case float64:
			return any(record.WideDecimal(c.typ, bytes).Float64()).(T)
		}
		if (c.typ == record.UUID || c.typ.IsWide()) && len(bytes) > 0 { // NULL is the empty text
			bytes = record.AppendLogical(nil, c.typ, 0, bytes)
		}
		return any(string(bytes)).(T)
	}
	v := c.value(row)
	if v.Null {
		return *new(T)
	}
	return c.read(v.Bits)
}

// AppendBytes appends the bytes of a column of texts, uuids or byteas to to. It appends nothing if
// the value is NULL.
func (c Column[T]) AppendBytes(to []byte, row Row) []byte {
	c.check(row)
	_, to = readColumn(c.layout, row, c.index, to)
	runtime.KeepAlive(row.groups) // the collector does not own what it points to
	return to
}

// Null says whether the value in row is NULL: a key that was NULL, an aggregate over no values, a
// sum that does not fit its type, or an expression that cannot be computed.
func (c Column[T]) Null(row Row) bool { return c.value(row).Null }

// Overflow says whether the value in row is NULL because it does not fit the type of the column.
func (c Column[T]) Overflow(row Row) bool { return c.value(row).Overflow }

func (c Column[T]) check(row Row) {
	if row.groups.Layout != c.layout || row.groups.Gone.Load() {
		checkRow(c.layout, row, c)
	}
}

func (c Column[T]) value(row Row) agg.Value {
	c.check(row)
	inner := c.index
	if s := c.layout.Projection; s != nil {
		inner = s.Columns[c.index].Inner
		if inner < 0 {
			v, _ := readColumn(c.layout, row, c.index, nil)
			return v
		}
	}
	key, states := row.groups.Table.Row(row.index)
	v := valueOf(c.layout, row.groups, key, states, inner)
	runtime.KeepAlive(row.groups)
	return v
}

// String names the column.
func (c Column[T]) String() string {
	return fmt.Sprintf("column %q", c.layout.Result.Field(c.index).Name)
}
