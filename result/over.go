package result

import (
	"cmp"
	"iter"
	"math"
	"slices"
	"sort"

	"github.com/velo-engine/velo/core/agg"
	"github.com/velo-engine/velo/core/expr"
	"github.com/velo-engine/velo/core/layout"
	"github.com/velo-engine/velo/record"
)

// overRow has the values of a row that were computed over all rows.
type overRow struct{ values []expr.Value }

// overRows yields the rows that HAVING lets through, with what is computed over all of them, as far
// as Qualify lets them through. It keeps all rows.
func overRows(s *layout.Projection, all iter.Seq[Row]) iter.Seq[Row] {
	return func(yield func(Row) bool) {
		var rows []Row
		for row := range all {
			if admits(s, row) {
				rows = append(rows, row)
			}
		}
		columns := computeOver(s.Over, len(rows), func(i int, e *expr.Expr) expr.Value {
			return projectedValue(&layout.Projected{Inner: -1, Expr: e}, rows[i], e.Type())
		})
		for i, row := range rows {
			row.over = &overRow{make([]expr.Value, len(columns))}
			for c := range columns {
				row.over.values[c] = columns[c][i]
			}
			if s.Qualify != nil {
				v := projectedValue(&layout.Projected{Inner: -1, Expr: s.Qualify}, row, record.Bool)
				if v.Null || v.Bits == 0 {
					continue
				}
			}
			if !yield(row) {
				return
			}
		}
	}
}

// computeOver computes columns over n rows; of computes an expression for a row. A result has a
// value for each row.
func computeOver(all []layout.Over, n int, of func(row int, e *expr.Expr) expr.Value) [][]expr.Value {
	columns := make([][]expr.Value, len(all))
	for i := range all {
		o := &overing{Over: &all[i], of: of, result: make([]expr.Value, n)}
		o.order(n)
		for from := 0; from < n; {
			to := from + 1
			for to < n && o.compare(o.partition, o.rows[from], o.rows[to]) == 0 {
				to++
			}
			o.compute(o.rows[from:to])
			from = to
		}
		columns[i] = o.result
	}
	return columns
}

// overing computes one column over all rows.
type overing struct {
	*layout.Over
	of     func(row int, e *expr.Expr) expr.Value
	result []expr.Value

	rows             []int // in the order of partitions, and in the order within them
	partition, keyed []ordering
	args             [][]expr.Value // for each argument, by row

	// Of the partition that is computed: where the rows that tie with a row begin and end, and the
	// number of that group of rows.
	begin, end, group []int

	// made is how many bytes of texts have been made of frames of several parts.
	made int
}

// ordering is an expression with its value for each row.
type ordering struct {
	by     layout.OrderBy
	values []expr.Value
}

// order evaluates all expressions and sorts the rows.
func (o *overing) order(n int) {
	each := func(e *expr.Expr) []expr.Value {
		values := make([]expr.Value, n)
		for i := range values {
			values[i] = o.of(i, e)
		}
		return values
	}
	for _, e := range o.Partition {
		o.partition = append(o.partition, ordering{layout.OrderBy{Typ: e.Type()}, each(e)})
	}
	for _, by := range o.Order {
		o.keyed = append(o.keyed, ordering{by, each(by.Expr)})
	}
	for _, e := range o.Args {
		o.args = append(o.args, each(e))
	}
	o.rows = make([]int, n)
	for i := range o.rows {
		o.rows[i] = i
	}
	slices.SortStableFunc(o.rows, func(a, b int) int {
		c := o.compare(o.partition, a, b)
		if c == 0 {
			c = o.compare(o.keyed, a, b)
		}
		return c
	})
}

func (o *overing) compare(by []ordering, a, b int) int {
	for i := range by {
		if c := by[i].by.Compare(by[i].values[a], by[i].values[b]); c != 0 {
			return c
		}
	}
	return 0
}

