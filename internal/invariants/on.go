//go:build invariants || race

package invariants

import (
	"maps"
	"sync"
	"sync/atomic"
)

// Enabled says whether the checks are on.
const Enabled = true

var (
	hooking sync.Mutex // held while hooks is replaced
	hooks   atomic.Pointer[map[string]func(of any)]
)

// At calls the function that a test has hooked to a place, with the object that is at that place.
func At(place string, of any) {
	if m := hooks.Load(); m != nil {
		if f := (*m)[place]; f != nil {
			f(of)
		}
	}
}

// Hook makes At call f at a place until unhook is called. Each place has at most one hook, so the
// caller must be the only test that uses it. f is called for every object that comes to the place,
// on the object's goroutine.
func Hook(place string, f func(of any)) (unhook func()) {
	set(place, f)
	return func() { set(place, nil) }
}

func set(place string, f func(of any)) {
	hooking.Lock()
	defer hooking.Unlock()
	next := map[string]func(of any){}
	if m := hooks.Load(); m != nil {
		next = maps.Clone(*m)
	}
	next[place] = f
	hooks.Store(&next)
}
