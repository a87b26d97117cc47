package velocli

import (
	"encoding/json"
	"strings"
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
