// Package aggregate makes aggregate functions of your own, for plans and for SQL.
//
// A function is a state, which is a struct without pointers of at most MaxBytes, and three Go
// functions: Add adds a value to a state, Merge adds a state to a state, and Result reads a state.
// The state of each group lies in the group's row, outside of Go's heap.
//
//	type spread struct {
//		low, high float64
//		some      bool
//	}
//
//	var f = aggregate.Must(aggregate.Spec[spread, float64, float64]{
//		Name: "spread",
//		Add: func(s *spread, v float64) {
//			if !s.some || v < s.low {
//				s.low = v
//			}
//			if !s.some || v > s.high {
//				s.high = v
//			}
//			s.some = true
//		},
//		Merge: func(into, from *spread) { ... },
//		Result: func(s spread) (float64, bool) { return s.high - s.low, s.some },
//	})
//
// In a plan it is plan.Aggregate{Name: "spread", User: f, Column: "price"}. For SQL,
// query.RegisterAggregate(f) makes spread(price) known to every query that is compiled after that;
// FILTER works, DISTINCT does not. A function of two arguments is a Spec2, such as
// weighted_avg(price, size); in a plan its arguments are Column and By. A result may be a text,
// which Result makes when it is read.
//
// # What the functions may rely on
//
// The engine adds the records of a group on several threads, to states that it merges in any order
// and at any time: when a reader flushes what it has folded, when a snapshot is read, when a window
// consists of several panes, after a restart. So Merge must commute and associate, and adding
// values must be the same as merging states that have one value each. Check, called in a test,
// tries to prove the opposite.
//
// Records that have a NULL among their arguments are not added. A state is passed as a pointer that
// is valid during the call; a text and a slice are, too. The functions run on the threads of the
// engine, so they must not wait.
//
// A panic does not end the process. In Add or Merge it ends the plan with an error that names the
// function and says where it was; other plans of the engine go on. While a result is read it makes
// the value NULL, and Snapshot.Err says so; a plan with a writer ends. If a function is slow, the
// report of starvation in Stats names it.
//
// # Speed
//
// A sum that is written with Add costs one and a half times the one that is built in (go test
// ./bench -bench UserAggregate). AddAll gets the values of a run of records of one group at once,
// so it is faster if there are few groups, or if records come in the order of their groups. Bigints
// and floats are then the memory of the engine itself; other values are made for the call.
//
// # Restarts
//
// An engine that keeps its state (Config.State) writes states as they lie in memory. The name, the
// version and the fields of the state belong to the plan: if one of them differs, the saved state
// is refused. Raise Version when the meaning of a state changes and its fields do not.
package aggregate
