//go:build !unix

package bench

import "time"

// processCPU is 0: the system does not say.
func processCPU() time.Duration { return 0 }
