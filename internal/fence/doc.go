// Package fence orders stores and loads for less than the price of Go's atomics, in which every
// store is a full fence.
//
// Two kinds of stores wait for a fence on amd64 that they may not need. A release store needs none.
// The other kind is a store that a later load must not overtake: a flag is set and then another one
// is looked at, and the other side does the reverse. Such stores need a fence on both sides only if
// neither side can fence the other from afar. Linux can do that by membarrier(2). Then the side
// that does it for each record announces itself for the price of a store, and the side that does it
// once calls All. The idea comes from the asymmetric fences of Folly and of hazard pointers
// (Goldblatt, P1202).
package fence
