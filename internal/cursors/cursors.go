// Package cursors is shared by sinks that note in their output how far they have written. This
// note is the cursor. Each window, or numbered transaction of rows, is written in one transaction
// together with the cursor. So a sink that asks for the cursor knows what is there, also after a
// restart and after a commit whose answer was lost. Each sink has its own way to write a cursor,
// and to keep a predecessor from writing.
package cursors

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"
)

// None is the window before all windows.
const None = math.MinInt64

// A Note is how far a sink has written. A state has it, too, as JSON.
type Note struct {
	// Window is the end of the last window that is written, in nanoseconds since 1970, or None.
	Window int64 `json:"window"`
	// Number is the number of the last transaction of rows that are in no window.
	Number uint64 `json:"number"`
}

var (
	// ErrReplaced says that the cursor has the incarnation of another start.
	ErrReplaced = errors.New("another process has taken over the sink: the job runs twice, or its state was copied")
	// ErrBack says that the output was put back to an earlier state.
	ErrBack = errors.New("the cursor says less than what was committed: the output was restored, or a replica that " +
		"lacked something has taken over")
)

// Incarnation makes the name of one start of a sink. No other start has it.
func Incarnation() string {
	random := make([]byte, 8)
	_, _ = rand.Read(random) // it never fails
	return hex.EncodeToString(random)
}

// Check says whether a job can go on. Saved is what its state has of the sink, nil if there is
// none; at is what the cursor says, if it was found; and place says where the cursor is, for
// people.
func Check(saved []byte, at Note, found bool, place string) error {
	before := Note{Window: None}
	if saved != nil {
		err := json.Unmarshal(saved, &before)
		if err != nil {
			return fmt.Errorf("what the state has of the sink is damaged: %w", err)
		}
	}
	switch {
	case saved == nil && found && at.Window != None:
		return fmt.Errorf("the cursor in %s says that windows up to %s were written, and the state has nothing: put "+
			"the state back, or begin anew in another folder", place, End(at.Window))
	case before.Window != None && !found:
		return fmt.Errorf("windows up to %s were written when the state was saved, and %s has no cursor: it was "+
			"removed", End(before.Window), place)
	case at.Window < before.Window:
		return fmt.Errorf("windows up to %s were written when the state was saved, and the cursor in %s says %s: %w; "+
			"the windows after that are missing there, and the state has them no more: go on with the output that has "+
			"them, or begin anew with fresh", End(before.Window), place, End(at.Window), ErrBack)
	}
	return nil
}

// End is the end of a window for people.
func End(window int64) string {
	switch window {
	case None:
		return "none"
	case math.MaxInt64:
		return "the end of the input"
	}
	return time.Unix(0, window).UTC().Format(time.RFC3339Nano)
}
