package plan

import (
	"fmt"
	"slices"
	"strings"

	"github.com/velo-engine/velo/core/agg"
	"github.com/velo-engine/velo/core/expr"
	"github.com/velo-engine/velo/core/layout"
	"github.com/velo-engine/velo/core/table"
	"github.com/velo-engine/velo/record"
)

// Explain is the plan for people: what is read, how records are keyed, what a group takes in
// memory, and how the result is made of groups. The error is the error of Validate.
func (p *Plan) Explain() (string, error) {
	l, err := p.Layout()
	if err != nil {
		return "", err
	}
	x := &explanation{plan: p, kept: l, read: l.Reading}
	if p.From != nil {
		inner, err := p.From.Explain()
		if err != nil {
			return "", err
		}
		x.text.WriteString(inner + "\n")
		for _, more := range p.FromMore {
			inner, err := more.Explain()
			if err != nil {
				return "", err
			}
			x.text.WriteString(inner + "\n")
		}
	}
	x.source()
	x.calls()
	if l.PassThrough {
		x.passThrough()
		return x.text.String(), nil
	}
	x.window()
	x.columns()
	x.groups()
	return x.text.String(), nil
}

// An explanation is what Explain has written so far.
type explanation struct {
	plan *Plan
	// kept is the layout of what is kept, and read the layout of what is read of that.
	kept, read *layout.Layout
	text       strings.Builder
}

func (x *explanation) line(what, format string, args ...any) {
	fmt.Fprintf(&x.text, "%-12s %s\n", what, fmt.Sprintf(format, args...))
}

func (x *explanation) source() {
	p := x.plan
	x.line("source", "%v", p.Source)
	if len(p.FromMore) > 0 {
		x.line("rows of", "the %d plans above, as they come", 1+len(p.FromMore))
	}
	if x.kept.Stage == nil {
		return
	}
	var names []string
	for _, c := range x.kept.Stage.Columns() {
		names = append(names, p.Source.Field(c).Name)
	}
	x.line("reads", "%s", strings.Join(names, ", "))
	for _, t := range p.Tables() {
		var key []string
		for _, c := range t.Key() {
			key = append(key, t.Schema().Field(c).Name)
		}
		x.line("looks up", "%v by %s", t.Schema(), strings.Join(key, ", "))
	}
	if p.Where != nil {
		x.line("filter", "%v", p.Where)
	}
	for _, o := range p.Computed {
		x.line("computes", "%s = %v", o.Name, o.Expr)
	}
	if rows := x.kept.Stage.RowByRow(); len(rows) > 0 {
		x.line("row by row", "%s", strings.Join(rows, ", "))
	}
}

// calls are the functions of users that the plan calls, each once.
func (x *explanation) calls() {
	var said []*expr.User
	for _, c := range x.plan.UserCalls() {
		if !slices.Contains(said, c.User) {
			said = append(said, c.User)
			x.line("calls", "your %v", c.User)
		}
	}
}

func (x *explanation) window() {
	w := x.plan.Window
	if w == nil {
		return
	}
	size := x.kept.Window.PaneSize()
	if w.ProcessingTime {
		x.line("window", "%v by processing time, panes of %v", w.Windows, size)
		return
	}
	disorder := fmt.Sprintf("out of order by %v", w.OutOfOrder)
	if w.OutOfOrder == AnyOrder {
		disorder = "in any order"
	}
	x.line("window", "%v on %s, panes of %v; %s, lateness %v", w.Windows, w.Column, size, disorder, w.Lateness)
}

// columns are the keys and the aggregates of what is read.
func (x *explanation) columns() {
	l := x.read
	if x.plan.Sets != nil {
		x.line("sets", "%s: the groups of all keys are kept, and merged to those of the sets when a snapshot is read",
			x.plan.setsText())
	}
	for i := range l.Keys.Columns() {
		f := l.Inner.Field(l.Front + i)
		words := "a word"
		if f.Type.Kind() == record.String {
			words = "3 words, longer than 23 bytes apart"
		}
		x.line("key", "%s %v: %s", f.Name, f.Type, words)
	}
	for i, o := range l.Outputs {
		a := x.plan.Aggregates[i]
		arg := a.Column
		if arg == "" {
			arg = "*"
		}
		if a.By != "" {
			arg += ", " + a.By
		}
		if a.Distinct && a.Func == Count {
			x.line("aggregate", "%s = %v(DISTINCT %s): a group for each value, counted when a snapshot is read", a.Name,
				a.Func, arg)
			continue
		}
		if a.collects() {
			x.line("aggregate", "%s = %v(%s): a group for each value, computed from all when a snapshot is read", a.Name,
				a.Func, a.arguments(arg))
			continue
		}
		x.line("aggregate", "%s = %s(%s): %d bytes of state%s", a.Name, a.FuncName(), a.arguments(arg), 8*o.Fn.Words(),
			agg.Accuracy(o.Fn))
	}
}

// groups is how groups are kept, sent, read and written.
func (x *explanation) groups() {
	p, l := x.plan, x.kept
	words := l.Keys.Words() + len(l.Init)
	x.line("group", "%d bytes: %d of key, %d of states, rest padding", 8*table.RowWords(words), 8*l.Keys.Words(),
		8*len(l.Init))
	x.line("chunks", "%d records, or %d partial states, in %d KiB", l.Rows, l.PartialRows, layout.ChunkBytes>>10)
	x.line("route", "%v; records are applied in place, folded or routed by what pays, unless the engine is told",
		Route{}.For(p).Routing)
	x.over()
	for _, o := range p.Select {
		x.line("result", "%s = %v", o.Name, o.Expr)
	}
	if s := strings.TrimSpace(p.tailString()); s != "" {
		x.line("then", "%s", s)
	}
	switch {
	case p.Emit == EmitChanges:
		x.line("emission", "at each epoch the groups that have changed, with %s in front", ChangeColumn)
	case p.Window != nil:
		x.line("emission", "each window once, when it has closed")
	default:
		x.line("emission", "everything once, at the end of the input")
	}
}

// passThrough is how records pass through.
func (x *explanation) passThrough() {
	p, l := x.plan, x.kept
	x.over()
	for _, o := range p.Select {
		x.line("passes", "%s = %v", o.Name, o.Expr)
	}
	x.line("chunks", "%d records in %d KiB", l.Rows, layout.ChunkBytes>>10)
	if s := strings.TrimSpace(p.tailString()); s != "" {
		x.line("then", "%s", s)
	}
	x.line("route", "%v: the records of a reader stay in their order", Route{}.For(p).Routing)
	if l.Arranged != nil {
		x.line("emission", "records in their order, at the end: all of them are kept until then")
		return
	}
	if len(l.Order) > 0 {
		x.line("emission", "records in their order, at the end: all of them are kept until then, or about twice "+
			"as many as LIMIT lets through")
		return
	}
	x.line("emission", "records, as they come")
}

// over are the columns that are computed over rows.
func (x *explanation) over() {
	for i := range x.plan.Over {
		o := &x.plan.Over[i]
		x.line("over", "%s = %s, when all rows are there", o.Name, o.text())
	}
}
