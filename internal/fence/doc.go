// Package fence orders stores and loads at less than the price of Go's atomics, whose every store is a full fence.
//
// Two things wait for a fence on amd64: a release store needs none, and a store that a later load must not overtake (a flag is set, then another is looked at; the
// other side does the reverse) needs one on both sides only where nobody can fence the other side from afar. Linux can, by membarrier(2): then the side that does it for each
// record announces itself for the price of a store, and the side that does it once calls All. The idea is that of the asymmetric fences of Folly and of hazard pointers (Goldblatt, P1202).
package fence
