package velocli

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"strings"
	"syscall"
	"testing"
)

// Goal: apply says once what keeps a job from going on with its state, and says its own flags.
// Method: the answer of a server, whose message has the first fault.
func TestApplyFailure(t *testing.T) {
	var f serverFailure
	err := json.Unmarshal([]byte(`{"error":{"code":"state_lost","message":"job \"a\": v: it differs; nothing was changed",
		"faults":[{"message":"v: it differs"},{"message":"w: it differs, too"}]}}`), &f)
	if err != nil {
		t.Fatal(err)
	}
	text := f.err().Error()
	for _, once := range []string{"v: it differs", "w: it differs, too", "--fresh", "--side-by-side"} {
		if strings.Count(text, once) != 1 {
			t.Errorf("%q is not there once:\n%s", once, text)
		}
	}
}

// Goal: apply reaches a server that was started just before it, and does not try again after another
// failure.
func TestApplyWaitsForServer(t *testing.T) {
	other := errors.New("no such host")
	for _, c := range []struct {
		fails error
		tries int
		want  error
	}{{syscall.ECONNREFUSED, 3, nil}, {other, 1, other}} {
		tries := 0
		_, err := patient(func(context.Context, string, string) (net.Conn, error) {
			tries++
			if tries == 3 {
				return nil, nil
			}
			return nil, &net.OpError{Op: "dial", Err: c.fails}
		})(t.Context(), "tcp", "127.0.0.1:1")
		if tries != c.tries || !errors.Is(err, c.want) {
			t.Errorf("%v: %d tries, %v", c.fails, tries, err)
		}
	}
}
