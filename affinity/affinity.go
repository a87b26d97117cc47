package affinity

import "errors"

// ErrUnsupported says that this system cannot pin threads, or that the kernel does not allow this
// process to do it.
var ErrUnsupported = errors.New("pinning is not supported here")
