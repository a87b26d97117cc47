// Package window is the arithmetic of event-time windows. It says which piece of time a record
// belongs to, which windows are made of which pieces, and when each window is closed. It knows no
// records and no state, only times.
//
// # Terms
//
// All times are nanoseconds since 1970, UTC. A window is a span of time that includes its begin and
// not its end. No two windows of a plan have the same end, so the end names the window. A pane is
// the smallest span that windows are made of: records are aggregated by pane, and a window is the
// sum of its panes. The watermark of a reader is the time before which no more records are expected
// from it. A record is late if every window that it would be in has closed because of the
// watermark.
//
//	tumbling     |--w1--|--w2--|--w3--|        a pane is a window
//	hopping      |------w1------|              size 3, slide 1: a window has three panes
//	                  |------w2------|
//	cumulating   |-w1-|                        size 3, step 1: three windows that begin together
//	             |----w2---|
//	             |------w3------|
//	session      .-.--.-|        .--.-|        of one key: two sessions, with the gap behind each
//
// # Sessions
//
// A session is a set of records of one key in which no record is further than a gap from the next.
// It ends a gap after its last record, so its begin and end depend on its records. The panes of
// sessions are one gap long. So all records of a key in one pane belong together, and records in
// panes that are not neighbours do not. A pane keeps the least and the greatest time of each key,
// and sessions are found by looking at neighbouring panes. So disorder needs no special treatment:
// a record may join what were two sessions until then.
//
// Time closes sessions pane by pane. Whether a session goes on is known when no more records are
// expected in the pane after the pane of its last record. So a session is closed up to a gap after
// its end, and all partitions agree on it, however the records came to them.
package window