// compute computes the rows of one partition, which are in their order.
func (o *overing) compute(rows []int) {
	n := len(rows)
	o.begin, o.end, o.group = make([]int, n), make([]int, n), make([]int, n)
	for from, group := 0, 0; from < n; group++ {
		to := from + 1
		for to < n && o.compare(o.keyed, rows[from], rows[to]) == 0 {
			to++
		}
		for i := from; i < to; i++ {
			o.begin[i], o.end[i], o.group[i] = from, to, group
		}
		from = to
	}
	switch o.Func {
	case layout.OverAggregate:
		o.aggregate(rows)
	case layout.OverTexts:
		o.texts(rows)
	case layout.FirstValue, layout.LastValue, layout.NthValue:
		for i, row := range rows {
			o.result[row] = o.ofFrame(rows, i)
		}
	case layout.Lag, layout.Lead:
		for i, row := range rows {
			o.result[row] = o.shifted(rows, i)
		}
	default:
		for i, row := range rows {
			o.result[row] = o.rank(rows, i)
		}
	}
}

func whole(n int) expr.Value     { return expr.Value{Bits: uint64(n)} }
func float(f float64) expr.Value { return expr.Value{Bits: math.Float64bits(f)} }

// rank is a function of the place of a row.
func (o *overing) rank(rows []int, i int) expr.Value {
	n := len(rows)
	switch o.Func {
	case layout.Rank:
		return whole(o.begin[i] + 1)
	case layout.DenseRank:
		return whole(o.group[i] + 1)
	case layout.PercentRank:
		if n == 1 {
			return float(0)
		}
		return float(float64(o.begin[i]) / float64(n-1))
	case layout.CumeDist:
		return float(float64(o.end[i]) / float64(n))
	case layout.Ntile:
		buckets := o.args[0][rows[i]]
		if buckets.Null || int64(buckets.Bits) < 1 {
			return expr.Value{Null: true, Unfit: !buckets.Null}
		}
		// The first buckets have one row more.
		size, more := n/int(buckets.Bits), n%int(buckets.Bits)
		if i < more*(size+1) {
			return whole(i/(size+1) + 1)
		}
		return whole((i-more)/size + 1)
	}
	return whole(i + 1)
}

// shifted is lag and lead.
func (o *overing) shifted(rows []int, i int) expr.Value {
	by := int64(1)
	if len(o.args) > 1 {
		v := o.args[1][rows[i]]
		if v.Null {
			return expr.Value{Null: true}
		}
		by = int64(v.Bits)
	}
	if o.Func == layout.Lag {
		by = -by
	}
	if at := int64(i) + by; at >= 0 && at < int64(len(rows)) {
		return o.args[0][rows[at]]
	}
	if len(o.args) > 2 {
		return o.args[2][rows[i]]
	}
	return expr.Value{Null: true}
}

// ofFrame is a value of one row of the frame.
func (o *overing) ofFrame(rows []int, i int) expr.Value {
	spans := o.spans(rows, i)
	size := 0
	for _, s := range spans {
		size += s.to - s.from
	}
	at := 0
	switch o.Func {
	case layout.LastValue:
		at = size - 1
	case layout.NthValue:
		n := o.args[1][rows[i]]
		if n.Null || int64(n.Bits) < 1 || int64(n.Bits) > int64(len(rows)) {
			return expr.Value{Null: true, Unfit: !n.Null && int64(n.Bits) < 1}
		}
		at = int(n.Bits) - 1
	}
	if at < 0 || at >= size {
		return expr.Value{Null: true}
	}
	for _, s := range spans {
		if at < s.to-s.from {
			return o.args[0][rows[s.from+at]]
		}
		at -= s.to - s.from
	}
	return expr.Value{Null: true}
}

// aggregate computes an aggregate of each frame. A frame that begins where the partition does grows
// from row to row, so each row is added once; other frames, and those that rows are excluded from,
// are computed anew.
func (o *overing) aggregate(rows []int) {
	state := agg.NewLocal(o.Aggregate)
	if o.Exclude != layout.ExcludeNoOthers {
		for i, row := range rows {
			state.Reset()
			for _, s := range o.spans(rows, i) {
				for _, other := range rows[s.from:s.to] {
					o.add(state, other)
				}
			}
			o.result[row] = o.resultOf(state)
		}
		return
	}
	done, last := 0, -1
	var value expr.Value
	for i, row := range rows {
		from, to := o.frame(rows, i)
		if from != last || to < done || from > 0 {
			state.Reset()
			done, last = from, from
			value = expr.Value{Null: true, Unfit: true} // is replaced
		}
		if done < to || value.Unfit {
			for ; done < to; done++ {
				o.add(state, rows[done])
			}
			value = o.resultOf(state)
		}
		o.result[row] = value
	}
}

