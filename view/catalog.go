package view

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/query"
	"github.com/velo-engine/velo/record"
)

// The default limits.
const (
	DefaultResultBytes  = 64 << 20
	DefaultResultMemory = 512 << 20
	DefaultSpillBytes   = 16 << 30
	DefaultQueryBytes   = 256 << 20
	DefaultLease        = 5 * time.Second
)

// These errors are found with errors.Is.
var (
	// ErrNoView says that there is no view of a name.
	ErrNoView = errors.New("there is no such view")
	// ErrLease says that a reading was open for longer than Limits.Lease.
	ErrLease = errors.New("the lease of the reading is over")
	// ErrClosed says that a reading, or the rows of a result, were used after Close.
	ErrClosed = errors.New("used after Close")
	// ErrTooLarge says that a result does not fit into Limits.SpillBytes.
	ErrTooLarge = errors.New("the result is too large")
	// ErrMemory says that a query needs more than Limits.QueryBytes.
	ErrMemory = errors.New("the query needs too much memory")
	// ErrRow says that a row cannot be computed.
	ErrRow = errors.New("a row cannot be computed")
)

// Limits bound what the readers of a catalog take. A field that is 0 has its default.
type Limits struct {
	// ResultBytes is how much of one result is in memory. The rest goes to a file.
	ResultBytes int64
	// ResultMemory is how much memory all results that are not closed take together.
	ResultMemory int64
	// SpillBytes is how much the files of all results take together. A result that would take more
	// fails with ErrTooLarge.
	SpillBytes int64
	// SpillDir is where the files are; "" is os.TempDir. They have no name there (on Windows they
	// have one until they are closed).
	SpillDir string
	// QueryBytes bounds the memory of the groups, or of the sorted rows, of one statement while it
	// runs. It fails with ErrMemory if it needs more.
	QueryBytes int
	// Running is how many statements run at the same time; others wait. 0 means twice GOMAXPROCS.
	Running int
	// Lease is how long a Reading may stay open after its first statement.
	Lease time.Duration
}

func (l Limits) withDefaults() Limits {
	l.ResultBytes = cmp.Or(l.ResultBytes, DefaultResultBytes)
	l.ResultMemory = cmp.Or(l.ResultMemory, DefaultResultMemory)
	l.SpillBytes = cmp.Or(l.SpillBytes, DefaultSpillBytes)
	l.SpillDir = cmp.Or(l.SpillDir, os.TempDir())
	l.QueryBytes = cmp.Or(l.QueryBytes, DefaultQueryBytes)
	l.Running = cmp.Or(l.Running, 2*runtime.GOMAXPROCS(0))
	l.Lease = cmp.Or(l.Lease, DefaultLease)
	return l
}

// A View is a plan with groups, and the engine that runs it.
type View struct {
	Engine  *engine.Engine
	Plan    *plan.Plan
	Comment string

	// Over makes a plan over the rows of Plan; the view has the rows of that one. They are computed
	// from the cut that a statement reads, each time, so they need no state. It may be called by
	// any goroutine, and each plan is used once. Nil has the rows of Plan itself.
	Over func() (*plan.Plan, error)
}

// Info describes a view of a catalog.
type Info struct {
	View
	Name string
	// Schema has the columns, and the view's name.
	Schema *record.Schema
	// Keys are the columns that tell the rows apart; nil if nothing does, or if the result does not
	// have all of them.
	Keys []string
}

// A Catalog has views by their names. Any number of goroutines may use it.
type Catalog struct {
	limits  Limits
	running chan struct{} // has a value for each statement that runs

	// These are of all results and readings that are open. Statistics, and budgets: each addition
	// that goes too far is taken back.
	memory, spilled, held, results atomic.Int64
	// served counts the statements. Statistic.
	served atomic.Uint64

	mu    sync.RWMutex
	views map[string]*entry
	// lookups are statements over views that are there.
	lookups lookups
}

// NewCatalog makes a catalog without views.
func NewCatalog(l Limits) *Catalog {
	l = l.withDefaults()
	return &Catalog{limits: l, running: make(chan struct{}, l.Running), views: map[string]*entry{}, lookups: lookups{}}
}

// Limits are the limits, with their defaults filled in.
func (c *Catalog) Limits() Limits { return c.limits }

// Use says what the readers of a catalog take now.
type Use struct {
	Memory  int64 // bytes of results in memory
	Spilled int64 // bytes of results in files
	Results int64 // results that are not closed
	Held    int64 // cuts that readings hold
	Running int   // statements that run
	Served  uint64
}

// Use says what the readers take now, and how many statements there have been.
func (c *Catalog) Use() Use {
	return Use{
		Memory: c.memory.Load(), Spilled: c.spilled.Load(), Results: c.results.Load(), Held: c.held.Load(),
		Running: len(c.running), Served: c.served.Load(),
	}
}

// Add adds a view. The error says that the name is taken or empty, that the engine does not run the
// plan, or that the plan has no groups.
func (c *Catalog) Add(name string, v View) error {
	e, err := check(name, v)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, taken := c.views[name]; taken {
		return fmt.Errorf("view: %q: there is a view of that name", name)
	}
	c.views[name] = e
	return nil
}

