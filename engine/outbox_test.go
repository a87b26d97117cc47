package engine_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/velo-engine/velo/core/groupkey"
	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/internal/testgen"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/record"
)

// A ledger is what transactions have left: it outlives the writers.
type ledger struct {
	mu       sync.Mutex
	lines    []string
	number   uint64
	complete bool
	commits  int
	job      string
}

// A ledgerWriter writes into a ledger. Each call may fail in one of the ways of faults, by chance.
type ledgerWriter struct {
	*ledger
	rng    *rand.Rand
	faults []string
	closed bool
}

var (
	errLedger    = errors.New("the ledger is on fire")
	ledgerFaults = []string{
		"transient before", "lost answer", "fails before", "fails after", "panics before", "panics after",
	}
)

func (w *ledgerWriter) fault(when string) (err error) {
	if len(w.faults) == 0 || w.rng.IntN(3) > 0 {
		return nil
	}
	switch f := w.faults[w.rng.IntN(len(w.faults))]; {
	case f == "transient before" && when == "before", f == "lost answer" && when == "after":
		return record.Transient(errLedger)
	case f == "fails "+when:
		return errLedger
	case f == "panics "+when:
		panic(errLedger)
	}
	return nil
}

func (w *ledgerWriter) RecoverOutput(_ context.Context, job string) (uint64, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.job != "" && w.job != job {
		return 0, errors.New("another job")
	}
	w.job = job
	return w.number, nil
}

func (w *ledgerWriter) Commit(_ context.Context, number uint64, rows iter.Seq[*record.Batch], complete bool) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return errors.New("committed after Close")
	}
	if err := w.fault("before"); err != nil {
		return err
	}
	if number <= w.number {
		if number < w.number {
			return fmt.Errorf("transaction %d after %d", number, w.number)
		}
		return nil
	}
	var lines []string
	for b := range rows {
		lines = append(lines, linesOf(b)...)
	}
	if w.complete && len(lines) > 0 {
		return errors.New("rows after the last")
	}
	w.lines, w.number, w.complete = append(w.lines, lines...), number, complete
	w.commits++
	return w.fault("after")
}

func (w *ledgerWriter) Write(context.Context, *record.Batch) error {
	return errors.New("a writer with transactions was given rows outside of one")
}

func (w *ledgerWriter) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	return nil
}

// outboxPlans are plans whose rows nothing tells apart.
var outboxPlans = map[string]string{
	"passes through": `SELECT k, host, v, note FROM log WHERE v > 0`,
	"passes all":     `SELECT at, w FROM log`,
	"changes":        `SELECT k, host, count(*) AS n FROM log GROUP BY k, host EMIT CHANGES`,
	"changes having": `SELECT k, count(*) AS n FROM log GROUP BY k HAVING sum(v) > 0 EMIT CHANGES`,
	"idle sessions":  `SELECT window_end, k, count(*) AS n FROM log GROUP BY k, session(at, INTERVAL '100 ms')`,
	"by clock":       `SELECT window_end, k, count(*) AS n FROM log GROUP BY k, tumble(INTERVAL '3 ms')`,
}

func outboxPlan(t *testing.T, name string) *plan.Plan {
	t.Helper()
	p := keptPlan(t, outboxText(name))
	alterOutboxPlan(name, p)
	return p
}

// outboxText is one of the plans in SQL, as far as that can say it.
func outboxText(name string) string {
	if name == "by clock" {
		return strings.Replace(outboxPlans[name], "tumble(", "tumble(at, ", 1)
	}
	return outboxPlans[name]
}

// alterOutboxPlan does the rest.
func alterOutboxPlan(name string, p *plan.Plan) {
	switch name {
	case "idle sessions":
		p.Window.OutOfOrder, p.Window.Idle = 20*time.Millisecond, time.Millisecond
	case "by clock":
		p.Window.Column, p.Window.OutOfOrder, p.Window.ProcessingTime = "", 0, true
	}
}

