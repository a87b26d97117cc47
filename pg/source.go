package pg

import (
	"context"
	"iter"

	"github.com/velo-engine/velo/record"
)

// A Source is what clients read: live results by name. Its methods are called by many goroutines.
type Source interface {
	// Views are the results that there are now. Their order does not matter.
	Views() []View
	// Begin makes a Reading of the newest cut.
	Begin() (Reading, error)
}

// A View is one live result.
type View struct {
	Name    string
	Schema  *record.Schema // its columns
	Key     []string       // columns that together have each value once; nil if there are none
	Kind    Kind
	Comment string
	Text    func() string // the SELECT that defines it; nil if it is not known
}

// A Kind is what a view is to clients that ask the catalog.
type Kind uint8

// Kinds of views.
const (
	Materialized Kind = iota // CREATE MATERIALIZED VIEW: \dm
	Plain                    // CREATE VIEW: \dv
	Table                    // CREATE TABLE: \dt
)

// A Reading is one cut of all results. A session uses it from one goroutine, except for Close.
type Reading interface {
	// Select runs a SELECT with the values of $1, $2, ..., which are nil, bool, int64, float64,
	// string, time.Time or record.Decimal.
	Select(ctx context.Context, sql string, args ...any) (Rows, error)
	// Close lets go of the cut. The Rows of the reading can still be read.
	Close()
}

// Rows are the result of a SELECT. They hold no cut: they are copies.
type Rows interface {
	Schema() *record.Schema
	// Batches yields the rows. A batch is valid until the next. After an error nothing follows.
	Batches() iter.Seq2[*record.Batch, error]
	Close() error
}

// A Description says what a SELECT takes and gives.
type Description struct {
	Columns    *record.Schema
	Parameters []record.Type // those that the text does not say are 0
}

// A Describer is a Source that compiles a SELECT without running it. Of other sources the columns
// of a prepared statement are the columns of a run with NULL for all parameters.
type Describer interface {
	Describe(sql string) (Description, error)
}

// A Lister is a Source that lists other things by name for SHOW, such as jobs and sources.
type Lister interface {
	// List gives the columns and rows of SHOW what, such as "jobs". It returns false if there is no
	// such list.
	List(what string) (columns []string, rows [][]string, ok bool)
}

// An Explainer is a Source that explains a SELECT.
type Explainer interface {
	Explain(sql string) (string, error)
}
