// Package invariants switches on checks that cost too much for a release build. They are on with
// -tags invariants and with -race:
//
//	if invariants.Enabled {
//		if n > p.reserved {
//			panic(...)
//		}
//	}
//
// Enabled is a constant, so the compiler removes the whole statement if it is false. The idea comes
// from cockroachdb/pebble.
//
// At is for tests of lock-free protocols. It marks a place between two steps at which another
// thread may come in. A test hooks a function there that does what the other thread would do. So it
// gets the one interleaving that matters, every time:
//
//	if invariants.Enabled {
//		invariants.At("epoch.Pin", e)
//	}
//
// These are RocksDB's sync points, without the waiting.
package invariants
