package agg

import (
	"math"
	"testing"
	"time"

	"github.com/velo-engine/velo/record"
)

// Goal: a time that is no timestamp is a value that does not fit, and not another time. Method: the
// zero time, the first and the last ones that there are, and years far away.
func TestUserTimes(t *testing.T) {
	type state struct{ Seconds, Nanos int64 }
	u, err := NewUser(UserSpec[state, time.Time]{
		Name: "time_of", Merge: func(_, _ *state) {},
		Result: func(s state) (time.Time, bool) { return time.Unix(s.Seconds, s.Nanos), true },
	}, func(s *state, v int64) { s.Seconds = v }, nil)
	if err != nil {
		t.Fatal(err)
	}
	f, err := u.Bind(Arg{Type: record.Int64})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		at   time.Time
		fits bool
	}{
		{time.Time{}, false},
		{time.Date(1677, 1, 1, 0, 0, 0, 0, time.UTC), false},
		{time.Date(1678, 1, 1, 0, 0, 0, 1, time.UTC), true},
		{time.Unix(-1, 5), true},
		{time.Date(2262, 1, 1, 0, 0, 0, 999_999_999, time.UTC), true},
		{time.Date(2263, 1, 1, 0, 0, 0, 0, time.UTC), false},
		{time.Unix(math.MaxInt64/2, 0), false},
	} {
		got := f.Result([]uint64{uint64(c.at.Unix()), uint64(c.at.Nanosecond())}, nil)
		want := Value{Null: true, Overflow: true}
		if c.fits {
			want = Value{Bits: uint64(c.at.UnixNano())}
		}
		if got != want {
			t.Errorf("%v: %+v, expected %+v", c.at, got, want)
		}
	}
}
