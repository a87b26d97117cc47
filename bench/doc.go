// Package bench has the workloads that velo is measured with, and what it is measured against.
//
// A Workload says which records come; Start runs it through an engine, Measure takes the figures of one that runs. The benchmarks
// have the same records go through the loop that a Go engineer would write first.
package bench
