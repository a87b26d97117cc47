// Package prom shows the counters of engines in a registry of client_golang: the registry of the
// service that embeds velo, which it serves where and how it likes. It is a module of its own, so
// that the root module does not require client_golang.
//
//	var set metrics.Set
//	remove, err := set.Add("trades", eng) // eng is a running engine
//	registry.MustRegister(prom.NewCollector(&set))
//
// It has the families, labels and values of package metrics; docs/metrics.md has the table.
package prom
