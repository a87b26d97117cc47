package plan

import (
	"fmt"
	"strings"

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
	var b strings.Builder
	line := func(what, format string, args ...any) {
		fmt.Fprintf(&b, "%-12s %s\n", what, fmt.Sprintf(format, args...))
	}
	line("source", "%v", p.Source)
	if l.Stage != nil {
		var names []string
		for _, c := range l.Stage.Columns() {
			names = append(names, p.Source.Field(c).Name)
		}
		line("reads", "%s", strings.Join(names, ", "))
		if p.Where != nil {
			line("filter", "%v", p.Where)
		}
		for _, o := range p.Computed {
			line("computes", "%s = %v", o.Name, o.Expr)
		}
	}
	if w := p.Window; w != nil && w.ProcessingTime {
		line("window", "%v by processing time, panes of %v", w.Windows, l.Window.PaneSize())
	} else if w != nil {
		disorder := fmt.Sprintf("out of order by %v", w.OutOfOrder)
		if w.OutOfOrder == AnyOrder {
			disorder = "in any order"
		}
		line("window", "%v on %s, panes of %v; %s, lateness %v", w.Windows, w.Column, l.Window.PaneSize(), disorder,
			w.Lateness)
	}
	kept := l
	l = l.Reading
	for i := range l.Keys.Columns() {
		f := l.Inner.Field(l.Front + i)
		words := "a word"
		if f.Type == record.String {
			words = "3 words, longer than 23 bytes apart"
		}
		line("key", "%s %v: %s", f.Name, f.Type, words)
	}
	for i, o := range l.Outputs {
		a := p.Aggregates[i]
		arg := a.Column
		if arg == "" {
			arg = "*"
		}
		if a.By != "" {
			arg += ", " + a.By
		}
		if a.Distinct {
			line("aggregate", "%s = %v(DISTINCT %s): a group for each value, counted when a snapshot is read", a.Name,
				a.Func, arg)
			continue
		}
		line("aggregate", "%s = %v(%s): %d bytes of state", a.Name, a.Func, arg, 8*o.Fn.Words())
	}
	l = kept
	if l.PassThrough {
		for _, o := range p.Select {
			line("passes", "%s = %v", o.Name, o.Expr)
		}
		line("chunks", "%d records in %d KiB", l.Rows, layout.ChunkBytes>>10)
		if s := strings.TrimSpace(p.tailString()); s != "" {
			line("then", "%s", s)
		}
		line("route", "%v: the records of a reader stay in their order", Route{}.For(p).Routing)
		if len(l.Order) > 0 {
			line("emission", "records in their order, at the end: all of them are kept until then, or about twice "+
				"as many as LIMIT lets through")
		} else {
			line("emission", "records, as they come")
		}
		return b.String(), nil
	}
	words := l.Keys.Words() + len(l.Init)
	line("group", "%d bytes: %d of key, %d of states, rest padding", 8*table.RowWords(words), 8*l.Keys.Words(),
		8*len(l.Init))
	line("chunks", "%d records, or %d partial states, in %d KiB", l.Rows, l.PartialRows, layout.ChunkBytes>>10)
	line("route", "%v; records are applied in place, folded or routed by what pays, unless the engine is told",
		Route{}.For(p).Routing)
	for _, o := range p.Select {
		line("result", "%s = %v", o.Name, o.Expr)
	}
	if s := strings.TrimSpace(p.tailString()); s != "" {
		line("then", "%s", s)
	}
	switch {
	case p.Emit == EmitChanges:
		line("emission", "at each epoch the groups that have changed, with %s in front", ChangeColumn)
	case p.Window != nil:
		line("emission", "each window once, when it has closed")
	default:
		line("emission", "everything once, at the end of the input")
	}
	return b.String(), nil
}
