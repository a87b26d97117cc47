package query

import (
	"fmt"
	"time"

	"github.com/velo-engine/velo/core"
	"github.com/velo-engine/velo/core/window"
	"github.com/velo-engine/velo/query/internal/syntax"
	"github.com/velo-engine/velo/record"
)

// processingTime is the function that has windows go by the clock.
const processingTime = "proctime"

// windowCall is a window in GROUP BY: tumble(at, size), hop(at, slide, size), cumulate(at, step, size), each maybe with an offset, or session(at, gap).
func (c *compiler) windowCall(x *syntax.Call) {
	if c.window != nil {
		c.fault(x.Pos, "a second window: a query has one")
		return
	}
	least, most, usage := 3, 4, "hop(at, slide, size), maybe with an offset"
	switch x.Name {
	case "cumulate":
		usage = "cumulate(at, step, size), maybe with an offset"
	case "tumble":
		least, most, usage = 2, 3, "tumble(at, size), maybe with an offset"
	case "session":
		least, most, usage = 2, 2, "session(at, gap)"
	}
	if len(x.Args) < least || len(x.Args) > most {
		c.fault(x.Pos, "%s of %d arguments, expected %s", x.Name, len(x.Args), usage)
		return
	}
	var slide, offset syntax.Expr
	size := x.Args[least-1]
	if least == 3 {
		slide = x.Args[1]
	}
	if len(x.Args) > least {
		offset = x.Args[least]
	}
	c.bindWindow(x.Pos, x.Name, x.Args[0], slide, size, offset)
}

var windowKinds = map[string]window.Kind{"tumble": window.Tumbling, "hop": window.Hopping, "cumulate": window.Cumulating, "session": window.Session}

// bindWindow notes the window of a query; the size of a session is its gap.
func (c *compiler) bindWindow(pos syntax.Pos, kind string, at, slide, size, offset syntax.Expr) {
	w := core.Window{Windows: window.Windows{Kind: windowKinds[kind]}}
	good := true
	length := func(e syntax.Expr, into *time.Duration) {
		if e == nil {
			return
		}
		v, ok := c.bind(e, func(syntax.Expr) (v value, done, ok bool) { return v, false, false })
		if ok && v.open { // '10 s' without the word
			k, _ := v.e.Const()
			d, err := interval(k.Text, "")
			if *into = d; err != nil {
				c.fault(e.Start(), "%v", err)
				ok = false
			}
			good = good && ok
			return
		}
		k, constant := value{}, false
		if ok {
			k = v
			_, constant = v.e.Const()
		}
		if !ok || !k.interval || !constant {
			if ok {
				c.fault(e.Start(), "%s: expected an interval, such as INTERVAL '10 s'", e)
			}
			good = false
			return
		}
		bits, _ := v.e.Const()
		*into = time.Duration(bits.Bits)
	}
	length(size, &w.Size)
	length(slide, &w.Slide)
	length(offset, &w.Offset)
	c.window = &w // whatever is wrong with it, so that its bounds are no further faults
	if call, ok := at.(*syntax.Call); ok && call.Name == processingTime && len(call.Args) == 0 {
		w.ProcessingTime = true
		if err := w.Validate(); good && err != nil {
			c.fault(pos, "%v", err)
		}
		return
	}
	x, ok := c.over(at, c.sourceLeaf("the time of a window"))
	if !ok || !good {
		return
	}
	if t := x.Type(); t != record.Timestamp {
		c.fault(at.Start(), "the time of a window is %s, %v, expected a timestamp: %s", at, t, timeFrom(at, t))
		return
	}
	c.timeOf = columnsOf(at, nil)
	w.Column = c.column(x, at.String(), c.free("time"))
	if err := w.Validate(); err != nil {
		c.fault(pos, "%v", err)
	}
}

// timeFrom says how to make a timestamp of an expression of another type.
func timeFrom(x syntax.Expr, t record.Type) string {
	switch {
	case t == record.String:
		return fmt.Sprintf("write CAST(%s AS timestamp), or to_timestamp(%s, format)", x, x)
	case isNumber(t):
		return fmt.Sprintf("write to_timestamp(%s) if it is seconds since 1970, to_timestamp(%s / 1000.0) if milliseconds", x, x)
	}
	return "a window needs the time of each record"
}

// columnsOf appends the names of the columns that an expression reads.
func columnsOf(e syntax.Expr, names []string) []string {
	if id, ok := e.(*syntax.Ident); ok {
		return append(names, id.Name)
	}
	for _, sub := range children(e) {
		names = columnsOf(sub, names)
	}
	return names
}
