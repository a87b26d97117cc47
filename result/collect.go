package result

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"github.com/velo-engine/velo/core/agg"
	"github.com/velo-engine/velo/core/expr"
	"github.com/velo-engine/velo/core/groupkey"
	"github.com/velo-engine/velo/core/layout"
	"github.com/velo-engine/velo/internal/invariants"
	"github.com/velo-engine/velo/record"
)

// members are the rows of what is kept that were added from one set of groups.
type members struct {
	from *Groups
	rows []member
}

// member is a row of what is kept, and the row of the group that it is a part of.
type member struct{ row, group int }

// A repeated is a value of a group that is there n times.
type repeated interface {
	times() uint64
	value(t record.Type) expr.Value
}

// collectedValue is a value of a group, with what it is ordered by.
type collectedValue struct {
	group int
	n     uint64
	v     expr.Value
	by    []expr.Value
}

func (x collectedValue) times() uint64                { return x.n }
func (x collectedValue) value(record.Type) expr.Value { return x.v }

// collect makes the states that are made of all values of a group.
func (m *Merger) collect(sum *Groups) {
	var last *numbers // most aggregates of a query are of the same values
	for i := range m.to.States {
		s := &m.to.States[i]
		c := s.Collect
		if c == nil {
			continue
		}
		if c.Type.Kind() != record.String && len(c.Order) == 0 && !c.Nulls {
			if last == nil || !last.are(c) {
				last = m.numbersOf(c, sum.Table.Len())
				if invariants.Enabled {
					last.check(m.valuesOf(c))
				}
			}
			for group, values := range last.all() {
				_, states := sum.Table.Row(group)
				fold(sum, s, states[s.Word:], values)
			}
			continue
		}
		values := m.valuesOf(c)
		for len(values) > 0 {
			n := 1
			for n < len(values) && values[n].group == values[0].group {
				n++
			}
			_, states := sum.Table.Row(values[0].group)
			fold(sum, s, states[s.Word:], values[:n])
			values = values[n:]
		}
	}
}

// valuesOf are the values of all groups, ordered by group, then as the aggregate says, then by the
// value.
func (m *Merger) valuesOf(c *layout.Collect) (values []collectedValue) {
	keys := m.from.Keys
	for _, set := range m.members {
		heap := set.from.Table.Heap()
		for _, x := range set.rows {
			key, states := set.from.Table.Row(x.row)
			of := func(column int, t record.Type) expr.Value {
				switch {
				case keys.IsNull(key, column):
					return expr.Value{Null: true}
				case t.Kind() == record.String:
					return expr.Value{Text: string(keys.AppendString(nil, key, heap, column))}
				}
				return expr.Value{Bits: keys.Word(key, column)}
			}
			if !m.passes(c, key) || keys.IsNull(key, c.Value) && !c.Nulls {
				continue
			}
			item := collectedValue{group: x.group, n: m.presents(states), v: of(c.Value, c.Type)}
			for _, o := range c.Order {
				item.by = append(item.by, of(o.Inner, o.Typ))
			}
			values = append(values, item)
		}
	}
	last := layout.OrderBy{Typ: c.Type}
	slices.SortFunc(values, func(a, b collectedValue) int {
		d := cmp.Compare(a.group, b.group)
		for i, o := range c.Order {
			if d == 0 {
				d = o.Compare(a.by[i], b.by[i])
			}
		}
		if d == 0 {
			d = last.Compare(a.v, b.v)
		}
		return d
	})
	// The same value may be there several times, beside other values of other columns.
	kept := values[:0]
	for _, x := range values {
		if n := len(kept); n > 0 && kept[n-1].group == x.group && last.Compare(kept[n-1].v, x.v) == 0 &&
			(c.Distinct || slices.EqualFunc(kept[n-1].by, x.by, sameValue)) {
			kept[n-1].n += x.n
			continue
		}
		kept = append(kept, x)
	}
	if c.Distinct {
		for i := range kept {
			kept[i].n = 1
		}
	}
	return kept
}

func sameValue(a, b expr.Value) bool { return a == b }

// passes says whether FILTER lets the values of a row pass.
func (m *Merger) passes(c *layout.Collect, key []uint64) bool {
	keys := m.from.Keys
	return c.Filter < 0 || !keys.IsNull(key, c.Filter) && keys.Word(key, c.Filter) != 0
}

// presents is the number of records that a row of what is kept stands for.
func (m *Merger) presents(states []uint64) uint64 {
	if w := m.from.PresentWord; w >= 0 {
		return states[w]
	}
	return 1
}

