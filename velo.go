// Package velo keeps the grouped and windowed aggregates of streams of records live in memory, on
// as many cores as it is given, and serves consistent snapshots of them without a lock. It is what
// a program imports that embeds the engine; it renames the most used parts of the packages below
// it, which have the rest.
//
// A program does four things. It compiles a query over the schema of its records to a [Plan]. It
// starts an [Engine] with the plan and with what brings records. It hands records over. It reads
// snapshots, from any goroutine and at any time:
//
//	type Trade struct {
//		Symbol string
//		Size   int64
//	}
//
//	feed, err := velo.NewFeed[Trade]("trades", velo.FeedConfig{})
//	plan, err := velo.Compile(`SELECT symbol, sum(size) AS volume FROM trades GROUP BY symbol`, feed.Schema())
//	eng, err := velo.Start(ctx, velo.Config{Plan: plan, Readers: []velo.Reader{feed}})
//	defer eng.Close()
//
//	lane, err := feed.Lane() // each goroutine has its own
//	err = lane.Send(ctx, Trade{"NVDA", 100})
//	err = eng.Sync(ctx) // the next snapshot has what was sent
//
//	volume, err := velo.ColumnOf[int64](plan, "volume")
//	key, err := plan.Key("NVDA")
//	snap := eng.Snapshot()
//	defer snap.Close()
//	if row, ok := snap.Get(key); ok {
//		fmt.Println(volume.Of(row))
//	}
//
// # Threads
//
// An [Engine] runs each reader and each partition of its groups on threads that are pinned to
// cores, Config.Cores of them. All methods of Engine may be called by any goroutine. A [Snapshot]
// is read by any number of goroutines and waits for nobody. A [Lane] belongs to one goroutine at a
// time; an [Appender] serves any number.
//
// # Lifetime
//
// A [Snapshot] is valid until its Close, and so are its rows; it holds memory until then. What is
// read of it by a [Column] or a [Scanner] is the caller's. A [Batch] that is given to a Reader or a
// Writer is valid during the call.
//
// # Errors
//
// Each function says in its error what was wrong, where, and what was expected. Start reports every
// fault of the configuration at once. [Engine.Wait] returns why the engine has ended, nil if its
// input has. Records that cannot be used go to Config.OnReject and are counted in [Stats]; they end
// nothing.
//
// # Where the rest is
//
// Package readers has files, standard input, sockets, memory and a generator; package writers has
// CSV, NDJSON, tables and files; package query has the dialect of SQL and jobs; package record has
// schemas, batches and the contract of Reader and Writer for programs that write their own; package
// engine has all of the configuration; package plan has plans as Go literals.
package velo

import (
	"context"

	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/lookup"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/query"
	"github.com/velo-engine/velo/readers"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/result"
)

// A Plan is a continuous query: compiled from SQL, or written as a literal (see plan.Plan for its
// fields).
type Plan = plan.Plan

// A Schema names and types the columns of records.
type Schema = record.Schema

// SchemaOf is the schema of the struct T: a column for each exported field.
func SchemaOf[T any](name string) (*Schema, error) { return record.SchemaOf[T](name) }

// Compile compiles one SELECT over records of a schema, whose name stands in FROM. The error has
// every fault of the query, each with its place.
func Compile(sql string, source *Schema, tables ...*Table) (*Plan, error) {
	return query.Catalog{Sources: []*Schema{source}, Tables: tables}.Compile(sql)
}

// Table has rows that change seldom, found by their key, which JOIN adds to records. See package
// lookup.
type Table = lookup.Table

// TableConfig says what a table is and how it is loaded.
type TableConfig = lookup.Config

// NewTable makes a table.
func NewTable(c TableConfig) (*Table, error) { return lookup.New(c) }

// LoadGroups makes the TableConfig.Load of a table whose rows are the groups of a plan that an
// engine runs.
func LoadGroups(e *Engine, p *Plan) func(context.Context, *lookup.Builder) error {
	return engine.LoadGroups(e, p)
}

// Config is what an engine is made of: Plan (or Plans) and Readers are needed, the rest has
// defaults.
type Config = engine.Config

// A PlanConfig is one of several plans over the same records, see Config.Plans.
type PlanConfig = engine.PlanConfig

// A PlanError says which of several plans has ended alone, and why.
type PlanError = engine.PlanError

// An Engine runs a plan, or several over the same records.
type Engine = engine.Engine

// Start starts an engine. It ends when its readers have ended, when ctx is done, or by Shutdown or
// Close. The error has every fault of the configuration.
func Start(ctx context.Context, cfg Config) (*Engine, error) { return engine.Start(ctx, cfg) }

// Stats are the counters of an engine.
type Stats = engine.Stats

// A Snapshot is a consistent picture of all groups. Close it.
type Snapshot = engine.Snapshot

// A Row is one group in a snapshot.
type Row = result.Row

// A Key finds one group in a snapshot: see Plan.Key.
type Key = plan.Key

// A Value is a Go type that a column can be read as.
type Value = result.Value

// A Column reads one column of the result from rows.
type Column[T Value] = result.Column[T]

// ColumnOf is the column of the plan's result with a name. The error says that there is none, or
// which type it has.
func ColumnOf[T Value](p *Plan, name string) (Column[T], error) { return result.ColumnOf[T](p, name) }

// A Scanner reads rows into structs.
type Scanner[T any] = result.Scanner[T]

