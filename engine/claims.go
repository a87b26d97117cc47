package engine

import (
	"fmt"
	"reflect"
	"sync"
)

// claims are the readers and writers of the engines of this process that have not ended. Two engines that share a reader would
// take its records from each other, and call it from two goroutines at once.
var claims struct {
	sync.Mutex
	of map[any]bool
}

// identity is what tells a reader or writer from others: the pointer that it is. Values without one, such as an empty struct or
// a function, of which all that one literal makes look the same, cannot be told apart and may be shared: ok is false.
func identity(v any) (id any, ok bool) {
	switch t := reflect.TypeOf(v); t.Kind() {
	case reflect.Pointer:
		return v, t.Elem().Size() > 0
	case reflect.Map, reflect.Chan:
		return reflect.ValueOf(v).UnsafePointer(), true
	}
	return nil, false
}

// claim takes a reader or writer for an engine. The error says that one has it.
func claim(v any, what string) error {
	id, ok := identity(v)
	if !ok {
		return nil
	}
	claims.Lock()
	defer claims.Unlock()
	if claims.of[id] {
		return fmt.Errorf("engine: %s (%T) is in use already: a reader or writer belongs to one engine, and once; give each its own", what, v)
	}
	if claims.of == nil {
		claims.of = map[any]bool{}
	}
	claims.of[id] = true
	return nil
}

// disclaim gives back what an engine has claimed.
func disclaim(v any) {
	if id, ok := identity(v); ok {
		claims.Lock()
		defer claims.Unlock()
		delete(claims.of, id)
	}
}

// claim takes the readers and the writer of the engine, all or none. The error names each that is in use.
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
	if c.Writer != nil {
		take(c.Writer, "the writer")
	}
	if len(faults) > 0 {
		for _, v := range taken {
			disclaim(v)
		}
	}
	return faults
}
