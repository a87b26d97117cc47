package core

import (
	"errors"
	"fmt"
	"iter"
	"runtime"

	"github.com/velo-engine/velo/core/expr"
	"github.com/velo-engine/velo/core/window"
	"github.com/velo-engine/velo/record"
)

// An Emission is what a writer gets of a plan with groups.
type Emission uint8

const (
	// EmitFinal gives each window once, when it has closed. If the plan has no windows, it gives
	// everything at the end.
	EmitFinal Emission = iota

	// EmitChanges gives, at each epoch, the groups that have changed since the last epoch that was
	// written, as they are now. A row begins with the column ChangeColumn: Upsert, or Delete if the
	// group passed Having at the last write and no longer does. A group whose shard has moved may
	// come although it has not changed. A slow writer gets fewer epochs, but it still gets the last
	// state of every group.
	EmitChanges
)

// String is the name in SQL.
func (e Emission) String() string {
	switch e {
	case EmitFinal:
		return "final"
	case EmitChanges:
		return "changes"
	}
	return fmt.Sprintf("Emission(%d)", uint8(e))
}

const (
	// ChangeColumn is the first column of what is written of a plan that emits changes: a text,
	// Upsert or Delete.
	ChangeColumn = "op"

	// Upsert says that the row is the group as it is now.
	Upsert = "upsert"

	// Delete says that the group is not in the result any more; the row is what it would be in the
	// result.
	Delete = "delete"
)

// validate reports what the plan has that cannot be emitted like this.
func (e Emission) validate(p *Plan) (faults []error) {
	switch e {
	case EmitFinal:
		return nil
	case EmitChanges:
	default:
		return []error{fmt.Errorf("no emission %v", e)}
	}
	if len(p.OrderBy) > 0 || p.Limit != nil || p.Offset > 0 {
		faults = append(faults, errors.New(
			"changes are emitted group by group: OrderBy, Limit and Offset have no meaning for them"))
	}
	if p.hasSessions() {
		faults = append(faults, errors.New("sessions cannot be emitted as they change: a record may make one of two"))
	}
	if p.PassesThrough() {
		faults = append(faults, errors.New("records that pass through do not change"))
	}
	return faults
}

// compileEmission makes the schema of what is written.
func (l *layout) compileEmission() (err error) {
	if l.plan.Emit != EmitChanges {
		return nil
	}
	fields := []record.Field{{Name: ChangeColumn, Type: record.String}}
	for i := range l.result.Len() {
		fields = append(fields, l.result.Field(i))
	}
	l.change, err = record.NewSchema(l.plan.name(), fields...)
	if err != nil {
		return fmt.Errorf("core: plan %s: what is written of its changes: %w", l.plan.name(), err)
	}
	return nil
}

// Changes know what has been written of a plan that emits changes. Only one goroutine uses them.
//
// Each group has the epoch in which it changed last, in a word of its row (kernel.stampRows). So a
// cut tells what is new in it since any other cut, whichever cuts a writer has seen, and the
// partitions need not wait for the writer.
type Changes struct {
	layout *layout
	// next is the first epoch whose changes have not been given.
	next uint64

	// passed has, for a plan with Having, the groups whose last row was an Upsert, by the end of
	// their window. Only these groups can get a Delete.
	passed map[int64]map[string]struct{}
	// key is scratch of op.
	key []byte
}

// NewChanges makes the Changes of a plan of which nothing has been written. The error is the error
// of Validate, or says that the plan does not emit changes.
func NewChanges(p *Plan) (*Changes, error) {
	l, err := p.read()
	if err != nil {
		return nil, err
	}
	if l.change == nil {
		return nil, fmt.Errorf("core: plan %s emits %v, not changes", p.name(), p.Emit)
	}
	return &Changes{layout: l, passed: map[int64]map[string]struct{}{}}, nil
}

// Batches yields what has changed between the cut before and this one, in batches of up to rows
// rows. Each batch is valid until the next. The caller must take all of them.
func (c *Changes) Batches(cut *Cut, rows int) iter.Seq[*record.Batch] {
	return func(yield func(*record.Batch) bool) {
		l := c.layout
		b := record.NewBatch(l.change, rows)
		values := make([]expr.Value, l.change.Len())
		write := func(row Row) bool {
			op := c.op(row)
			if op == "" {
				return true
			}
			values[0] = expr.Value{Text: op}
			for i := range values[1:] {
				values[1+i] = l.resultValue(row, i)
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
			for end := range c.passed {
				if end <= clock {
					delete(c.passed, end)
				}
			}
		}
	}
}

// groups yields the sets of groups of a cut in which some groups have changed.
func (c *Changes) groups(cut *Cut) iter.Seq[*groups] {
	return func(yield func(*groups) bool) {
		for _, m := range cut.readable() {
			if c.layout.window == nil {
				if g := m.set(0); g.epoch >= c.next && !yield(g) {
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
	for _, p := range m.panes {
		if first, last := m.layout.window.clock.Ends(p.pane); first <= end && end <= last {
			epoch = max(epoch, p.epoch)
		}
	}
	return epoch
}

// op is the operation to write for a row; it is "" if there is nothing to write.
func (c *Changes) op(row Row) string {
	l := c.layout
	key, states := row.groups.table.Row(row.index)
	if states[l.stampWord] < c.next {
		return ""
	}
	if l.projection == nil || l.projection.having == nil {
		return Upsert
	}
	c.key = l.keys.AppendKey(c.key[:0], key, row.groups.table.Heap())
	end := row.groups.end
	_, had := c.passed[end][string(c.key)]
	switch {
	case l.projection.admits(row.groups, row.index):
		if !had {
			if c.passed[end] == nil {
				c.passed[end] = map[string]struct{}{}
			}
			c.passed[end][string(c.key)] = struct{}{}
		}
		return Upsert
	case had:
		delete(c.passed[end], string(c.key))
		return Delete
	}
	return ""
}
