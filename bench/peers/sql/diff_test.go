package sql

import (
	"context"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/query"
	"github.com/velo-engine/velo/readers"
	"github.com/velo-engine/velo/record"
)

// Goal: queries have the rows that other databases say they have. Method: random queries over
// random tables with NULLs, empty ones among them, in every exchange. What velo sets aside is left
// out of the other's table; PostgreSQL must fail with it.
func TestDuckDB(t *testing.T)     { compare(t, newDuckDB(t)) }
func TestPostgreSQL(t *testing.T) { compare(t, newPostgres(t)) }
func TestSQLite(t *testing.T)     { compare(t, newSQLite(t)) }

const (
	perTable   = 25 // queries of one table, which costs as much as some of them
	mostFaults = 5
)

func compare(t *testing.T, o oracle) {
	first, n := 0, 300
	if v, err := strconv.Atoi(os.Getenv("VELO_DIFF")); err == nil {
		n = v
	}
	if v, err := strconv.Atoi(os.Getenv("VELO_SEED")); err == nil {
		first, n = v, 1
	}
	c := &comparison{oracle: o}
	faults := 0
	for seed := first; seed < first+n; seed++ {
		if seed == first || seed%perTable == 0 {
			rng := rand.New(rand.NewPCG(uint64(seed/perTable), 7))
			c.table = newTable(rng, []int{0, 1, 7, 60, 300, 2000}[rng.IntN(6)], o.wild() && rng.IntN(2) == 0)
			c.batches = c.table.batches(1 + rng.IntN(1000))
			if err := o.load(c.table); err != nil {
				t.Fatal(err)
			}
		}
		m := &maker{Rand: rand.New(rand.NewPCG(uint64(seed), 11)), oracle: o, wild: o.wild()}
		s := m.statement()
		c.queries++
		fault := c.check(s, uint64(seed), true)
		if fault == "" {
			continue
		}
		fault += c.smaller(s, uint64(seed))
		t.Errorf("%s\nVELO_SEED=%d go test ./sql -count=1 -run '^%s$'", fault, seed, t.Name())
		if faults++; faults == mostFaults {
			break
		}
	}
	t.Logf("%d queries of %s: %v", c.queries, o.name(), c.tally)
	if n >= perTable && faults == 0 && (c.tally.rows < n || c.tally.refused > n/4) {
		t.Error("too few rows, or too many queries refused, to mean anything")
	}
}

// comparison is the state of one run.
type comparison struct {
	oracle  oracle
	table   table
	batches []*record.Batch
	queries int
	tally   tally
}

type tally struct {
	rows, cells int // compared
	aside       int // queries with records that velo sets aside
	failed      int // of these, those that the other was seen to fail with
	limits      int // queries that velo refuses because of a limit of its own
	refused     int // queries that the other does not take
	overflowing int // queries whose result does not fit velo's types
}

func (c tally) String() string {
	return fmt.Sprintf("%d rows and %d cells compared, %d with records set aside (%d seen to fail there too), %d "+
		"beyond limits, %d not taken there, %d failed there as a whole",
		c.rows, c.cells, c.aside, c.failed, c.limits, c.refused, c.overflowing)
}

