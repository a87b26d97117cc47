// Package epoch counts the consistent cuts of an engine. It says which goroutine raises an epoch,
// when all partitions have answered it, whether its cut is being read, and when the place of the
// cut may be used again. It knows no data: what a cut holds lies in slots that other packages keep,
// and this package only says which slot.
//
// # An epoch
//
// A goroutine that needs an epoch calls Want. The epoch is raised as soon as the previous one has
// been answered, so only one is in flight at a time, and requests that come meanwhile share the
// next one. Routers see the new number between two batches and send a mark after what they have
// routed. A partition that has the marks of all readers puts its image into the epoch's slot and
// answers. The last answer makes the slot the current one.
//
//	Want -> Raise -> marks -> Answer ... Answer (the last) -> current, finished -> Raise if wanted
//
// There is no coordinator: each step is done by the goroutine that makes it possible.
//
// # Slots and pins
//
// Pin loads the current slot, counts itself into the slot's references, and looks once more whether
// the slot is still current. If it is, the slot stays until Unpin; otherwise Pin lets go and begins
// again. Raise takes a slot that is not current and has no references. So a slot that is being read
// is never written, and a raise never waits for a reader, because it takes another slot. If all
// slots are held it does not raise and counts that. Then the goroutine that next lets go of a slot
// raises the epoch.
//
// The last epoch has a slot of its own, which is always free.
package epoch