// check says what is wrong with a view, or makes its entry.
func check(name string, v View) (*entry, error) {
	fail := func(format string, args ...any) (*entry, error) {
		return nil, fmt.Errorf("view: %q: "+format, append([]any{name}, args...)...)
	}
	switch {
	case name == "":
		return nil, errors.New("view: a view without a name")
	case v.Engine == nil || v.Plan == nil:
		return fail("no engine, or no plan")
	case !slices.Contains(v.Engine.Plans(), v.Plan):
		return fail("the engine does not run the plan %v", v.Plan)
	case v.Plan.PassesThrough():
		return fail("the plan passes records through, so it has no groups that could be read: group them, or give " +
			"the plan a sink")
	}
	e, err := newEntry(name, v)
	if err != nil {
		return fail("%w", err)
	}
	return e, nil
}

// Remove removes a view. Statements that have begun, and readings that have read it, go on.
func (c *Catalog) Remove(name string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.views[name]; !ok {
		return fmt.Errorf("view: %q: %w", name, ErrNoView)
	}
	delete(c.views, name)
	clear(c.lookups)
	return nil
}

// Swap removes views and adds others in one step: a statement finds the ones or the others. The
// error is as of Remove and Add; nothing is changed then. Statements that have begun, and readings
// that have read what is removed, go on.
func (c *Catalog) Swap(remove []string, add map[string]View) error {
	entries := map[string]*entry{}
	for name, v := range add {
		e, err := check(name, v)
		if err != nil {
			return err
		}
		entries[name] = e
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, name := range remove {
		if c.views[name] == nil {
			return fmt.Errorf("view: %q: %w", name, ErrNoView)
		}
	}
	for name := range entries {
		if c.views[name] != nil && !slices.Contains(remove, name) {
			return fmt.Errorf("view: %q: there is a view of that name", name)
		}
	}
	for _, name := range remove {
		delete(c.views, name)
	}
	maps.Copy(c.views, entries)
	clear(c.lookups)
	return nil
}

// List describes all views, by their names.
func (c *Catalog) List() (all []Info) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	for _, e := range c.views {
		all = append(all, e.Info)
	}
	slices.SortFunc(all, func(a, b Info) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// Find describes one view.
func (c *Catalog) Find(name string) (Info, error) {
	e, err := c.find(name)
	if err != nil {
		return Info{}, err
	}
	return e.Info, nil
}

func (c *Catalog) find(name string) (*entry, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if e := c.views[name]; e != nil {
		return e, nil
	}
	return nil, fmt.Errorf("view: %q: %w", name, ErrNoView)
}

// Sync returns when a Reading that begins then sees everything that was handed to the readers of
// the view's engine before: see engine.Engine.Sync.
func (c *Catalog) Sync(ctx context.Context, name string) error {
	e, err := c.find(name)
	if err != nil {
		return err
	}
	return e.Engine.Sync(ctx)
}

// schemas are the schemas of all views.
func (c *Catalog) schemas() []*record.Schema {
	c.mu.RLock()
	defer c.mu.RUnlock()
	all := make([]*record.Schema, 0, len(c.views))
	for _, e := range c.views {
		all = append(all, e.Schema)
	}
	return all
}

// A Description says what a statement takes and gives.
type Description struct {
	// Parameters are the types of $1, $2 and so on; 0 if the statement does not say it.
	Parameters []record.Type
	// Result has the columns.
	Result *record.Schema
}

// Describe compiles a statement and runs nothing. The type of a column that depends on parameters
// of unknown types may be another when these are known.
func (c *Catalog) Describe(sql string) (Description, error) {
	schemas := c.schemas()
	types, err := query.Parameters(sql, schemas...)
	if err != nil {
		return Description{}, err
	}
	values := make([]any, len(types))
	for i, t := range types {
		values[i] = example(t)
	}
	none := func(*plan.Plan) ([]*record.Batch, error) { return nil, nil } // types do not depend on rows
	p, err := compile(sql, values, query.Catalog{Sources: schemas, Subquery: none})
	if err != nil {
		return Description{}, err
	}
	result, err := p.Result()
	return Description{types, result}, err
}

// example is a value of a type.
func example(t record.Type) any {
	switch {
	case t == record.Bool:
		return true
	case t == record.Int64:
		return 1
	case t == record.Float64:
		return 1.0
	case t == record.String:
		return ""
	case t == record.Timestamp:
		return time.Unix(0, 0)
	case t.IsWide():
		return record.Decimal128{Low: 1, Scale: uint8(t.Scale())}
	case t.IsLogical():
		texts := map[record.Type]string{record.UUID: "00000000-0000-0000-0000-000000000000", record.Bytes: ""}
		text, ok := texts[t]
		if !ok {
			text = "00:00:00"
		}
		return record.Literal{Type: t, Text: text}
	case t.IsDecimal():
		return record.Decimal{Unscaled: 1, Scale: uint8(t.Scale())}
	}
	return nil
}
