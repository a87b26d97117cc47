//go:build (amd64 || arm64) && !purego

package engine

// pause tells the CPU n times that it is spinning. n must be greater than 0. It frees the pipeline
// for an SMT sibling and saves power.
//
//go:noescape
func pause(n uint32)
