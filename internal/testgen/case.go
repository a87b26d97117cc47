// Package testgen makes random queries with random records and computes their results in the most
// obvious way: with a Go map and math/big, one record after the other. It is the twin that the
// engine is compared with, and it shares no code with the engine.
package testgen

import (
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/velo-engine/velo/record"
)

// An Aggregate is a computed column. Func is its name in SQL, or "count distinct". Column is empty
// for count(*). By is what min_by, max_by, first and last choose by.
type Aggregate struct{ Name, Func, Column, By string }

// A Case is a query, the batches of each reader, and the result that must come out.
type Case struct {
	Seed       uint64
	Schema     *record.Schema
	Keys       []string
	Aggregates []Aggregate

	// Batches are the batches of each reader. Rows is the number of all their rows. Keyless is the
	// number of rows whose keys are all NULL.
	Batches [][]*record.Batch
	Rows    int
	Keyless int

	// Want has a line for each group: its key columns and its aggregates, each as Text writes it,
	// separated by bars.
	Want map[string]bool
}

// Null is how a line writes NULL.
const Null = "NULL"

// Text writes a value of a result. Floats are written exactly, but every NaN is written as NaN and
// -0 as 0.
func Text(v any) string {
	switch v := v.(type) {
	case float64:
		if v == 0 {
			return "0" // also for -0
		}
		return strconv.FormatFloat(v, 'g', -1, 64)
	case string:
		return strconv.Quote(v)
	case time.Time:
		return v.Format(time.RFC3339Nano)
	}
	return fmt.Sprint(v)
}

// Line returns the line of a group.
func Line(values []string) string { return strings.Join(values, "|") }

// New makes the case of a seed, for that many readers.
func New(seed uint64, readers int) *Case {
	rng := rand.New(rand.NewPCG(seed, uint64(readers)))
	c := &Case{Seed: seed, Want: map[string]bool{}}
	types := []record.Type{
		record.Bool, record.Int64, record.Float64, record.String, record.Timestamp,
		record.DecimalOf(1+rng.IntN(18), 0), record.DecimalOf(18, rng.IntN(19)),
	}
	var fields []record.Field
	for i := range 2 + rng.IntN(7) {
		fields = append(fields, record.Field{
			Name: fmt.Sprintf("c%d", i), Type: types[rng.IntN(len(types))], Nullable: rng.IntN(3) == 0,
		})
		if seed%3 == 0 { // so that the cases of other seeds stay what they were
			fields[i].Type = logical(fields[i].Type, i)
		}
	}
	var err error
	c.Schema, err = record.NewSchema(fmt.Sprintf("case%d", seed), fields...)
	if err != nil {
		panic(err)
	}
	for i := range fields {
		if rng.IntN(3) == 0 {
			c.Keys = append(c.Keys, fields[i].Name)
		}
	}
	domain := 1 << rng.IntN(10) // number of different values of a column
	c.Aggregates = []Aggregate{{"a0", "count", "", ""}}
	for range 1 + rng.IntN(8) {
		f := fields[rng.IntN(len(fields))]
		funcs := []string{"count"}
		switch {
		case isNumber(f.Type):
			funcs = []string{"count", "sum", "min", "max", "avg", "var_pop", "var_samp", "stddev_pop", "stddev_samp"}
		case f.Type == record.Timestamp || f.Type == record.TimeOfDay:
			funcs = []string{"count", "min", "max"}
		case f.Type == record.Interval:
			funcs = []string{"count", "min", "max", "sum"}
		case f.Type == record.Bool:
			funcs = []string{"count", "bool_and", "bool_or"}
		case f.Type.Kind() == record.String:
			funcs = []string{"count", "min", "max"}
		}
		if domain <= 256 { // up to that many values are counted exactly
			funcs = append(funcs, "approx_count_distinct")
		}
		a := Aggregate{fmt.Sprintf("a%d", len(c.Aggregates)), funcs[rng.IntN(len(funcs))], f.Name, ""}
		if by := fields[rng.IntN(len(fields))]; (isNumber(by.Type) || by.Type == record.Timestamp) && rng.IntN(3) == 0 {
			a.Func, a.By = []string{"min_by", "max_by", "first", "last"}[rng.IntN(4)], by.Name
		}
		c.Aggregates = append(c.Aggregates, a)
	}
	if rng.IntN(4) == 0 {
		c.Aggregates = append(c.Aggregates,
			Aggregate{fmt.Sprintf("a%d", len(c.Aggregates)), "count distinct", fields[rng.IntN(len(fields))].Name, ""})
	}
	c.fill(rng, readers, domain)
	return c
}

// logical is a logical type of the same kind, or the type itself if it has none. Column i decides
// which.
func logical(t record.Type, i int) record.Type {
	switch t {
	case record.Int64:
		return []record.Type{record.TimeOfDay, record.Interval}[i&1]
	case record.String:
		return []record.Type{record.UUID, record.Bytes}[i&1]
	}
	return t
}

func isNumber(t record.Type) bool {
	return t == record.Int64 || t == record.Float64 || t.IsDecimal()
}

