package plan

import (
	"errors"
	"fmt"
	"time"

	"github.com/velo-engine/velo/core/window"
	"github.com/velo-engine/velo/record"
)

// Windows say how time is divided: their Kind, Size, Slide and Offset. If Slide and Offset are 0,
// windows tumble and are aligned to 1970. For a session Size is the gap.
type Windows = window.Windows

// The kinds of windows.
const (
	Tumbling   = window.Tumbling   // one after the other
	Hopping    = window.Hopping    // each begins a Slide after the one before
	Cumulating = window.Cumulating // they begin together, and each ends a Slide after the one before
	Session    = window.Session    // of one key: from its first record to a gap after its last
)

// A Window says that a plan's groups are kept for spans of event time. The result has a row for
// each key in each window, with the columns WindowStart and WindowEnd in front of the keys.
//
// A window is open until the watermark has passed its end by Lateness. Then it is closed, in all
// partitions at the same epoch, and does not change any more. The watermark of a reader is the
// greatest event time that it has brought, less OutOfOrder. The watermark of the engine is the
// least watermark of all readers that are not idle, as of the epoch. A record is late if, by the
// watermark of its own reader, no window takes it any more: it is counted and dropped. So which
// records are late does not depend on how readers, partitions and exchanges come to run, except for
// a reader that was idle or has joined.
//
// When every reader has ended, all windows close. They do not close if the engine is shut down, or
// if a reader has failed or was removed: the records that have not come might have been in them.
type Window struct {
	window.Windows

	// Column is the event time: a timestamp of the source, or a computed one. A record whose time
	// is NULL, or beyond window.MaxTime, goes to quarantine, unless Where leaves it out.
	Column string

	// OutOfOrder is how much later than others a record may come; AnyOrder sets no bound.
	OutOfOrder time.Duration
	// Lateness is how long a window stays open after the watermark has passed its end.
	Lateness time.Duration

	// Idle is how long a reader may have nothing and still hold windows back; 0 is for ever. Only
	// time in which the reader was asked and had nothing counts. Time in which it was not asked
	// because the engine was busy does not, and neither does time in which it was paused. When the
	// reader comes back, some of its records may be late for windows that have closed without it.
	Idle time.Duration

	// ProcessingTime takes the time at which a batch comes to its router instead of a column. The
	// windows go by the clock of this process; this is for records that have no time. Two runs over
	// the same records then differ. Nothing is late, and windows close as time goes by, whether
	// records come or not. Column, OutOfOrder, Lateness and Idle have no meaning, and there are no
	// sessions.
	ProcessingTime bool

	// Retain is how many closed windows snapshots show, which are the last ones; 0 is
	// DefaultRetain. A window that Output has not written is kept in any case.
	Retain int
}

const (
	// AnyOrder is the OutOfOrder of records that come in any order: no record is ever late, and
	// windows close when the input has ended.
	AnyOrder time.Duration = -1

	// WindowStart is the column of the begin of a window. The window includes it.
	WindowStart = "window_start"

	// WindowEnd is the column of the end of a window. The window excludes it.
	WindowEnd = "window_end"

	// DefaultRetain is how many closed windows snapshots show by default.
	DefaultRetain = 1

	// MaxRetain bounds the closed windows that snapshots may show.
	MaxRetain = 1 << 12
)

// Repeatable says whether a record that is read again comes into the same windows. It does not if
// windows go by the time at which records come, nor in sessions if readers may be idle: whether two
// records are in one session then depends on whether the session had closed between them.
func (w *Window) Repeatable() bool {
	return !w.ProcessingTime && !(w.Kind == window.Session && w.Idle > 0)
}

// NeedsTransactions says whether rows are written while records come, and nothing tells them apart
// if they are written again after a restart. That is so for changes, for records that pass through
// and for windows that are not Repeatable. Rows of other windows are told apart by the ends of the
// windows.
func (p *Plan) NeedsTransactions() bool {
	return p.Emit == EmitChanges || p.PassesThrough() || p.Window != nil && !p.Window.Repeatable()
}

// validate reports what is wrong with the window.
func (w *Window) validate(source *record.Schema) error {
	var faults []error
	if err := w.Windows.Validate(); err != nil {
		faults = append(faults, err)
	}
	if w.ProcessingTime {
		if w.Column != "" || w.OutOfOrder != 0 || w.Lateness != 0 || w.Idle != 0 {
			faults = append(faults, errors.New(
				"window: by processing time, where Column, OutOfOrder, Lateness and Idle have no meaning"))
		}
		if w.Kind == window.Session {
			faults = append(faults, errors.New(
				"window: sessions need the time of each record: there are none by processing time"))
		}
	} else if i, ok := source.Index(w.Column); !ok {
		faults = append(faults, fmt.Errorf("window: there is no column %q in %v", w.Column, source))
	} else if f := source.Field(i); f.Type != record.Timestamp {
		faults = append(faults, fmt.Errorf(
			"window: the time is column %q, %v, expected a timestamp, or a computed column that makes one of it",
			w.Column, f.Type))
	}
	disorder := w.OutOfOrder
	if disorder == AnyOrder {
		disorder = 0
	}
	for what, d := range map[string]time.Duration{
		"records out of order by": disorder, "lateness of": w.Lateness,
		"readers that are idle after": w.Idle,
	} {
		if d < 0 || d > window.MaxSize {
			faults = append(faults, fmt.Errorf("window: %s %v, expected 0 to %v", what, d, window.MaxSize))
		}
	}
	if w.Retain < 0 || w.Retain > MaxRetain {
		faults = append(faults, fmt.Errorf("window: %d closed windows to retain, expected 1..%d, or 0 for %d", w.Retain,
			MaxRetain, DefaultRetain))
	}
	return errors.Join(faults...)
}
