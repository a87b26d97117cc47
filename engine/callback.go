package engine

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"strconv"
)

// ErrCallback says that a method of the engine was called by code that the engine itself calls,
// such as Read, Poll, Write or OnReject, and would have waited for that code to return. Call it
// from a goroutine of your own.
var ErrCallback = errors.New("called from within a callback of the same engine, which would wait for itself; call " +
	"it from another goroutine")

// errGoexit is the error of user code that has called runtime.Goexit, which ends the goroutine on
// which the engine called it.
var errGoexit = errors.New("runtime.Goexit was called")

// A caller is a kind of goroutine of the engine that calls user code.
type caller uint8

const (
	callerRunner caller = iota // calls Poll, Drained, Notify's function and a route
	callerPump                 // calls Read
	callerOutput               // calls Write
	callerReject               // calls OnReject and OnLate
	callerClose                // calls Close of a reader
	callerKeeper               // calls OnEvent of a State, Durable, Save, Commit
)

// contain calls user code and turns a panic in it into an error. If the code calls runtime.Goexit,
// gone is called with an error while the goroutine ends.
func contain(what string, do func() error, gone func(error)) (err error) {
	returned := false
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic in %s: %v\n%s", what, v, debug.Stack())
		} else if !returned {
			gone(fmt.Errorf("%w in %s\n%s", errGoexit, what, debug.Stack()))
		}
	}()
	err = do()
	returned = true
	return err
}

// contained is call within contain, for a goroutine that goes on if it calls runtime.Goexit.
func contained(what string, call func() error) func() error {
	return func() error { return contain(what, call, func(error) {}) }
}

// as runs the part of an engine's goroutine that calls user code. Meanwhile callback knows the
// goroutine.
func (e *Engine) as(c caller, do func()) {
	id := goroutine()
	e.callers.Store(id, c)
	defer e.callers.Delete(id)
	do()
}

// callback returns ErrCallback if the calling goroutine is one of the engine's that call user code
// and is of one of these kinds. If no kinds are given, it may be of any kind.
func (e *Engine) callback(kinds ...caller) error {
	v, ok := e.callers.Load(goroutine())
	if !ok {
		return nil
	}
	for _, k := range kinds {
		if v == k {
			return ErrCallback
		}
	}
	if len(kinds) > 0 {
		return nil
	}
	return ErrCallback
}

// goroutine returns the number of the calling goroutine, taken from its stack trace because there
// is no other way to ask. It takes about a microsecond, so it is only for calls that wait anyway.
func goroutine() uint64 {
	var b [64]byte
	text, _ := bytes.CutPrefix(b[:runtime.Stack(b[:], false)], []byte("goroutine "))
	digits, _, _ := bytes.Cut(text, []byte(" "))
	n, err := strconv.ParseUint(string(digits), 10, 64)
	if err != nil {
		panic("engine: a stack trace that does not begin with the goroutine: " + string(text))
	}
	return n
}
