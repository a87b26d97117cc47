package bench

import (
	"testing"
	"time"
)

// Goal: an engine that has nothing to do wakes up 20 times a second at most, and a record that comes
// then is seen. Method: the engine's own count of parks, for as long as the engine says that it ran:
// a slow machine has fewer of them, never more. A stray wake-up or two do no harm.
func TestIdleWakeups(t *testing.T) {
	for _, source := range IdleSources {
		e, g, err := startIdle(source)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(idleSettle)
		before := e.Stats()
		time.Sleep(2 * time.Second)
		after := e.Stats()
		seconds := (after.Elapsed - before.Elapsed).Seconds()
		if n := parks(after) - parks(before); float64(n) > 20*seconds+3 {
			t.Errorf("%s: %d wake-ups in %.2f s, expected 20 a second at most", source, n, seconds)
		}
		for i := range 3 {
			_, err := untilVisible(e, g, int64(i))
			if err != nil {
				t.Fatal(err)
			}
		}
		e.Close()
	}
}
