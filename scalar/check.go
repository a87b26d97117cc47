package scalar

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/velo-engine/velo/core/expr"
	"github.com/velo-engine/velo/internal/usercode"
	"github.com/velo-engine/velo/record"
)

// A Tester is what Check needs of a *testing.T.
type Tester interface {
	Helper()
	Errorf(format string, args ...any)
}

// checks is how many sets of rows Check tries, and mostRows how many rows a set has at most: more
// than the engine gives a function at once.
const (
	checks   = 60
	mostRows = 2500
)

// Check tries to find rows for which the function is no function of its arguments alone: it calls
// it for random rows one by one, in blocks of any length that begin anywhere, for rows that come
// several times, among NULLs, and again in another order. It reports the first row whose value
// differs, or for which the function panics. a makes a random value; it is sometimes replaced by
// NULL.
func Check[A Input, R Outcome](t Tester, s Spec[A, R], a func(*rand.Rand) A) {
	t.Helper()
	check(t, s, func(rng *rand.Rand) any { return a(rng) })
}

// Check2 is Check for a function of two arguments.
func Check2[A, B Input, R Outcome](t Tester, s Spec2[A, B, R], a func(*rand.Rand) A, b func(*rand.Rand) B) {
	t.Helper()
	check(t, s, func(rng *rand.Rand) any { return a(rng) }, func(rng *rand.Rand) any { return b(rng) })
}

// Check3 is Check for a function of three arguments.
func Check3[A, B, C Input, R Outcome](t Tester, s Spec3[A, B, C, R], a func(*rand.Rand) A, b func(*rand.Rand) B,
	c func(*rand.Rand) C,
) {
	t.Helper()
	check(t, s, func(rng *rand.Rand) any { return a(rng) }, func(rng *rand.Rand) any { return b(rng) },
		func(rng *rand.Rand) any { return c(rng) })
}

func check(t Tester, d Definition, values ...func(*rand.Rand) any) {
	t.Helper()
	f, err := New(d)
	if err != nil {
		t.Errorf("%v", err)
		return
	}
	for seed := range uint64(checks) {
		c := checker{f: f, values: values, rng: rand.New(rand.NewPCG(seed, 2))}
		err := c.try()
		if err != nil {
			t.Errorf("scalar: %s: %v (seed %d)", f.Name(), err, seed)
			return
		}
	}
}

// A checker tries one set of rows.
type checker struct {
	f      *Func
	values []func(*rand.Rand) any
	rng    *rand.Rand
	call   *expr.Expr
	schema *record.Schema
	batch  *record.Batch
	rows   [][]any // nil is NULL
	want   []answer
}

// An answer is what came of a row.
type answer struct {
	expr.Value
	err error
}

func (a answer) same(b answer) bool {
	return a.Value == b.Value && (a.err == nil) == (b.err == nil)
}

func (c *checker) try() error {
	n := 1 + c.rng.IntN(40)
	if c.rng.IntN(4) == 0 {
		n = 1 + c.rng.IntN(mostRows)
	}
	nulls := c.rng.IntN(3) // none, few, many
	for len(c.rows) < n {
		if len(c.rows) > 0 && c.rng.IntN(4) == 0 {
			c.rows = append(c.rows, c.rows[c.rng.IntN(len(c.rows))])
			continue
		}
		row := make([]any, len(c.values))
		for i, value := range c.values {
			row[i] = value(c.rng)
			if nulls > 0 && c.rng.IntN([]int{1, 20, 2}[nulls]) == 0 {
				row[i] = nil
			}
		}
		c.rows = append(c.rows, row)
	}
	err := c.prepare()
	if err != nil {
		return err
	}
	for _, row := range c.rows {
		c.fill([][]any{row})
		c.want = append(c.want, c.one(0))
		p := usercode.AsPanic(c.want[len(c.want)-1].err)
		if p != nil {
			return fmt.Errorf("it panics for %s: %v", text(row), p.Value)
		}
	}
	err = c.blocks()
	if err != nil {
		return err
	}
	c.fill(c.rows)
	for _, i := range c.rng.Perm(n) {
		got := c.one(i)
		if !got.same(c.want[i]) {
			return c.differs(i, got, "when it is called again")
		}
	}
	return nil
}

// prepare makes the call and a batch for the rows.
func (c *checker) prepare() error {
	var fields []record.Field
	for i, t := range c.f.Arguments() {
		if t.IsDecimal() {
			t = record.DecimalOf(record.MaxPrecision, c.scale(i))
		}
		fields = append(fields, record.Field{Name: fmt.Sprintf("a%d", i), Type: t, Nullable: true})
	}
	var err error
	c.schema, err = record.NewSchema("rows", fields...)
	if err != nil {
		return err
	}
	var args []*expr.Expr
	for i := range fields {
		args = append(args, expr.Column(c.schema, i))
	}
	c.call, err = expr.Call(c.f, args...)
	c.batch = record.NewBatch(c.schema, len(c.rows))
	return err
}