// resultOf is the value of an aggregate.
func (o *overing) resultOf(state *agg.Local) expr.Value {
	v, text := state.Result()
	value := expr.Value{Null: v.Null, Unfit: v.Overflow, Bits: v.Bits, Text: text}
	if o.Type.Kind() == record.String {
		value.Bits = 0
	}
	return value
}

// add adds a row to an aggregate, unless an argument is NULL.
func (o *overing) add(state *agg.Local, row int) {
	var word, by uint64
	text := ""
	for i, values := range o.args {
		v := values[row]
		switch {
		case v.Null:
			return
		case i == 0:
			word, text = v.Bits, v.Text
		default:
			by = v.Bits
		}
	}
	state.Add(word, by, text)
}

// frame is the range of rows of the frame of row i.
func (o *overing) frame(rows []int, i int) (from, to int) {
	n := len(rows)
	from, to = 0, n
	switch o.Unit {
	case layout.FrameRows:
		if !o.Begin.Unbounded {
			from = clamp(sum(int64(i), o.Begin.By), n)
		}
		if !o.End.Unbounded {
			to = clamp(sum(sum(int64(i), o.End.By), 1), n)
		}
	case layout.FrameGroups:
		if !o.Begin.Unbounded {
			first := sum(int64(o.group[i]), o.Begin.By)
			from = sort.Search(n, func(j int) bool { return int64(o.group[j]) >= first })
		}
		if !o.End.Unbounded {
			last := sum(int64(o.group[i]), o.End.By)
			to = sort.Search(n, func(j int) bool { return int64(o.group[j]) > last })
		}
	default:
		if !o.Begin.Unbounded {
			from = o.begin[i]
			if o.Begin.By != 0 || o.Begin.ByFloat != 0 {
				from = o.reach(rows, i, o.Begin, false)
			}
		}
		if !o.End.Unbounded {
			to = o.end[i]
			if o.End.By != 0 || o.End.ByFloat != 0 {
				to = o.reach(rows, i, o.End, true)
			}
		}
	}
	return from, max(from, to)
}

// sum is a + b, or the greatest or least number if that does not fit.
func sum(a, b int64) int64 {
	s := a + b
	switch {
	case b > 0 && s < a:
		return math.MaxInt64
	case b < 0 && s > a:
		return math.MinInt64
	}
	return s
}

func clamp(at int64, n int) int { return int(max(0, min(at, int64(n)))) }

// reach is the first row of a frame by values, or the row after the last if after is set. A row
// whose value is NULL has the rows that are NULL too as its frame.
func (o *overing) reach(rows []int, i int, b layout.FrameBound, after bool) int {
	k := &o.keyed[0]
	v := k.values[rows[i]]
	if v.Null {
		if after {
			return o.end[i]
		}
		return o.begin[i]
	}
	edge, outside := v, 0
	if k.by.Typ == record.Float64 {
		by := b.ByFloat
		if k.by.Desc {
			by = -by
		}
		edge.Bits = math.Float64bits(math.Float64frombits(v.Bits) + by)
	} else {
		by := b.By
		if k.by.Desc {
			by = -by
		}
		s := int64(v.Bits) + by
		if (s > int64(v.Bits)) != (by > 0) { // no value is as great or as small
			outside = cmp.Compare(0, b.By)
		}
		edge.Bits = uint64(s)
	}
	return sort.Search(len(rows), func(j int) bool {
		row := k.values[rows[j]]
		c := k.by.Compare(row, edge)
		if outside != 0 && !row.Null {
			c = outside
		}
		return c > 0 || c == 0 && !after
	})
}
