package engine

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"strconv"
)

// ErrCallback says that a method of the engine was called by code that the engine itself calls, such as Read, Poll, Write or
// OnReject, and would have waited for that code to return. Call it from a goroutine of your own.
var ErrCallback = errors.New("called from within a callback of the same engine, which would wait for itself; call it from another goroutine")

// errGoexit is the error of user code that has called runtime.Goexit, which ends the goroutine that the engine called it on.
var errGoexit = errors.New("runtime.Goexit was called")

// A caller is a goroutine of the engine that calls user code.
type caller uint8

const (
	callerRunner caller = iota // Poll, Cut, Notify's function, a route
	callerPump                 // Read
	callerOutput               // Write
	callerReject               // OnReject, OnLate
	callerClose                // Close of a reader
)

// contain calls user code and turns a panic in it into an error. If the code calls runtime.Goexit, gone is called with an error
// while the goroutine ends.
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

// as runs the part of a goroutine of the engine that calls user code, and has callback know it meanwhile.
func (e *Engine) as(c caller, do func()) {
	id := goroutine()
	e.callers.Store(id, c)
	defer e.callers.Delete(id)
	do()
}

// callback says whether the calling goroutine is one of the engine's that call user code, of these kinds or of any.
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

// goroutine is the number of the calling goroutine, as its stack trace has it: there is no other way to ask. It takes about a
// microsecond, so it is for calls that wait anyway.
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