// scale is the number of digits after the point that the values of an argument have.
func (c *checker) scale(argument int) int {
	for _, row := range c.rows {
		d, ok := row[argument].(record.Decimal)
		if ok {
			return int(d.Scale)
		}
	}
	return 0
}

// fill puts rows into the batch, whose memory other rows had before: a function that keeps a text
// finds another one there.
func (c *checker) fill(rows [][]any) {
	b, size := c.batch, 0
	b.Reset()
	for _, row := range rows {
		for _, v := range row {
			s, _ := v.(string)
			size += len(s)
		}
	}
	b.Add(size) // an empty batch makes room for all the texts
	b.Reset()
	for _, row := range rows {
		b.Add(0)
		at := b.Len() - 1
		for i, v := range row {
			switch v := v.(type) {
			case nil:
				b.SetNull(i)
			case string:
				b.SetString(i, v)
			case int64:
				b.Column(i).Int64s[at] = v
			case float64:
				b.Column(i).Float64s[at] = v
			case bool:
				b.Column(i).Int64s[at] = map[bool]int64{true: 1}[v]
			case time.Time:
				b.Column(i).Int64s[at] = v.UnixNano()
			case record.Decimal:
				b.Column(i).Int64s[at] = v.Unscaled
			}
		}
	}
}

// holds says whether the words of the batch are still what fill has made them.
func (c *checker) holds(rows [][]any) bool {
	words := make([][]uint64, len(c.values))
	for i := range words {
		if c.schema.Field(i).Type.Kind() != record.String {
			words[i] = slices.Clone(c.batch.Column(i).Words())
		}
	}
	c.fill(rows)
	for i, w := range words {
		if w != nil && !slices.Equal(w, c.batch.Column(i).Words()) {
			return false
		}
	}
	return true
}

// one computes a row of the batch by itself.
func (c *checker) one(row int) answer {
	v, err := c.call.Eval(c.batch, row)
	v.Text = strings.Clone(v.Text)
	return answer{v, err}
}

// blocks computes the rows in blocks.
func (c *checker) blocks() error {
	program, err := expr.Compile(c.schema, nil, []expr.Output{{Name: "v", Expr: c.call}})
	if err != nil {
		return err
	}
	machine := program.New(len(c.rows))
	for range 4 {
		for from := 0; from < len(c.rows); {
			to := from + 1 + c.rng.IntN(len(c.rows)-from)
			c.fill(c.rows[from:to])
			answers := c.block(machine, to-from)
			if !c.holds(c.rows[from:to]) {
				return fmt.Errorf("it changes its arguments, in a block of %d rows", to-from)
			}
			for i, got := range answers {
				if !got.same(c.want[from+i]) {
					return c.differs(from+i, got, fmt.Sprintf("as row %d of a block of %d rows", i, to-from))
				}
			}
			from = to
		}
	}
	return nil
}

// block computes the rows of the batch together.
func (c *checker) block(m *expr.Machine, n int) []answer {
	answers := make([]answer, n)
	for i := range answers {
		answers[i].err = errors.New("no value")
	}
	r := m.Run(c.batch)
	column := r.Batch.Column(0)
	for i, row := range r.AppendRows(nil, 0, r.Batch.Len()) {
		var v expr.Value
		switch {
		case column.Null(i):
			v.Null = true
		case c.call.Type().Kind() == record.String:
			v.Text = string(column.View(i))
		default:
			v.Bits = column.Words()[i]
		}
		answers[row] = answer{Value: v}
	}
	return answers
}

func (c *checker) differs(row int, got answer, where string) error {
	return fmt.Errorf("for %s it gives %s alone, and %s %s", text(c.rows[row]), c.text(c.want[row]), c.text(got), where)
}

func (c *checker) text(a answer) string {
	t := c.call.Type()
	switch {
	case a.err != nil:
		return "an error"
	case a.Null:
		return "NULL"
	case t == record.String:
		return fmt.Sprintf("%q", a.Text)
	case t == record.Float64:
		return fmt.Sprint(math.Float64frombits(a.Bits))
	case t == record.Timestamp:
		return time.Unix(0, int64(a.Bits)).UTC().Format(time.RFC3339Nano)
	case t.IsDecimal():
		return record.Decimal{Unscaled: int64(a.Bits), Scale: uint8(t.Scale())}.String()
	}
	return fmt.Sprint(int64(a.Bits))
}

func text(row []any) string {
	var all []string
	for _, v := range row {
		switch v := v.(type) {
		case nil:
			all = append(all, "NULL")
		case string:
			all = append(all, fmt.Sprintf("%q", v))
		case record.Decimal:
			all = append(all, string(v.Append(nil)))
		default:
			all = append(all, fmt.Sprint(v))
		}
	}
	return "(" + strings.Join(all, ", ") + ")"
}
