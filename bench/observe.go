package bench

// Observe, if it is set, is called each time a measured part begins, and what it returns when that
// part ends. Preparing records, building tables and checking results are not part of it. So a
// profile that is started here has only what the figure is about. Set it before anything measures.
//
// The calls are outside the time that is taken.
var Observe func() (end func())

// observe calls Observe.
func observe() (end func()) {
	if Observe == nil {
		return func() {}
	}
	return Observe()
}