// fill makes the batches and the groups.
func (c *Case) fill(rng *rand.Rand, readers, domain int) {
	groups := map[string]*group{}
	if len(c.Keys) == 0 {
		groups[""] = newGroup(c, nil)
	}
	for range readers {
		var batches []*record.Batch
		for range rng.IntN(12) {
			b := record.NewBatch(c.Schema, 1+rng.IntN(1500))
			for range rng.IntN(b.Cap() + 1) {
				row := make([]any, c.Schema.Len())
				text := 0
				for i := range row {
					row[i] = value(rng, c.Schema.Field(i), domain)
					if s, ok := row[i].(string); ok {
						text += len(s)
					}
				}
				if !b.Add(text) {
					break
				}
				put(b, row)
				c.Rows++
				c.count(groups, row)
			}
			batches = append(batches, b)
		}
		c.Batches = append(c.Batches, batches)
	}
	for _, g := range groups {
		c.Want[g.line(c)] = true
	}
}

// value draws a value of a column. There are few different values, and awkward ones are among them.
func value(rng *rand.Rand, f record.Field, domain int) any {
	if f.Nullable && rng.IntN(4) == 0 {
		return nil
	}
	n := int64(rng.IntN(domain)) - int64(domain/2)
	switch {
	case f.Type == record.Bool:
		return n&1 == 0
	case f.Type == record.Float64:
		switch rng.IntN(200) {
		case 0:
			return math.NaN()
		case 1:
			return math.Inf(1)
		case 2:
			return math.Copysign(0, -1)
		}
		return float64(n) / 4 // sums of these are exact in any order
	case f.Type == record.TimeOfDay:
		return int64(domain)/2*1e6 + n*1e6 // from midnight on
	case f.Type == record.UUID:
		return fmt.Sprintf("%016x", uint64(n))
	case f.Type.Kind() == record.String:
		s := strconv.FormatInt(n, 36)
		switch n & 7 {
		case 0:
			return ""
		case 1:
			return strings.Repeat(s, 23/len(s)) // up to the longest text that is kept in place
		case 2:
			return strings.Repeat("x", 22-len(s)%3) + s // on either side of that length
		case 3:
			return strings.Repeat("long ", 10) + s
		}
		return s
	case f.Type == record.Timestamp:
		return time.Unix(0, n*int64(time.Hour)+7).UTC()
	case f.Type.IsDecimal():
		limit := record.Pow10[f.Type.Precision()] - 1
		if rng.IntN(50) == 0 {
			n = limit
		}
		return record.Decimal{Unscaled: min(max(n, -limit), limit), Scale: uint8(f.Type.Scale())}
	}
	if rng.IntN(200) == 0 {
		return int64(math.MaxInt64) - n&1
	}
	return n * 1e9
}

// put sets the columns of the last row of b.
func put(b *record.Batch, row []any) {
	for i, v := range row {
		switch v := v.(type) {
		case nil:
			b.SetNull(i)
		case bool:
			b.SetBool(i, v)
		case int64:
			b.SetInt64(i, v)
		case float64:
			b.SetFloat64(i, v)
		case string:
			b.SetString(i, v)
		case time.Time:
			b.SetTime(i, v)
		case record.Decimal:
			b.SetInt64(i, v.Unscaled)
		}
	}
}

// A group is a group with all values of each aggregate's column. If an aggregate has a second
// column, the group has both values of each row.
type group struct {
	keys   []string
	rows   int
	values [][]any
}

// A pair is a value, which may be nil, and the value that it is chosen by.
type pair struct{ x, by any }

func newGroup(c *Case, keys []string) *group {
	return &group{keys: keys, values: make([][]any, len(c.Aggregates))}
}

// count adds a row to its group.
func (c *Case) count(groups map[string]*group, row []any) {
	var keys []string
	nulls := 0
	for _, name := range c.Keys {
		i, _ := c.Schema.Index(name)
		if row[i] == nil {
			keys = append(keys, Null)
			nulls++
		} else {
			keys = append(keys, Text(row[i]))
		}
	}
	if nulls > 0 && nulls == len(keys) {
		c.Keyless++
	}
	id := Line(keys)
	g := groups[id]
	if g == nil {
		g = newGroup(c, keys)
		groups[id] = g
	}
	g.rows++
	for i, a := range c.Aggregates {
		col, ok := c.Schema.Index(a.Column)
		if by, chosen := c.Schema.Index(a.By); chosen {
			if row[by] != nil {
				g.values[i] = append(g.values[i], pair{row[col], row[by]})
			}
		} else if ok && row[col] != nil {
			g.values[i] = append(g.values[i], row[col])
		}
	}
}

