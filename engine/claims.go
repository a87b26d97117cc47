package engine

import (
	"fmt"
	"reflect"
	"sync"
)

// claims holds the readers and writers of all engines of this process that have not ended. Two
// engines that shared a reader would take records from each other and would call it from two
// goroutines at once.
var claims struct {
	sync.Mutex
	of map[any]bool
}

// identity returns what tells a reader or writer from others, which is its pointer. ok is false for
// values without a pointer of their own, such as an empty struct or a function: all functions from
// one literal look the same. They cannot be told apart and may be shared.
func identity(v any) (id any, ok bool) {
	switch t := reflect.TypeOf(v); t.Kind() {
	case reflect.Pointer:
		return v, t.Elem().Size() > 0
	case reflect.Map, reflect.Chan:
		return reflect.ValueOf(v).UnsafePointer(), true
	}
	return nil, false
}

// claim takes a reader or writer for an engine. It returns an error if an engine has it already.
func claim(v any, what string) error {
	id, ok := identity(v)
	if !ok {
		return nil
	}
	claims.Lock()
	defer claims.Unlock()
	if claims.of[id] {
		return fmt.Errorf("engine: %s (%T) is in use already: a reader or writer belongs to one engine, and once; "+
			"give each its own", what, v)
	}
	if claims.of == nil {
		claims.of = map[any]bool{}
	}
	claims.of[id] = true
	return nil
}

// disclaim gives back what claim has taken.
func disclaim(v any) {
	if id, ok := identity(v); ok {
		claims.Lock()
		defer claims.Unlock()
		delete(claims.of, id)
	}
}

// claim takes the readers and the writer of the engine, either all of them or none. The errors name
// each one that is in use.
func (c *Config) claim() (faults []error) {
	var taken []any
	take := func(v any, what string) {
		if err := claim(v, what); err != nil {
			faults = append(faults, err)
		} else {
			taken = append(taken, v)
		}
	}
	for i, r := range c.Readers {
		take(r, fmt.Sprintf("reader %d", i))
	}
	for i, p := range c.plans() {
		switch {
		case p.Writer == nil:
		case len(c.Plans) > 1:
			take(p.Writer, fmt.Sprintf("the writer of plan %d", i))
		default:
			take(p.Writer, "the writer")
		}
	}
	if len(faults) > 0 {
		for _, v := range taken {
			disclaim(v)
		}
	}
	return faults
}
