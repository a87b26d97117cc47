package velocli

import (
	"errors"
	"time"

	"github.com/velo-engine/velo/internal/cli"
	"github.com/velo-engine/velo/plan"
)

// followWatermark is how much later than others a record of a followed file may come, unless
// --watermark says it: lines of a log are roughly in the order of their times, but seldom exactly.
const followWatermark = 5 * time.Second

// followIdle is how long a followed file must have brought no record before it stops holding
// windows back, unless --idle says it: some files of a pattern are old.
const followIdle = 30 * time.Second

// pace says when the windows of a query close before the end of the input.
type pace struct {
	Watermark *time.Duration `help:"Close windows before the end of the input, and print each when it closes: when a record has come whose time is so much later than the window's end. Records that come later still are dropped and counted. 5s with --follow." placeholder:"TIME"`
	Idle      *time.Duration `help:"With --follow or --watermark: a file in which nothing has come for so long holds no windows back until something comes. 30s with --follow; 0s waits for all files as long as it takes." placeholder:"TIME"`

	FollowFiles int `help:"How many files of a pattern are followed at once; 0 is 256." default:"0" placeholder:"N"`
}

// set sets in a plan when its windows close. Files have an end. Unless the user says otherwise, no
// window is closed before it, and no record is late, whatever the order of the records.
func (c *pace) set(p *plan.Plan, follow bool) error {
	if follow && growsForEver(p) {
		return errEndlessSet
	}
	for _, leaf := range p.Leaves() { // the windows of others close as these do
		if err := c.setWindow(leaf.Window, follow); err != nil {
			return err
		}
	}
	return nil
}

// errEndlessSet says why a set operation needs an end of the input.
var errEndlessSet = errors.New("UNION without ALL, INTERSECT and EXCEPT compare each row with all others, and " +
	"the rows of a source without an end would grow for ever: UNION ALL passes them on")

// growsForEver says whether a plan, or one whose result it reads, keeps the rows of a set
// operation.
func growsForEver(p *plan.Plan) bool {
	for ; p != nil; p = p.From {
		if len(p.FromMore) > 0 && !p.PassesThrough() {
			return true
		}
	}
	return false
}

// setWindow is set of one window; nil if there is none.
func (c *pace) setWindow(w *plan.Window, follow bool) error {
	switch {
	case w == nil || w.ProcessingTime:
		if c.Watermark != nil || c.Idle != nil {
			return errors.New("--watermark and --idle: the query has no window over times of records, " +
				"expected GROUP BY tumble(column, ...) or the like")
		}
		return nil
	case c.Watermark != nil && *c.Watermark < 0:
		return cli.Misusef("--watermark %v: expected 0s or more", *c.Watermark)
	case c.Idle != nil && *c.Idle < 0:
		return cli.Misusef("--idle %v: expected 0s or more", *c.Idle)
	case c.Watermark != nil:
		w.OutOfOrder = *c.Watermark
	case follow:
		w.OutOfOrder = followWatermark
	case c.Idle != nil:
		return cli.Misusef("--idle: without --follow or --watermark windows close at the end of the input, " +
			"and wait for nobody")
	default:
		w.OutOfOrder = plan.AnyOrder
	}
	switch {
	case c.Idle != nil:
		w.Idle = *c.Idle
	case follow:
		w.Idle = followIdle
	}
	return nil
}

// closesEarly says whether the windows of a plan close before the end of the input.
func closesEarly(p *plan.Plan) bool {
	w := p.Window
	return w != nil && (w.ProcessingTime || w.OutOfOrder != plan.AnyOrder)
}

// flows says whether results come while records come, and then go to a writer. Other results are
// read from the last snapshot, at the end.
func flows(p *plan.Plan) bool { return p.Streams() || closesEarly(p) }
