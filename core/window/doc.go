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
//	session      .-.--.-|        .--.-|        of one key: two sessions, with the gap behind each
//
// # Sessions
//
// A session is the records of one key of which none is further than a gap from the next; it ends a gap behind the last, and its begin and end
// depend on its records. Its panes are one gap long. So all records of a key in one pane belong together, and those of panes that are no neighbours
// do not: a pane keeps the least and the greatest time of each key, and sessions are found by looking at neighbours. That makes disorder
// nothing special: a record may join what were two sessions until then.
//
// Time closes sessions pane by pane: whether a session goes on is known when no record is expected any more in the pane behind that of its last. So it
// is closed up to a gap after its end, and all partitions and all ways to get there agree.
package window
