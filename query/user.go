package query

import (
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/velo-engine/velo/core/expr"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/query/internal/syntax"
	"github.com/velo-engine/velo/record"
)

// registered are the users' functions, by their names.
var registered struct {
	sync.RWMutex
	aggregates map[string]*plan.UserAggregate
	scalars    map[string]*expr.User
}

// mayRegister panics if SQL has a function of that name, or another one has been registered.
// registered is locked.
func mayRegister(name string) {
	_, over := overFunctions[name]
	q, err := syntax.ParseQuery("SELECT " + name + "(x) FROM t")
	called := false
	if err == nil {
		x, is := q.Items[0].Expr.(*syntax.Call) // for a word such as extract there is a grammar of its own
		called = is && x.Name == name && !isGrouping(x)
	}
	if !called || over || isBuiltIn(name) || isBuiltInAggregate(name) || isWindow(name) ||
		registered.aggregates[name] != nil || registered.scalars[name] != nil {
		panic(fmt.Sprintf("query: there is a function %q already", name))
	}
}

// RegisterFunction makes a function of package scalar known to the queries that are compiled from
// now on. It is called in an init function, or before the first query. It panics if SQL has a
// function of that name, or another one has been registered.
func RegisterFunction(f *expr.User) {
	registered.Lock()
	defer registered.Unlock()
	mayRegister(f.Name())
	if registered.scalars == nil {
		registered.scalars = map[string]*expr.User{}
	}
	registered.scalars[f.Name()] = f
}

// RegisterAggregate makes a function of package aggregate known to the queries that are compiled
// from now on. It is called in an init function, or before the first query. It panics if SQL has a
// function of that name, or another one has been registered.
func RegisterAggregate(f *plan.UserAggregate) {
	registered.Lock()
	defer registered.Unlock()
	mayRegister(f.Name())
	if registered.aggregates == nil {
		registered.aggregates = map[string]*plan.UserAggregate{}
	}
	registered.aggregates[f.Name()] = f
}

// userAggregate finds a function that was registered, or one of velo that is written like those; it
// is nil if there is none of that name.
func userAggregate(name string) *plan.UserAggregate {
	if f := inGo[name]; f != nil {
		return f
	}
	registered.RLock()
	defer registered.RUnlock()
	return registered.aggregates[name]
}

// userFunction finds a scalar function that was registered; it is nil if there is none of that
// name.
func userFunction(name string) *expr.User {
	registered.RLock()
	defer registered.RUnlock()
	return registered.scalars[name]
}

// userNames are the names of the functions that were registered.
func userNames() []string {
	registered.RLock()
	defer registered.RUnlock()
	return slices.AppendSeq(slices.Collect(maps.Keys(registered.aggregates)), maps.Keys(registered.scalars))
}

// userCall is a call of a user's scalar function.
func (c *compiler) userCall(f *expr.User, x *syntax.Call, l leaf) (v value, ok bool) {
	types := f.Arguments()
	if !c.arity(x, len(types), len(types)) {
		return v, false
	}
	var args []*expr.Expr
	for i, a := range x.Args {
		v, ok := c.bind(a, l)
		if !ok {
			return value{}, false
		}
		e, ok := c.userArgument(f, i, v, a)
		if !ok {
			return value{}, false
		}
		args = append(args, e)
	}
	e, err := expr.Call(f, args...)
	return c.made(x.Pos, e, err)
}

// userArgument makes argument i of a user's function from a value.
func (c *compiler) userArgument(f *expr.User, i int, v value, at syntax.Expr) (*expr.Expr, bool) {
	t := f.Arguments()[i]
	if !t.IsDecimal() {
		return c.argument(v, t, at, f.Name())
	}
	if k, _ := v.e.Const(); v.open && k.Null {
		return expr.Null(record.DecimalOf(record.MaxPrecision, 0)), true
	}
	e, ok := c.settled(v, at)
	if ok && e.Type() == record.Int64 { // a whole number is a decimal without digits after the point
		e = c.to(e, record.DecimalOf(record.MaxPrecision, 0))
	}
	if ok && !e.Type().IsDecimal() {
		hint := ""
		if e.Type().IsWide() {
			hint = fmt.Sprintf(" of up to %d digits: cast it", record.MaxPrecision)
		}
		c.fault(at.Start(), "%s of %s, expected a decimal%s", f.Name(), typeOf(v), hint)
		return nil, false
	}
	return e, ok
}

// mayAggregateUser says whether a user's function is called as it can be.
func (c *compiler) mayAggregateUser(f *plan.UserAggregate, x *syntax.Call) bool {
	switch {
	case x.Distinct:
		c.fault(x.Pos, "%s(DISTINCT ...) is not there, only count(DISTINCT ...)", x.Name)
	case len(x.OrderBy)+len(x.WithinGroup) > 0:
		c.fault(x.Pos, "%s does not depend on an order", x.Name)
	case x.Star || len(x.Args) != len(f.Arguments()):
		c.fault(x.Pos, "%s of %d arguments, expected %d", x.Name, len(x.Args), len(f.Arguments()))
	default:
		return true
	}
	return false
}

// userType is the type that argument i of a user's aggregate is converted to.
func userType(f *plan.UserAggregate, i int, t record.Type) record.Type {
	if f.Takes(i, t) || f.Arguments()[i] != record.Float64 || !isNumber(t) {
		return t
	}
	return record.Float64
}
