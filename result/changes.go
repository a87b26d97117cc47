package result

import (
	"fmt"
	"iter"
	"maps"
	"runtime"

	"github.com/velo-engine/velo/core/expr"
	"github.com/velo-engine/velo/core/layout"
	"github.com/velo-engine/velo/core/window"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/record"
)

// Changes know what has been written of a plan that emits changes. Only one goroutine uses them.
//
// Each group has the epoch in which it changed last, in a word of its row (kernel.stampRows). So a
// cut tells what is new in it since any other cut, whichever cuts a writer has seen, and the
// partitions need not wait for the writer.
type Changes struct {
	layout *layout.Layout
	// next is the first epoch whose changes have not been given.
	next uint64

	// passed has, for a plan with Having, the groups whose last row was an Upsert, by the end of
	// their window. Only these groups can get a Delete.
	passed map[int64]map[string]struct{}

	// cleared is for Changes that go on after a restart; it is nil otherwise. Before the restart an
	// Upsert may have been written that is later than the cut they go on from. So a group that does
	// not pass when it first changes gets a Delete, whether it was written or not. Cleared has the
	// groups that have got one, by the end of their window.
	cleared map[int64]map[string]struct{}
	// key is scratch of op.
	key []byte
}

// NewChanges makes the Changes of a plan of which nothing has been written. The error is the error
// of Validate, or says that the plan does not emit changes.
func NewChanges(p *plan.Plan) (*Changes, error) {
	l, err := readLayout(p)
	if err != nil {
		return nil, err
	}
	if l.Change == nil {
		return nil, fmt.Errorf("plan %s emits %v, not changes", l.Name, p.Emit)
	}
	return &Changes{layout: l, passed: map[int64]map[string]struct{}{}}, nil
}

// Resume has the Changes go on after a cut whose changes have all been written. more says that
// later ones may have been written, too: then a group that does not pass when it changes first is
// deleted, though it had not passed before.
func (c *Changes) Resume(cut *Cut, more bool) {
	c.next = cut.epoch + 1
	l := c.layout
	if l.Projection == nil || l.Projection.Having == nil {
		return
	}
	if more {
		c.cleared = map[int64]map[string]struct{}{}
	}
	clock, windows := cut.Closed()
	for row := range cut.Rows() {
		end := row.groups.End
		if windows && l.Window != nil && end <= clock || !admits(l.Projection, row) {
			continue
		}
		key, _ := row.groups.Table.Row(row.index)
		c.key = l.Keys.AppendKey(c.key[:0], key, row.groups.Table.Heap())
		c.note(c.passed, end)
	}
}

// note puts the group with the key c.key into passed or cleared.
func (c *Changes) note(groups map[int64]map[string]struct{}, end int64) {
	if groups[end] == nil {
		groups[end] = map[string]struct{}{}
	}
	groups[end][string(c.key)] = struct{}{}
}

// Batches yields what has changed between the cut before and this one, in batches of up to rows
// rows. Each batch is valid until the next. The caller must take all of them.
func (c *Changes) Batches(cut *Cut, rows int) iter.Seq[*record.Batch] {
	return func(yield func(*record.Batch) bool) {
		l := c.layout
		b := record.NewBatch(l.Change, rows)
		values := make([]expr.Value, l.Change.Len())
		write := func(row Row) bool {
			op := c.op(row)
			if op == "" {
				return true
			}
			values[0] = expr.Value{Text: op}
			for i := range values[1:] {
				values[1+i] = resultValue(l, row, i)
			}
			if !addRow(b, values) {
				if !yield(b) {
					return false
				}
				b.Reset()
				addRow(b, values)
			}
			return true
		}
		for g := range c.groups(cut) {
			more := g.all(write)
			runtime.KeepAlive(g)
			if !more {
				return
			}
		}
		if b.Len() > 0 && !yield(b) {
			return
		}
		c.next = cut.epoch + 1
		if clock, ok := cut.Closed(); ok {
			closed := func(end int64, _ map[string]struct{}) bool { return end <= clock }
			maps.DeleteFunc(c.passed, closed)
			maps.DeleteFunc(c.cleared, closed)
		}
	}
}

// groups yields the sets of groups of a cut in which some groups have changed.
func (c *Changes) groups(cut *Cut) iter.Seq[*Groups] {
	return func(yield func(*Groups) bool) {
		for _, m := range cut.readable() {
			if c.layout.Window == nil {
				if g := m.set(0); g.Epoch >= c.next && !yield(g) {
					return
				}
				continue
			}
			for _, end := range m.endsFrom(-window.MaxTime) {
				if m.changed(end) >= c.next && !yield(m.anySet(end)) {
					return
				}
			}
		}
	}
}

// changed is the newest epoch that first showed a pane of the window with this end.
func (m *Image) changed(end int64) (epoch uint64) {
	for _, p := range m.pairs {
		epoch = max(epoch, p.changed(end))
	}
	for _, p := range m.Panes {
		if first, last := m.Layout.Window.Clock.Ends(p.Pane); first <= end && end <= last {
			epoch = max(epoch, p.Epoch)
		}
	}
	return epoch
}

// op is the operation to write for a row; it is "" if there is nothing to write.
func (c *Changes) op(row Row) string {
	l := c.layout
	key, states := row.groups.Table.Row(row.index)
	if states[l.StampWord] < c.next {
		return ""
	}
	if l.Projection == nil || l.Projection.Having == nil {
		return plan.Upsert
	}
	c.key = l.Keys.AppendKey(c.key[:0], key, row.groups.Table.Heap())
	end := row.groups.End
	_, had := c.passed[end][string(c.key)]
	switch {
	case admits(l.Projection, row):
		if !had {
			c.note(c.passed, end)
		}
		return plan.Upsert
	case had:
		delete(c.passed[end], string(c.key))
	case c.cleared == nil:
		return ""
	default:
		if _, ok := c.cleared[end][string(c.key)]; ok {
			return ""
		}
	}
	if c.cleared != nil {
		c.note(c.cleared, end)
	}
	return plan.Delete
}
