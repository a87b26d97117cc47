package readers

import (
	"errors"
	"fmt"
	"io"
	"runtime/debug"
)

// maxEmptyReads is how often in a row an io.Reader may return nothing and no error. Package bufio
// has the same limit.
const maxEmptyReads = 100

// errGoexit says that user code ended the goroutine that called it. Only a deferred function can
// notice that.
var errGoexit = errors.New("runtime.Goexit was called")

// panicError is the error for a panic in user code. The deferred function that has recovered v must
// call it, so that the stack is the one of the panic.
func panicError(who string, v any) error {
	return fmt.Errorf("panic in %s: %v\n%s", who, v, debug.Stack())
}

// A userReader is an io.Reader that somebody else wrote. It turns a panic, an impossible count, and
// a reader that returns nothing again and again into errors, so that a stream can treat them like
// any other error. It cannot do that for runtime.Goexit, after which nothing can be returned: see
// Stream.readAhead.
type userReader struct {
	in    io.Reader
	empty int // how often in a row nothing has come
}

// Read reads, and returns a count from 0 to len(b) whatever the reader does.
func (u *userReader) Read(b []byte) (n int, err error) {
	defer func() {
		if v := recover(); v != nil {
			n, err = 0, panicError(fmt.Sprintf("Read of the io.Reader (%T)", u.in), v)
		}
	}()
	n, err = u.in.Read(b)
	switch {
	case n < 0 || n > len(b):
		return 0, fmt.Errorf("the io.Reader (%T) says that it has read %d bytes into %d, expected 0..%d", u.in, n,
			len(b), len(b))
	case n > 0 || err != nil:
		u.empty = 0
	default:
		u.empty++
		if u.empty >= maxEmptyReads {
			return 0, fmt.Errorf("the io.Reader (%T) has returned no bytes and no error %d times in a row: %w", u.in,
				maxEmptyReads, io.ErrNoProgress)
		}
	}
	return n, err
}

// closeUser closes what somebody else wrote, and contains its panics.
func closeUser(c io.Closer) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = panicError(fmt.Sprintf("Close of the io.Reader (%T)", c), v)
		}
	}()
	return c.Close()
}