// ScannerOf is the scanner of the struct T: each field is a column of the plan's result. The error
// lists what T lacks.
func ScannerOf[T any](p *Plan) (Scanner[T], error) { return result.ScannerOf[T](p) }

// A Reader brings records: a Feed, one of package readers, or a program's own (see record.Reader
// for the contract).
type Reader = record.Reader

// A Writer takes results: each window when it has closed, groups as they change, or everything at
// the end (see record.Writer for the contract, and package writers).
type Writer = record.Writer

// A State says where an engine keeps its state, so that it survives a restart: see Config.State and
// docs/durability.md.
type State = engine.State

// Dir is the State in a folder, with the defaults.
func Dir(path string) *State { return engine.Dir(path) }

// A StateEvent is something that has happened to a State; see State.OnEvent.
type StateEvent = engine.StateEvent

// What a StateEvent may be.
const (
	Restored   = engine.Restored
	Saved      = engine.Saved
	SaveFailed = engine.SaveFailed
	// WriterHangs: the writer of a plan has not returned from a call, which may keep all plans from
	// being saved.
	WriterHangs = engine.WriterHangs
	// WriterReturned: it has returned.
	WriterReturned = engine.WriterReturned
)

// A Position says how far a split of a source has been read; a program's own Resumer makes it.
type Position = record.Position

// A Resumer is a Reader whose source can be read again from a position, so that nothing is lost and
// nothing is counted twice if the engine is restarted with its State.
type Resumer = record.Resumer

// A Committer is a Writer that goes on after a restart together with an engine that has a State, so
// that each window is written exactly once.
type Committer = record.Committer

// A Transactional is a Writer that takes results in numbered transactions, together with an engine
// that has a State, so that also changes and records that pass through are written exactly once.
type Transactional = record.Transactional

// A Batch is records by columns, as Readers fill and Writers get them.
type Batch = record.Batch

// A Reject is a record that was set aside, with the reason; see Config.OnReject.
type Reject = record.Reject

// A Feed is a Reader that the goroutines of a service push their records into.
type Feed[T any] = readers.Feed[T]

// FeedConfig says how a feed is made. The zero value suits.
type FeedConfig = readers.FeedConfig

// A Lane carries the records of one goroutine into a feed.
type Lane[T any] = readers.Lane[T]

// A NumberedLane is a Lane whose records have numbers, for a sender that can send them again after
// a restart: see Feed.Resume.
type NumberedLane[T any] = readers.NumberedLane[T]

// An Appender carries the records of any number of goroutines into a feed.
type Appender[T any] = readers.Appender[T]

// A Counter adds to one integer of one record of a feed, for about a nanosecond each time: the feed
// sends a record with the sum when it is read. Feed.Counter makes it.
type Counter = readers.Counter

// A Symbol is a text that repeats, kept once for the process: as a field of the struct T of a feed
// it costs the engine about half of a string.
type Symbol = record.Symbol

// NewSymbol returns the symbol of a text: make it once and use it often.
func NewSymbol(text string) (Symbol, error) { return record.NewSymbol(text) }

// NewFeed makes a feed of records of the struct T. Its schema is the one that T has, with this name
// for FROM.
func NewFeed[T any](name string, cfg FeedConfig) (*Feed[T], error) {
	schema, err := record.SchemaOf[T](name)
	if err != nil {
		return nil, err
	}
	return readers.NewFeed[T](schema, cfg)
}

// Errors that a program may want to tell apart, by errors.Is.
var (
	// ErrEnded says that the engine has ended before what was asked for was done.
	ErrEnded = engine.ErrEnded

	// ErrNoImage says that no snapshot could be made for lack of memory: see Config.StateBytes.
	ErrNoImage = engine.ErrNoImage

	// ErrCallback says that a method of the engine was called by code that the engine itself calls,
	// and would have waited for it.
	ErrCallback = engine.ErrCallback

	// ErrFeedEnded says that a record was not taken because the feed or its engine has ended.
	ErrFeedEnded = readers.ErrFeedEnded

	// ErrFeedFull says that a feed that sheds had no room for a record.
	ErrFeedFull = readers.ErrFeedFull

	// ErrNoLane says that a feed has as many lanes as it has room for.
	ErrNoLane = readers.ErrNoLane

	// ErrNoSymbol says that there is no room for another symbol.
	ErrNoSymbol = record.ErrNoSymbol

	// ErrNoCounter says that a feed has as many counters as it may have.
	ErrNoCounter = readers.ErrNoCounter

	// ErrLaneShared says that two goroutines use one lane at the same time.
	ErrLaneShared = readers.ErrLaneShared

	// ErrOtherPlan says that the state in a folder belongs to another query.
	ErrOtherPlan = engine.ErrOtherPlan

	// ErrLostSplit says that a state has the position of something that no reader goes on with.
	ErrLostSplit = engine.ErrLostSplit

	// ErrSequence says that a record with this number was taken already.
	ErrSequence = readers.ErrSequence

	// ErrTransient marks an error of a Reader or Writer that is worth another try: see
	// record.Transient.
	ErrTransient = record.ErrTransient
)

// inlined calls the methods that the compiler should put in place of a call. It can do that in a
// program that imports only this package if this package calls them, and only then a Snapshot lies
// on the stack of the goroutine that reads it.
func inlined(e *Engine, k Key) bool {
	s := e.Snapshot()
	_, ok := s.Get(k)
	return s.Close() == nil && ok
}

var _ = inlined
