// Package bench has the workloads that velo is measured with, and what it is measured against.
//
// A Workload says which records come. Start runs it through an engine, and Measure takes the
// figures of a running engine. The benchmarks send the same records through the loop that a Go
// engineer would write first.
package bench
