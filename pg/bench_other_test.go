//go:build !unix

package pg_test

import "time"

// processTime is the CPU time of the process; 0 if it is not known.
func processTime() time.Duration { return 0 }
