// Package epoch counts the consistent cuts of an engine: who raises one, when all have answered, who reads it and when its place may be used
// again. It knows no data: what a cut holds lies in slots that others keep, and this package only says which slot.
//
// # An epoch
//
// Whoever needs one says so with Want; somebody raises it as soon as the one before has been answered, so that one is in flight at a time and
// requests meanwhile coalesce into the next. Routers see the new number between two batches and send a mark behind what they have routed; a
// partition that has the marks of all readers puts its image into the epoch's slot and answers. The last answer makes the slot the current one.
//
//	Want --> Raise --> marks --> Answer ... Answer (the last) --> current, finished --> Raise, if somebody wants another
//
// There is no coordinator: each step is done by the goroutine that makes it possible.
//
// # Slots and pins
//
// Pin loads the current slot, counts itself into the slot's references, and looks once more whether the slot is still the current one: if so nobody
// takes it away, else it lets go and begins again. Raise takes a slot that is not current and has no references. So a slot that somebody
// reads is never written, and a raise never waits for a reader: it takes another slot. Where all are held it does not raise, counts that,
// and the last to let go of a slot does it.
//
// The last epoch has a slot of its own, which is always free.
package epoch
