// Package usercode has what scalar functions and aggregates that a user has written have in common:
// the types of their columns, and what the engine notes of them: that one has panicked, and how
// long they take.
package usercode

import (
	"errors"
	"fmt"
	"math"
	"sync/atomic"
	"time"

	"github.com/velo-engine/velo/record"
)

// TypeOf is the type of a column whose values are of a Go type: int64, float64, bool, string,
// time.Time or record.Decimal.
func TypeOf[V any]() record.Type {
	var v V
	switch any(v).(type) {
	case int64:
		return record.Int64
	case float64:
		return record.Float64
	case bool:
		return record.Bool
	case string:
		return record.String
	case time.Time:
		return record.Timestamp
	}
	return record.DecimalOf(record.MaxPrecision, 0)
}

// minSeconds and maxSeconds bound the seconds of a timestamp.
const minSeconds, maxSeconds = math.MinInt64/1_000_000_000 + 1, math.MaxInt64/1_000_000_000 - 1

// Nanos is the time that a function of a user has returned, as a timestamp. ok is false if no
// timestamp is so early or so late.
func Nanos(t time.Time) (nanos int64, ok bool) {
	s := t.Unix()
	return t.UnixNano(), s >= minSeconds && s <= maxSeconds
}

// A Panic is an error: a function of a user has panicked.
type Panic struct {
	Function string
	Value    any
	Stack    []byte // where; it may be missing
}

// Error names the function, and says what it has panicked with and where.
func (p *Panic) Error() string {
	text := fmt.Sprintf("panic in your function %s: %v", p.Function, p.Value)
	if len(p.Stack) > 0 {
		text += "\n" + string(p.Stack)
	}
	return text
}

// Unwrap returns the value that the function has panicked with, if that is an error.
func (p *Panic) Unwrap() error {
	err, _ := p.Value.(error)
	return err
}

// AsPanic returns the panic that is the cause of an error, or nil.
func AsPanic(err error) *Panic {
	var p *Panic
	if errors.As(err, &p) {
		return p
	}
	return nil
}

// A Note keeps the last panic of those that happen where no error can be returned: on the goroutine
// that reads a result. Any goroutine may use it.
type Note struct{ last atomic.Pointer[Noted] }

// Noted is an error whose cause is a panic.
type Noted struct{ error }

// Unwrap returns the error.
func (n *Noted) Unwrap() error { return n.error }

// Add keeps an error if its cause is a panic.
func (n *Note) Add(err error) {
	if AsPanic(err) != nil {
		n.last.Store(&Noted{err})
	}
}

// Last returns the last error that was kept, or nil.
func (n *Note) Last() *Noted { return n.last.Load() }

// Contain keeps in err a panic of a user's function, and lets any other panic go on. It is called
// by defer.
func Contain(err *error) {
	v := recover()
	p, ok := v.(*Panic)
	switch {
	case ok && *err == nil:
		*err = p
	case v != nil && !ok:
		panic(v)
	}
}

// A Metered is a function with its meter.
type Metered struct {
	Name  string
	Meter *Meter
}

// A Meter measures a function. Any number of goroutines may add to it. Its numbers are statistics.
type Meter struct {
	values atomic.Uint64 // Statistic.
	nanos  atomic.Uint64 // Statistic.
}

// A Watch says when a call began.
type Watch struct{ begin time.Time }

// Start notes that a call begins. The clock is read here and not by package core, which must do the
// same whatever the time is: nothing but statistics depends on it.
func Start() Watch { return Watch{time.Now()} }

// Stop counts a call for some values, which ends now.
func (m *Meter) Stop(values int, w Watch) {
	m.values.Add(uint64(values))
	m.nanos.Add(uint64(time.Since(w.begin)))
}

// Read returns for how many values the function was called, and how long that took.
func (m *Meter) Read() (values uint64, took time.Duration) {
	return m.values.Load(), time.Duration(m.nanos.Load())
}
