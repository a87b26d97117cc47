// Package invariants switches checks on that cost too much for a release build. They are on with -tags invariants and with
// -race:
//
//	if invariants.Enabled {
//		if n > p.reserved {
//			panic(...)
//		}
//	}
//
// Enabled is a constant, so the compiler takes out the whole of it when it is false. The idea is cockroachdb/pebble's.
//
// At is for tests of lock-free protocols. It marks a place between two steps where another thread may come in. A test hooks a
// function there that does what the other thread would do, and so has the one interleaving that matters, every time:
//
//	if invariants.Enabled {
//		invariants.At("epoch.Pin", e)
//	}
//
// These are RocksDB's sync points, without the waiting.
package invariants