// maxCollected bounds the bytes of a list of texts.
const maxCollected = expr.MaxText

// fold makes a state of the values of one group.
func fold[V repeated](g *Groups, s *layout.AggState, state []uint64, values []V) {
	c := s.Collect
	total := uint64(0)
	for _, x := range values {
		total += x.times()
	}
	// at is the value at a place in the order.
	at := func(place uint64) expr.Value {
		for _, x := range values {
			if place < x.times() {
				return x.value(c.Type)
			}
			place -= x.times()
		}
		return values[len(values)-1].value(c.Type)
	}
	switch s.Kind {
	case agg.PercentileCont:
		place := c.Fraction * float64(total-1)
		low, high := math.Floor(place), math.Ceil(place)
		v := floatOf(c.Type, at(uint64(low)))
		if high > low {
			v += (place - low) * (floatOf(c.Type, at(uint64(high))) - v)
		}
		agg.SetCollected(state, agg.Value{Bits: math.Float64bits(v)})
	case agg.PercentileDisc:
		place := max(math.Ceil(c.Fraction*float64(total)), 1)
		g.set(c, state, at(uint64(place)-1))
	case agg.Mode:
		best := values[0]
		for _, x := range values {
			if x.times() > best.times() {
				best = x
			}
		}
		g.set(c, state, best.value(c.Type))
	case agg.StringAgg, agg.ArrayAgg:
		text, ok := listOf(s, values)
		if !ok {
			agg.SetCollected(state, agg.Value{Null: true, Overflow: true})
			return
		}
		g.set(c, state, expr.Value{Text: text})
	default:
		if c.Type.Kind() == record.String {
			texts := make([]string, len(values))
			for i, x := range values {
				texts[i] = x.value(c.Type).Text
			}
			agg.AddTexts(s.Fn, state, texts)
			return
		}
		words := make([]uint64, len(values))
		for i, x := range values {
			words[i] = x.value(c.Type).Bits
		}
		agg.AddAll(s.Fn, state, words)
	}
}

func floatOf(t record.Type, v expr.Value) float64 {
	if t == record.Float64 {
		return math.Float64frombits(v.Bits)
	}
	return record.Decimal{Unscaled: int64(v.Bits), Scale: uint8(t.Scale())}.Float64()
}

// set puts a value into a state. A text goes to the memory beside the groups.
func (g *Groups) set(c *layout.Collect, state []uint64, v expr.Value) {
	if c.Type.Kind() != record.String {
		agg.SetCollected(state, agg.Value{Bits: v.Bits, Null: v.Null})
		return
	}
	off := uint64(len(g.side))
	if off+uint64(len(v.Text)) > math.MaxUint32 {
		agg.SetCollected(state, agg.Value{Null: true, Overflow: true})
		return
	}
	g.side = append(g.side, v.Text...)
	agg.SetCollected(state, agg.Value{Bits: groupkey.PlaceLong(off, uint64(len(v.Text))), Null: v.Null})
}

// sideText is a text that set has put there.
func (g *Groups) sideText(place uint64) []byte {
	off, n := groupkey.LongPlace(place)
	return g.side[off : off+n]
}

// listOf is the list of string_agg or array_agg. ok is false if it is too long.
func listOf[V repeated](s *layout.AggState, values []V) (text string, ok bool) {
	var b strings.Builder
	separator := s.Collect.Separator
	if s.Kind == agg.ArrayAgg {
		separator = ","
		b.WriteByte('{')
	}
	first := true
	for _, x := range values {
		v := x.value(s.Collect.Type)
		for range x.times() {
			if !first {
				b.WriteString(separator)
			}
			first = false
			if s.Kind == agg.ArrayAgg {
				writeElement(&b, v)
			} else {
				b.WriteString(v.Text)
			}
			if b.Len() > maxCollected {
				return "", false
			}
		}
	}
	if s.Kind == agg.ArrayAgg {
		b.WriteByte('}')
	}
	return b.String(), true
}

// writeElement writes an element of an array as PostgreSQL does.
func writeElement(b *strings.Builder, v expr.Value) {
	if v.Null {
		b.WriteString("NULL")
		return
	}
	if v.Text != "" && !strings.EqualFold(v.Text, "null") && !strings.ContainsAny(v.Text, "{},\"\\ \t\n\r\v\f") {
		b.WriteString(v.Text)
		return
	}
	b.WriteByte('"')
	for i := range len(v.Text) {
		if c := v.Text[i]; c == '"' || c == '\\' {
			b.WriteByte('\\')
		}
		b.WriteByte(v.Text[i])
	}
	b.WriteByte('"')
}
