package query

import (
	"fmt"
	"time"

	"github.com/velo-engine/velo/internal/interval"

	"github.com/velo-engine/velo/core/window"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/query/internal/syntax"
	"github.com/velo-engine/velo/record"
)

// processingTime is the function that makes windows follow the clock.
const processingTime = "proctime"

// windowCall is a window in GROUP BY: tumble(at, size), hop(at, slide, size), cumulate(at, step,
// size), each with an optional offset, or session(at, gap).
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
		least, most, usage = 2, 4, "tumble(at, size), maybe with an offset or a time zone"
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
	rest := x.Args[least:]
	var in syntax.Expr
	if n := len(rest); n > 0 && isZone(rest[n-1]) {
		in, rest = rest[n-1], rest[:n-1]
	}
	if len(rest) > 1 {
		c.fault(rest[1].Start(), "%s of %d arguments, expected %s", x.Name, len(x.Args), usage)
		return
	}
	if len(rest) > 0 {
		offset = rest[0]
	}
	c.bindWindow(x.Pos, x.Name, x.Args[0], slide, size, offset, in)
}

// isZone says whether an argument is a text that is not an interval, so that it must be a time
// zone.
func isZone(e syntax.Expr) bool {
	x, ok := e.(*syntax.Literal)
	if !ok || x.Kind != syntax.String {
		return false
	}
	_, _, err := interval.Of(x.Text, "")
	return err != nil
}

var windowKinds = map[string]window.Kind{
	"tumble": plan.Tumbling, "hop": plan.Hopping,
	"cumulate": plan.Cumulating, "session": plan.Session,
}

// bindWindow notes the window of a query. The size of a session is its gap.
func (c *compiler) bindWindow(pos syntax.Pos, kind string, at, slide, size, offset, in syntax.Expr) {
	w := plan.Window{Windows: plan.Windows{Kind: windowKinds[kind]}}
	good := true
	length := func(e syntax.Expr, into *time.Duration) (months int) {
		if e == nil {
			return 0
		}
		months, d, ok := c.intervalConstant(e)
		*into, good = d, good && ok
		return months
	}
	w.Months = length(size, &w.Size)
	for _, e := range []syntax.Expr{slide, offset} {
		into := &w.Slide
		if e == offset {
			into = &w.Offset
		}
		if length(e, into) != 0 {
			c.fault(e.Start(), "%s: months and years have no fixed length: they can be the size of tumble", e)
			good = false
		}
	}
	if w.Months != 0 && w.Size != 0 {
		c.fault(size.Start(), "%s: expected months alone, or days, hours and less", size)
		good = false
	}
	if in != nil {
		zone, ok := c.zoneNamed(in, noLeaf)
		w.Zone, good = zone, good && ok
	}
	c.window = &w // even if it has faults, so that its bounds cause no further ones
	if call, ok := at.(*syntax.Call); ok && call.Name == processingTime && len(call.Args) == 0 {
		w.ProcessingTime = true
		if err := w.Validate(); good && err != nil {
			c.fault(pos, "%v", err)
		}
		return
	}
	x, ok := c.over(at, c.sourceLeaf(timeOfWindow))
	if !ok || !good {
		return
	}
	if t := x.Type(); t != record.Timestamp {
		c.fault(at.Start(), "the time of a window is %s, %v, expected a timestamp: %s", at, t, timeFrom(at, t))
		return
	}
	c.timeExpr, c.timeOf = at, columnsOf(at, nil)
	w.Column = c.column(x, at.String(), c.free("time"))
	if err := w.Validate(); err != nil {
		c.fault(pos, "%v", err)
	}
}

// noLeaf is for constants: it binds nothing.
func noLeaf(syntax.Expr) (v value, done, ok bool) { return v, false, false }

// intervalConstant is an interval, or a text that can be read as one: '10 s' without the word
// INTERVAL.
func (c *compiler) intervalConstant(e syntax.Expr) (months int, d time.Duration, ok bool) {
	if id, is := e.(*syntax.Ident); is {
		c.fault(id.Pos, "%s: expected an interval, such as INTERVAL '10 s'", e)
		return 0, 0, false
	}
	v, ok := c.bind(e, noLeaf)
	if !ok {
		return 0, 0, false
	}
	k, constant := v.e.Const()
	if v.open {
		months, d, err := interval.Of(k.Text, "")
		if err != nil {
			c.fault(e.Start(), "%v", err)
		}
		return months, d, err == nil
	}
	if !v.interval || !constant {
		c.fault(e.Start(), "%s: expected an interval, such as INTERVAL '10 s'", e)
		return 0, 0, false
	}
	return v.months, time.Duration(k.Bits), true
}

// timeFrom says how to make a timestamp of an expression of another type.
func timeFrom(x syntax.Expr, t record.Type) string {
	switch {
	case t == record.String:
		return fmt.Sprintf("write CAST(%s AS timestamp)", x)
	case isNumber(t):
		return fmt.Sprintf("write to_timestamp(%s) if it is seconds since 1970, to_timestamp(%s / 1000.0) if "+
			"milliseconds", x, x)
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
