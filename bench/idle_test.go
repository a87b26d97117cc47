package bench

import (
	"fmt"
	"testing"
	"time"
)

// Goal: an engine that has nothing to do wakes up 20 times a second at most, and a record that comes
// then is seen. Method: the engine's own count of parks. A machine that is held up may add some, so
// one of ten seconds has to be as it should. A stray wake-up or two do no harm.
func TestIdleWakeups(t *testing.T) {
	for _, source := range IdleSources {
		e, g, err := startIdle(source)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(idleSettle)
		var seen []string
		for range 10 {
			before := e.Stats()
			time.Sleep(time.Second)
			after := e.Stats()
			n, seconds := parks(after)-parks(before), (after.Elapsed - before.Elapsed).Seconds()
			if float64(n) <= 20*seconds+2 {
				seen = nil
				break
			}
			seen = append(seen, fmt.Sprintf("%d in %.2f s", n, seconds))
		}
		if seen != nil {
			t.Errorf("%s: wake-ups: %v, expected 20 a second at most", source, seen)
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
