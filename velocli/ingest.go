package velocli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/velo-engine/velo/connect"

	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/internal/arena"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/result"
)

// ingest is one source that is read, by one engine, for one or several queries. Each record is read
// and decoded once for all of them.
type ingest struct {
	flows []*flow
	feed  *feeder
	// aside takes the records of the source that cannot be read.
	aside  *quarantine
	engine *engine.Engine

	// state is where the queries keep their state; nil if they keep none.
	state *keptState
	// alone says that the one query has a folder of its own, which an earlier version made.
	alone bool
	// resumes says that the source can be gone on with. began is where the state was at the start.
	resumes bool
	began   engine.StateStats

	// ended waits for the engine.
	ended func() error

	// following looks after followed files; nil if there are none.
	following *following

	// growing ends the look for more readers of the source; nil if there will not be any.
	growing *grower

	// served says that the ingest is one of many, and that its groups are read by others while it
	// runs.
	served bool
	// early says that a signal came before anything was started.
	early bool
}

// names are the names of the queries.
func (in *ingest) names() string {
	var names []string
	for _, f := range in.flows {
		names = append(names, f.name)
	}
	return strings.Join(names, ", ")
}

// add adds a query.
func (in *ingest) add(f *flow) *flow {
	f.ingest, f.number = in, len(in.flows)
	in.flows = append(in.flows, f)
	return f
}

// start starts the engine.
func (in *ingest) start(size *sizing, live bool) error {
	s := *size
	if s.Rebalance {
		err := in.checkRebalance()
		if err != nil {
			return err
		}
	}
	if in.feed.files.unpacks() {
		s = s.besideUnpackers()
	}
	if len(in.flows) == 1 { // a job gets no more queries while it runs
		in.feed.files.bounds = in.flows[0].plan.Bounds()
	}
	rs, err := in.feed.open(s.Readers)
	if err != nil {
		return err
	}
	cfg := engine.Config{
		Readers: rs, Partitions: s.Partitions, Cores: s.Cores, StateBytes: s.stateBytes * len(in.flows),
		EpochInterval: -1, OnReject: in.aside.put,
	}
	if live {
		cfg.EpochInterval = liveEvery
	}
	if in.served {
		configureServed(&cfg)
	}
	if s.Rebalance {
		cfg.Rebalance = true
		cfg.EpochInterval = max(cfg.EpochInterval, 0) // shards move at epochs: as often as the engine likes
	}
	for _, f := range in.flows {
		if flows(f.plan) || slices.ContainsFunc(f.plan.Leaves(), flows) {
			cfg.EpochInterval = 0 // windows close, and groups change, while records come
		}
		if in.state != nil {
			f.plan.Name = f.name // by which the state knows it
		}
		cfg.Plans = append(cfg.Plans, engine.PlanConfig{Plan: f.plan, Writer: f.writerFor()})
	}
	if in.state != nil {
		in.resumes, err = in.resumable(rs)
		if err != nil {
			return errors.Join(err, closeAll(rs))
		}
		in.state.OnEvent, cfg.State = in.onState(), in.state.State
	}
	in.engine, err = engine.Start(context.Background(), cfg)
	if err != nil {
		_ = closeAll(rs) // they have read nothing
		return err
	}
	in.aside.engine = in.engine
	if g, ok := in.feed.input.(connect.Grower); ok && len(rs) > 0 {
		in.growing = grow(g, in.engine, rs[0])
	}
	first := in.flows[0]
	in.began = in.engine.Stats().State
	if in.feed.files.follow {
		in.following = follow(in.feed.files, in.engine, rs, first.name, first.kept.say)
	}
	in.ended = sync.OnceValue(in.end)
	return nil
}

// checkRebalance says why shards of the queries over a source cannot move.
func (in *ingest) checkRebalance() error {
	var faults []error
	for _, f := range in.flows {
		faults = append(faults, cannotRebalance(f.name, f.plan))
	}
	return errors.Join(faults...)
}

// cannotRebalance says why the shards of a query cannot move, or nothing.
func cannotRebalance(name string, p *plan.Plan) error {
	why := ""
	switch {
	case p.From != nil:
		why = "it reads the result of another query"
	case p.Window != nil:
		why = "it has windows"
	case p.PassesThrough():
		why = "it groups nothing"
	case len(p.Keys) == 0:
		why = "it has one group only"
	default:
		return nil
	}
	return fmt.Errorf("--rebalance moves groups of queries with GROUP BY and without windows: query %s cannot "+
		"have it, %s. Leave --rebalance out", name, why)
}

func closeAll(rs []record.Reader) error {
	var errs []error
	for _, r := range rs {
		errs = append(errs, r.Close())
	}
	return errors.Join(errs...)
}

// end waits for the engine.
func (in *ingest) end() error {
	err := in.engine.Wait()
	in.following.stop()
	in.growing.stop()
	return err
}

// close closes everything, and does not wait for a result.
func (in *ingest) close() {
	if in.engine != nil {
		_ = in.engine.Close() // Wait has reported what went wrong
	}
}

// short says whether the input had not come to its end when the user interrupted it. It is false if
// the input has no end.
func (in *ingest) short() bool { return in.early || !in.feed.endless && cutShort(in.engine) }

// errOther says that a query has ended because another one has failed, with which it shares its
// state.
var errOther = errors.New("it has ended before its input, because it shares its state with a query that has failed")

// wait waits for the engine, and returns why the query has failed: for a reason of its own, or
// because the engine has.
func (f *flow) wait() error {
	err := f.ended()
	if mine := f.failure(err); err == nil || mine != nil || f.state == nil {
		return explain(mine)
	}
	return errOther
}

// explain adds to an error what the user can do about it.
func explain(err error) error {
	if errors.Is(err, arena.ErrBudget) || errors.Is(err, result.ErrSorterFull) {
		err = fmt.Errorf("%w\n--memory, or VELO_MEMORY, gives the query more", err)
	}
	return err
}

// failure leaves out of an error of the engine what is about other queries only.
func (f *flow) failure(err error) error {
	var mine []error
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return err
	}
	for _, e := range joined.Unwrap() {
		var of *engine.PlanError
		switch {
		case !errors.As(e, &of):
			mine = append(mine, f.failure(e))
		case of.Number == f.number:
			mine = append(mine, of.Err)
		}
	}
	return errors.Join(mine...)
}

// stats are the counters of the engine, as they are for this query.
func (f *flow) stats() engine.Stats { return f.engine.Stats().Of(f.number) }

// snapshot is the newest snapshot of the query; end lets go of it.
func (f *flow) snapshot() (s *engine.Snapshot, end func()) {
	all := f.engine.Snapshot()
	return all.Of(f.plan), func() { _ = all.Close() } // it never fails
}
