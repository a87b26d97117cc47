package affinity

import "errors"

// ErrUnsupported says that this system does not pin threads, or that the kernel does not allow it to this process.
var ErrUnsupported = errors.New("pinning is not supported here")