// line computes the aggregates of a group.
func (g *group) line(c *Case) string {
	out := append([]string(nil), g.keys...)
	for i, a := range c.Aggregates {
		switch {
		case a.Column == "":
			out = append(out, strconv.Itoa(g.rows))
		case a.Func == "count":
			out = append(out, strconv.Itoa(len(g.values[i])))
		case a.Func == "approx_count_distinct" || a.Func == "count distinct":
			different := map[string]bool{}
			for _, v := range g.values[i] {
				different[Text(v)] = true
			}
			out = append(out, strconv.Itoa(len(different)))
		case len(g.values[i]) == 0:
			out = append(out, Null)
		default:
			out = append(out, aggregate(a.Func, g.values[i]))
		}
	}
	return Line(out)
}

// aggregate computes an aggregate of some values of one type. There is at least one value.
func aggregate(name string, values []any) string {
	switch name {
	case "min_by", "first":
		return choose(values, 1)
	case "max_by", "last":
		return choose(values, -1)
	case "bool_and":
		return Text(!slices.Contains(values, any(false)))
	case "bool_or":
		return Text(slices.Contains(values, any(true)))
	case "var_pop", "var_samp", "stddev_pop", "stddev_samp":
		return spread(name, values)
	}
	best := values[0]
	for _, v := range values[1:] {
		if c := compare(v, best); name == "min" && c < 0 || name == "max" && c > 0 {
			best = v
		}
	}
	if name == "min" || name == "max" {
		return Text(best)
	}
	if _, ok := values[0].(float64); ok {
		sum := 0.0
		for _, v := range values {
			sum += v.(float64)
		}
		if name == "avg" {
			sum /= float64(len(values))
		}
		return Text(sum)
	}
	sum := new(big.Int)
	var scale uint8
	isDecimal := false
	for _, v := range values {
		switch v := v.(type) {
		case int64:
			sum.Add(sum, big.NewInt(v))
		case record.Decimal:
			sum.Add(sum, big.NewInt(v.Unscaled))
			scale, isDecimal = v.Scale, true
		}
	}
	if name == "avg" {
		den := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(scale)), nil)
		den.Mul(den, big.NewInt(int64(len(values))))
		f, _ := new(big.Rat).SetFrac(sum, den).Float64()
		return Text(f)
	}
	if isDecimal {
		if sum.CmpAbs(big.NewInt(1e18)) >= 0 {
			return Null // it does not fit decimal(18,s)
		}
		return Text(record.Decimal{Unscaled: sum.Int64(), Scale: scale})
	}
	if !sum.IsInt64() {
		return Null
	}
	return Text(sum.Int64())
}

// choose returns the value of the pair that comes first in the given direction: by the second
// value, then by the first, with NULL last.
func choose(pairs []any, direction int) string {
	best := slices.MinFunc(pairs, func(a, b any) int {
		p, q := a.(pair), b.(pair)
		if c := compare(p.by, q.by); c != 0 {
			return c * direction
		}
		if p.x == nil || q.x == nil {
			return sign(q.x == nil && p.x != nil, p.x == nil && q.x != nil)
		}
		return compare(p.x, q.x) * direction
	}).(pair)
	if best.x == nil {
		return Null
	}
	return Text(best.x)
}

// spread returns a variance or a standard deviation. It computes the mean of all values and then
// the squares of the distances, as fractions.
func spread(name string, values []any) string {
	n := int64(len(values))
	if strings.HasSuffix(name, "_samp") {
		n--
	}
	if n == 0 {
		return Null
	}
	mean, sum := new(big.Rat), new(big.Rat)
	var all []*big.Rat
	for _, v := range values {
		x := new(big.Rat)
		switch v := v.(type) {
		case int64:
			x.SetInt64(v)
		case float64:
			if x.SetFloat64(v) == nil {
				return Text(math.NaN())
			}
		case record.Decimal:
			x.SetFrac(big.NewInt(v.Unscaled), big.NewInt(record.Pow10[v.Scale]))
		}
		all = append(all, x)
		mean.Add(mean, x)
	}
	mean.Quo(mean, new(big.Rat).SetInt64(int64(len(values))))
	for _, x := range all {
		x.Sub(x, mean)
		sum.Add(sum, x.Mul(x, x))
	}
	f, _ := sum.Quo(sum, new(big.Rat).SetInt64(n)).Float64()
	if strings.HasPrefix(name, "stddev") {
		f = math.Sqrt(f)
	}
	return Text(f)
}

// compare orders two values of one type. NaN is greater than any other float, and true is greater
// than false.
func compare(a, b any) int {
	switch a := a.(type) {
	case bool:
		return sign(!a && b.(bool), a && !b.(bool))
	case int64:
		return sign(a < b.(int64), a > b.(int64))
	case record.Decimal:
		return sign(a.Unscaled < b.(record.Decimal).Unscaled, a.Unscaled > b.(record.Decimal).Unscaled)
	case time.Time:
		return a.Compare(b.(time.Time))
	case string:
		return strings.Compare(a, b.(string))
	case float64:
		b := b.(float64)
		if a != a || b != b {
			return sign(a == a && b != b, a != a && b == b)
		}
		return sign(a < b, a > b)
	}
	panic(fmt.Sprintf("testgen: %T has no order", a))
}

func sign(less, greater bool) int {
	if less {
		return -1
	}
	if greater {
		return 1
	}
	return 0
}
