// Package window is the arithmetic of event-time windows: which piece of time a record belongs to, which windows are made of
// which pieces, and when each of them is closed. It knows no records and no state, only times.
//
// # Terms
//
// All times are nanoseconds since 1970, UTC. A window is a span of time, its begin included and its end not; no two windows of a plan have the same
// end, so the end names it. A pane is the smallest span that windows are made of: records are aggregated by pane, and a window is the sum of its
// panes. The watermark of a reader is the time before which nothing more is expected of it; a record is late when every window
// that it would be in has closed before the watermark.
//
//	tumbling     |--w1--|--w2--|--w3--|        a pane is a window
//	hopping      |------w1------|              size 3, slide 1: a window has three panes, a pane is in three windows
//	                  |------w2------|
//	cumulating   |-w1-|                        size 3, step 1: three windows that begin together
//	             |----w2---|
//	             |------w3------|
//
// # Not here
//
// Session windows, whose ends depend on the records.
package window