// checkLedger says what is wrong with what was written in all lives together.
func checkLedger(name string, got, want []string, late uint64, records int, final []string) error {
	switch {
	case strings.HasPrefix(name, "passes"):
		got = slices.Clone(got)
		slices.Sort(got)
		if !slices.Equal(got, want) {
			return fmt.Errorf("%d rows, expected %d:\n%s", len(got), len(want), difference(got, want))
		}
	case strings.HasPrefix(name, "changes"):
		// A group that is written twice in the same state was written once too often.
		now := map[string]string{}
		for _, line := range got {
			fields := strings.Fields(line)
			key := strings.Join(fields[1:len(fields)-1], " ")
			n, _ := strconv.Atoi(fields[len(fields)-1])
			old, ok := now[key]
			m, _ := strconv.Atoi(old)
			switch {
			case fields[0] == "delete" && !ok:
				return fmt.Errorf("%s, and the group was not there", line)
			case fields[0] == "delete":
				delete(now, key)
				continue
			case ok && m >= n:
				return fmt.Errorf("%s after %d", line, m)
			}
			now[key] = fields[len(fields)-1]
		}
		var last []string
		for key, n := range now {
			last = append(last, key+" "+n)
		}
		slices.Sort(last)
		if !slices.Equal(last, final) {
			return fmt.Errorf("the last states differ:\n%s", difference(last, final))
		}
	default:
		sum := 0
		for _, line := range got {
			fields := strings.Fields(line)
			n, err := strconv.Atoi(fields[len(fields)-1])
			if err != nil {
				return err
			}
			sum += n
		}
		if sum+int(late) != records {
			return fmt.Errorf("%d records are in windows and %d were late, expected %d together", sum, late, records)
		}
	}
	return nil
}

// Goal: what is no window by event time is written exactly once, too, by a writer with
// transactions, whatever the moment at which a life ends, and whatever the writer does: it fails
// before or after it has taken a transaction, its answer is lost, it panics. Method: lives that end
// by Close, or because the writer has failed, each with other readers, partitions and seeds.
func TestOutbox(t *testing.T) {
	const splits, rows = 3, 1200
	for name := range outboxPlans {
		for _, hostile := range []bool{false, true} {
			for seed := range testgen.Seeds(3) {
				t.Run(fmt.Sprintf("%s/hostile=%v/seed=%d", name, hostile, seed), func(t *testing.T) {
					outboxLives(t, name, hostile, rand.New(rand.NewPCG(seed, 8)), splits, rows)
				})
			}
		}
	}
}

func outboxLives(t *testing.T, name string, hostile bool, rng *rand.Rand, splits, rows int) {
	var want []string
	if strings.HasPrefix(name, "passes") {
		out := &windowLog{}
		l := &splitLog{splits: splits, rows: rows}
		l.until.Store(int64(rows))
		e := start(t, engine.Config{
			Plan: outboxPlan(t, name), Readers: []record.Reader{l.reader(0, 1)}, Partitions: 1, Cores: 1, NoPin: true,
			Writer: out.writer(),
		})
		if err := e.Wait(); err != nil {
			t.Fatal(err)
		}
		want = out.lines
		slices.Sort(want)
	}
	dir, to := t.TempDir(), &ledger{}
	for life := 0; ; life++ {
		defer groupkey.Reseed()()
		last := life == 12
		l := &splitLog{splits: splits, rows: rows}
		l.until.Store(int64(rows * min(life+1, 8) / 8))
		w := &ledgerWriter{ledger: to, rng: rand.New(rand.NewPCG(rng.Uint64(), 1))}
		if hostile && !last {
			w.faults = ledgerFaults
		}
		n := 1 + rng.IntN(3)
		cfg := engine.Config{
			Plan: outboxPlan(t, name), Partitions: 1 + rng.IntN(3), Cores: 2, NoPin: true, State: engine.Dir(dir),
			EpochInterval: time.Millisecond, Writer: w, RetryMin: time.Microsecond, BatchRows: 50,
		}
		cfg.State.NoSync, cfg.State.Interval, cfg.State.Share = true, time.Duration(1+rng.IntN(10))*time.Millisecond, 1
		for i := range n {
			cfg.Readers = append(cfg.Readers, l.reader(i, n))
		}
		e, err := engine.Start(t.Context(), cfg)
		if hostile && !last && err != nil && strings.Contains(err.Error(), errLedger.Error()) {
			continue // it could not take what it lacked
		}
		if err != nil {
			t.Fatal(err)
		}
		if !last && (life < 8 || rng.IntN(2) == 0) {
			time.Sleep(time.Duration(rng.IntN(20)) * time.Millisecond)
			if rng.IntN(3) == 0 {
				_ = e.Checkpoint(t.Context()) // it may fail with the writer
			}
			_ = e.Close()
			continue
		}
		err = e.Wait()
		if hostile && !last && err != nil {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		s := e.Snapshot()
		final := lines(t, s)
		s.Close()
		to.mu.Lock()
		err = checkLedger(name, to.lines, want, e.Stats().Counters().Late, splits*rows, final)
		if err == nil && !to.complete {
			err = errors.New("the writer was not told that the input has come to its end")
		}
		to.mu.Unlock()
		if err != nil {
			t.Fatalf("life %d, %d transactions: %v", life, to.commits, err)
		}
		if last {
			return
		}
	}
}