// check says what is wrong with a statement, "" where nothing is.
func (c *comparison) check(s *statement, seed uint64, count bool) string {
	text := s.text(nil, "t")
	fail := func(format string, args ...any) string {
		return fmt.Sprintf("seed %d: %s\n", seed, text) + fmt.Sprintf(format, args...)
	}
	counted := c.tally
	defer func() {
		if !count {
			c.tally = counted
		}
	}()
	tally := &c.tally
	pl, err := query.Compile(text, schema)
	if err != nil {
		if strings.Contains(err.Error(), "are kept: cast one of them") {
			tally.limits++
			return ""
		}
		theirs := s.text(c.oracle, c.oracle.without(nil))
		if _, _, other := c.oracle.rows(theirs, make([]record.Type, len(s.keys)+len(s.columns))); other != nil {
			tally.refused++
			return ""
		}
		return fail("%v\n%s takes it: %s", err, c.oracle.name(), theirs)
	}
	aside, reasons := c.aside(pl)
	rng := rand.New(rand.NewPCG(seed, 13))
	var got [][]cell
	var types []record.Type
	for i, x := range []plan.Exchange{plan.ExchangeFold, plan.ExchangeRoute, plan.ExchangeDirect} {
		rows, t, rejects, err := c.velo(rng, text, x)
		switch {
		case err != nil:
			return fail("%v: %v", x, err)
		case rejects != len(aside):
			return fail("%v: %d records are set aside, expected %d: %v", x, rejects, len(aside), aside)
		case i == 0:
			got, types = rows, t
			continue
		}
		if d := sameRows(rows, got, s.order); d != "" {
			return fail("%v and %v differ:\n%s", x, plan.ExchangeFold, d)
		}
	}
	want, failed, err := c.oracle.rows(s.text(c.oracle, c.oracle.without(aside)), types)
	theirs := s.text(c.oracle, "t")
	if len(aside) > 0 {
		theirs += fmt.Sprintf("\nwithout the %d rows that velo sets aside, n = %d among them", len(aside), aside[0])
	}
	if err != nil {
		if nothing, ok := c.oracle.(*postgres); ok && failed {
			if _, failed, _ := nothing.rows(s.text(c.oracle, "(SELECT * FROM t WHERE n < 0 OFFSET 0) AS t"),
				types); !failed {
				return fail("velo has %d rows of it\n%s: %v\n%s", len(got), c.oracle.name(), err, theirs)
			}
			tally.overflowing++ // a constant that cannot be computed
			return ""
		}
		if c.oracle.wild() {
			return fail("%s: %v\n%s", c.oracle.name(), err, theirs)
		}
		tally.refused++
		return ""
	}
	if d := sameRows(got, want, s.order); d != "" {
		if c.overflows(s, aside, types) {
			tally.limits++ // rows are ordered by sums that are NULL here
			return ""
		}
		return fail("+ velo, - %s: %s\n%s", c.oracle.name(), theirs, d)
	}
	tally.rows += len(got)
	tally.cells += len(got) * len(types)
	if len(aside) == 0 {
		return ""
	}
	tally.aside++
	pick := rng.IntN(len(aside))
	row, reason := aside[pick], reasons[pick].Error()
	limit := s.narrow && (strings.Contains(reason, "out of range") || strings.Contains(reason, "is no decimal"))
	if p, ok := c.oracle.(*postgres); ok && !limit {
		theirs := s.text(p, p.only(row))
		if _, failed, err := p.rows(theirs, types); !failed {
			return fail("row %d is set aside, but %s computes it (%v): %s\n%v\n%s", row, p.name(), err, theirs,
				c.table[row], reason)
		}
		tally.failed++
	}
	return ""
}

// overflows says whether a statement orders rows by a number that does not fit velo's type: there
// it is NULL and comes elsewhere. All groups count, not just those that LIMIT lets through.
func (c *comparison) overflows(s *statement, aside []int, types []record.Type) bool {
	all := *s
	all.order, all.limit, all.offset = nil, -1, 0
	rows, _, err := c.oracle.rows(all.text(c.oracle, c.oracle.without(aside)), types)
	return err == nil && slices.ContainsFunc(rows, func(row []cell) bool {
		return slices.ContainsFunc(s.order, func(o orderBy) bool {
			digits := digitsOf(types[o.column])
			return digits > 0 && row[o.column].kind == exact && math.Abs(row[o.column].number) >= math.Pow10(digits)
		})
	})
}

// smaller is what is left of a statement that fails when parts of it are left out, as long as it
// does.
func (c *comparison) smaller(s *statement, seed uint64) string {
	last := ""
	compiles := func(s *statement) bool {
		_, err := query.Compile(s.text(nil, "t"), schema)
		return err == nil
	}
	valid := compiles(s)
	for again := true; again; {
		again = false
		for _, less := range s.less() {
			if valid && !compiles(less) {
				continue // a part that others need
			}
			if fault := c.check(less, seed, false); fault != "" {
				s, last, again = less, fault, true
				break
			}
		}
	}
	if last == "" {
		return ""
	}
	return "\nless of it: " + last
}

// less is the statement without one of its parts, for each of them.
func (s *statement) less() (all []*statement) {
	without := func(change func(l *statement)) {
		l := *s
		change(&l)
		all = append(all, &l)
	}
	if len(s.order) > 0 || s.limit >= 0 || s.offset > 0 {
		without(func(l *statement) { l.order, l.limit, l.offset = nil, -1, 0 })
		return all
	}
	if s.having != nil {
		without(func(l *statement) { l.having = nil })
	}
	if s.where != nil {
		without(func(l *statement) { l.where = nil })
	}
	for i := range s.columns {
		if len(s.columns) > 1 || s.distinct {
			without(func(l *statement) { l.columns = slices.Delete(slices.Clone(s.columns), i, i+1) })
		}
	}
	for i := range s.keys {
		if len(s.columns) > 0 && (i > 1 || s.window == nil) {
			without(func(l *statement) {
				l.keys, l.refs = slices.Delete(slices.Clone(s.keys), i, i+1),
					slices.Delete(slices.Clone(s.refs), i, i+1)
				for j := range l.refs {
					l.refs[j] = 0
				}
			})
		}
	}
	return all
}

