// Package metrics writes the counters of engines (engine.Stats) for Prometheus and whatever else
// reads its text format or OpenMetrics. It needs nothing but the standard library.
//
//	var set metrics.Set
//	remove, err := set.Add("trades", eng) // eng is a running engine
//	mux.Handle("/metrics", &set)
//
// A service that has a registry of client_golang registers the collector of the module
// metrics/prom in it instead; both show the same series.
//
// # Terminology
//
//	job     engines under a name, as an operator knows them
//	family  the series of one name; families is the table of all
//	series  a family with values for its labels
//
// # How many series
//
// An engine with 16 readers and 16 partitions has less than 500 series. The series of rings, one
// for each reader and partition, are written only if they are asked for. An engine with more than
// MaxSeriesOf readers or partitions has them put together.
//
// # One table
//
// The table of families has the name, the kind, the help and the function that reads the value. The
// text, the collector, docs/metrics.md and the tests go through it with Visit, so none of them can
// lack a family or call it by another name.
package metrics
