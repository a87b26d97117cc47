package query

import (
	"fmt"
	"slices"
	"sync"

	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/query/internal/syntax"
	"github.com/velo-engine/velo/record"
)

// registered are the users' aggregate functions, by their names.
var registered struct {
	sync.RWMutex
	byName map[string]*plan.UserAggregate
}

// RegisterAggregate makes a function of package aggregate known to the queries that are compiled
// from now on. It is called in an init function, or before the first query. It panics if SQL has a
// function of that name, or another one has been registered.
func RegisterAggregate(f *plan.UserAggregate) {
	name := f.Name()
	known := isAggregate(&syntax.Call{Name: name}) || slices.Contains(functionNames(), name)
	registered.Lock()
	defer registered.Unlock()
	if _, twice := registered.byName[name]; twice || known {
		panic(fmt.Sprintf("query: there is a function %q already", name))
	}
	if registered.byName == nil {
		registered.byName = map[string]*plan.UserAggregate{}
	}
	registered.byName[name] = f
}

// userAggregate finds a function that was registered; it is nil if there is none of that name.
func userAggregate(name string) *plan.UserAggregate {
	registered.RLock()
	defer registered.RUnlock()
	return registered.byName[name]
}

// mayAggregateUser says whether a user's function is called as it can be.
func (c *compiler) mayAggregateUser(x *syntax.Call) bool {
	switch {
	case x.Distinct:
		c.fault(x.Pos, "%s(DISTINCT ...) is not there, only count(DISTINCT ...)", x.Name)
	case len(x.OrderBy)+len(x.WithinGroup) > 0:
		c.fault(x.Pos, "%s does not depend on an order", x.Name)
	case x.Star || len(x.Args) != 1:
		c.fault(x.Pos, "%s of %d arguments, expected 1", x.Name, len(x.Args))
	default:
		return true
	}
	return false
}

// userType is the type that the argument of a user's function is converted to.
func userType(f *plan.UserAggregate, t record.Type) record.Type {
	if f.Takes(t) || f.Argument() != record.Float64 || !isNumber(t) {
		return t
	}
	return record.Float64
}
