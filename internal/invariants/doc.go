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
package invariants
