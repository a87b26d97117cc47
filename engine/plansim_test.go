package engine_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/internal/testgen"
	"github.com/velo-engine/velo/lookup"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/query"
	"github.com/velo-engine/velo/record"
)

// joinedQueries are questions that look up pages, whatever version they meet.
var joinedQueries = []string{
	`SELECT key % 7 AS k, count(*) AS n FROM timed JOIN pages AS p ON key % 7 = p.id GROUP BY key % 7`,
	`SELECT p.id AS id, count(*) AS n, max(value) AS m FROM timed LEFT JOIN pages AS p ON key % 11 = p.id AND p.id > 1
		GROUP BY p.id`,
	`SELECT key, value FROM timed JOIN pages AS p ON value % 97 = p.id WHERE p.version > 0 AND value % 5 = 0`,
}

// A plansSim is a random run of an engine of several plans.
type plansSim struct {
	t     *testing.T
	rng   *rand.Rand
	table *lookup.Table
	late  int           // how many readers join
	begin chan struct{} // closed when they have joined
	most  int64
	outs  []*collected
	texts []string
}

func (s *plansSim) compile(text string) *plan.Plan {
	p, err := query.Catalog{Sources: []*record.Schema{timedSchema}, Tables: []*lookup.Table{s.table}}.Compile(text)
	if err != nil {
		s.t.Fatal(err)
	}
	if p.Window != nil {
		p.Window.OutOfOrder = 500 * time.Millisecond
	}
	return p
}

func (s *plansSim) reader() record.Reader {
	return slowly{newTimed(100, 100*time.Millisecond, s.most)}
}

// An afterJoining brings nothing before it is told to begin.
type afterJoining struct {
	record.Reader
	begin chan struct{}
}

func (g afterJoining) Read(ctx context.Context, b *record.Batch) error {
	select {
	case <-g.begin:
		return g.Reader.Read(ctx, b)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// text is a random question. Windows would find records of readers that join too late.
func (s *plansSim) text() string {
	for {
		all := slices.Concat(plansQueries, joinedQueries)
		text := all[s.rng.IntN(len(all))]
		if s.late == 0 || s.compile(text).Window == nil {
			return text
		}
	}
}

// config is an engine of a random shape. Its first plan is one that will be removed.
func (s *plansSim) config() engine.Config {
	cfg := engine.Config{
		Partitions: 1 + s.rng.IntN(4), Cores: 1 + s.rng.IntN(3), BatchRows: 50 << s.rng.IntN(5), NoPin: true,
		EpochInterval: time.Duration(1+s.rng.IntN(20)) * 100 * time.Microsecond, EpochShare: 1,
		RingSlots: 2 << s.rng.IntN(3),
		Plans:     []engine.PlanConfig{{Plan: s.compile(`SELECT count(*) AS n FROM timed`)}},
	}
	cfg.Readers = append(cfg.Readers, afterJoining{s.reader(), s.begin})
	other := s.reader()
	if s.rng.IntN(2) == 0 {
		other = newTimed(100, 100*time.Millisecond, s.most) // it is polled
	}
	cfg.Readers = append(cfg.Readers, other)
	for range 3 + s.rng.IntN(4) {
		text, out := s.text(), &collected{}
		s.texts, s.outs = append(s.texts, text), append(s.outs, out)
		cfg.Plans = append(cfg.Plans, engine.PlanConfig{
			Plan: s.compile(text), Writer: out, Exchange: plan.Exchange(s.rng.IntN(int(plan.ExchangeRoute) + 1)),
		})
	}
	return cfg
}

// want is what a plan writes in an engine of its own that has all readers from the beginning.
func (s *plansSim) want(text string) []string {
	cfg := engine.Config{Plan: s.compile(text), Writer: &collected{}, Partitions: 1, Cores: 1, NoPin: true}
	for range 2 + s.late {
		cfg.Readers = append(cfg.Readers, newTimed(100, 100*time.Millisecond, s.most))
	}
	e := start(s.t, cfg)
	if err := e.Wait(); err != nil {
		s.t.Fatal(err)
	}
	return cfg.Writer.(*collected).sorted()
}

// disturb adds and removes plans, the first one among them, and adds the readers that join late,
// while the table is loaded again. It ends when the engine does.
func (s *plansSim) disturb(e *engine.Engine, first *plan.Plan) {
	goes := func(err error) bool {
		if err != nil && !errors.Is(err, engine.ErrEnded) {
			s.t.Error(err)
		}
		return err == nil
	}
	var all sync.WaitGroup
	all.Go(func() {
		for e.Sync(s.t.Context()) == nil {
			if err := s.table.Reload(s.t.Context()); err != nil {
				s.t.Error(err)
			}
		}
	})
	for range s.late {
		if _, err := e.AddReader(s.t.Context(), s.reader()); err != nil {
			s.t.Error(err)
		}
	}
	close(s.begin)
	seen := 0
	for round := 0; ; round++ {
		if round == 2 && !goes(e.RemovePlan(s.t.Context(), first)) {
			break
		}
		text := s.text()
		p := engine.PlanConfig{Plan: s.compile(text)}
		if p.Plan.PassesThrough() || s.rng.IntN(2) == 0 {
			p.Writer = &collected{}
		}
		if _, err := e.AddPlan(s.t.Context(), p); !goes(err) {
			break
		}
		if snap := e.Snapshot(); snap.Has(p.Plan) {
			seen++
			snap.Close()
		} else if snap.Close(); !goes(e.Sync(s.t.Context())) {
			break
		}
		if !goes(e.RemovePlan(s.t.Context(), p.Plan)) {
			break
		}
	}
	all.Wait()
	s.t.Logf("%d plans came and went", seen)
}

// Goal: what plans of every kind write, joins with a table among them, is what each writes alone,
// in every shape and exchange, whatever comes and goes beside them. Method: random engines; other
// plans are added and removed, the first plan is removed, readers join, and the table is loaded
// again and again.
func TestPlansSimulation(t *testing.T) {
	for seed := range testgen.Seeds(8) {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			s := &plansSim{
				t: t, rng: rand.New(rand.NewPCG(seed, 22)), table: pages(t, 40, nil), most: 8_000, begin: make(chan struct{}),
			}
			if seed%2 == 1 {
				s.late = 1 + s.rng.IntN(2)
			}
			cfg := s.config()
			e := start(t, cfg)
			s.disturb(e, cfg.Plans[0].Plan)
			if err := e.Wait(); err != nil {
				t.Fatal(err)
			}
			for i, text := range s.texts {
				got, want := s.outs[i].sorted(), s.want(text)
				if !slices.Equal(got, want) {
					t.Errorf("%s, %v: %s", text, cfg.Plans[i+1].Exchange, difference(got, want))
				}
			}
		})
	}
}
