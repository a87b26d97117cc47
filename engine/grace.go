package engine

import "time"

const (
	// readGrace is how long a call of user code may take to return after its context is done. Then
	// Shutdown and Close go on without it.
	readGrace = time.Second

	// gracePieces is in how many pieces a grace is waited for.
	gracePieces = 20
)

// within waits until done is closed, at most for d. It returns false if it has waited for d.
func within(done <-chan struct{}, d time.Duration) bool {
	_, ok := receive(done, d)
	return ok
}

// receive waits for a value of c, or until c is closed, at most for d. It returns false if it has
// waited for d. While the whole process is stopped (by SIGSTOP, or because the machine sleeps or is
// moved to another host), user code has no time to return. So receive waits in pieces of d, of
// which such a stop uses up one.
func receive[T any](c <-chan T, d time.Duration) (v T, ok bool) {
	t := time.NewTicker(d / gracePieces)
	defer t.Stop()
	for range gracePieces {
		select {
		case v = <-c:
			return v, true
		case <-t.C: // a ticker drops the ticks of a stop
		}
	}
	select {
	case v = <-c:
		return v, true
	default:
		return v, false
	}
}