// aside is the rows that velo sets aside and why, by the expressions of the plan and without the
// engine.
func (c *comparison) aside(pl *plan.Plan) (all []int, reasons []error) {
	n := 0
	for _, b := range c.batches {
		for i := range b.Len() {
			if err := computes(pl, b, i); err != nil {
				all, reasons = append(all, n), append(reasons, err)
			}
			n++
		}
	}
	return all, reasons
}

// computes is nil where a record can be computed, or does not pass WHERE.
func computes(plan *plan.Plan, b *record.Batch, i int) error {
	if plan.Where != nil {
		v, err := plan.Where.Eval(b, i)
		if err != nil || v.Null || v.Bits == 0 {
			return err
		}
	}
	for _, o := range plan.Computed {
		if _, err := o.Expr.Eval(b, i); err != nil {
			return err
		}
	}
	return nil
}

// velo runs a query in an exchange, with a random number of readers and partitions.
func (c *comparison) velo(rng *rand.Rand, text string, x plan.Exchange) (all [][]cell, types []record.Type, rejects int,
	err error,
) {
	pl, err := query.Compile(text, schema)
	if err != nil {
		return nil, nil, 0, err
	}
	if pl.Window != nil {
		// No record is late, and all windows are shown.
		pl.Window.OutOfOrder, pl.Window.Retain = 10*24*time.Hour, plan.MaxRetain
	}
	var rs []record.Reader
	if len(c.batches) == 0 {
		rs = append(rs, nothing{})
	} else {
		cut := rng.IntN(len(c.batches))
		for _, part := range [][]*record.Batch{c.batches[:cut], c.batches[cut:]} {
			if len(part) == 0 {
				continue
			}
			m, err := readers.NewMemory(schema, part, 1)
			if err != nil {
				return nil, nil, 0, err
			}
			rs = append(rs, m)
		}
	}
	e, err := engine.Start(context.Background(), engine.Config{
		Plan: pl, Readers: rs, Partitions: 1 + rng.IntN(3), Cores: 1, NoPin: true, Exchange: x, EpochInterval: -1,
		OnReject: func(int, record.Reject) { rejects++ },
	})
	if err != nil {
		return nil, nil, 0, err
	}
	defer e.Close()
	if err := e.Wait(); err != nil {
		return nil, nil, 0, err
	}
	s := e.Snapshot()
	defer s.Close()
	result, err := pl.Result()
	if err != nil {
		return nil, nil, 0, err
	}
	for i := range result.Len() {
		types = append(types, result.Field(i).Type)
	}
	for b := range s.Batches(100) {
		for i := range b.Len() {
			var row []cell
			for c := range b.Schema().Len() {
				row = append(row, veloCell(b, c, i))
			}
			all = append(all, row)
		}
	}
	return all, types, rejects, nil
}

// nothing is a reader of no records.
type nothing struct{}

func (nothing) Read(context.Context, *record.Batch) error { return io.EOF }
func (nothing) Close() error                              { return nil }

// digitsOf is how many digits before the point every number of a type has room for; 0 where numbers
// are not exact.
func digitsOf(typ record.Type) int {
	switch {
	case typ == record.Int64:
		return 18
	case typ.IsDecimal():
		return typ.Precision() - typ.Scale()
	}
	return 0
}

func veloCell(b *record.Batch, c, i int) cell {
	column, typ := b.Column(c), b.Schema().Field(c).Type
	if column.Null(i) {
		return cell{text: "NULL", digits: digitsOf(typ)}
	}
	switch {
	case typ.IsWide():
		return exactCell(string(column.AppendLogical(nil, typ, i)))
	case typ == record.Bytes:
		return cellOf(column.View(i), typ)
	case typ.IsLogical():
		return cellOf(string(column.AppendLogical(nil, typ, i)), record.String)
	case typ == record.String:
		return cellOf(string(column.View(i)), typ)
	case typ == record.Bool:
		return cellOf(column.Int64s[i] != 0, typ)
	case typ == record.Float64:
		return cellOf(column.Float64s[i], typ)
	case typ == record.Timestamp:
		return cellOf(time.Unix(0, column.Int64s[i]), typ)
	case typ.IsDecimal():
		return exactCell(record.Decimal{Unscaled: column.Int64s[i], Scale: uint8(typ.Scale())}.String())
	}
	return cellOf(column.Int64s[i], typ)
}
