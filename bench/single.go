package bench

import (
	"fmt"
	"iter"
	"time"

	"github.com/velo-engine/velo/core"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/readers"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/result"
	"github.com/velo-engine/velo/ring"
)

// runSingle runs a plan over one reader in the calling goroutine: no thread is locked, and nothing
// waits.
func runSingle(p *plan.Plan, r record.Poller) (*result.Image, uint64, time.Duration, error) {
	in, out := ring.New[core.Chunk](2)
	cuts := core.NewCuts(p, plan.Route{}, 1, 1, 0, nil, func() {})
	source := &pollSource{r: r, b: record.NewBatch(p.Source, record.DefaultRows)}
	bells := []core.Bell{silent{}}
	router, err := core.NewRouter(0, p, source, plan.Route{}, core.Fold{Exchange: plan.ExchangeRoute},
		[]*ring.Producer[core.Chunk]{in}, bells, nil, nil, cuts)
	if err != nil {
		return nil, 0, 0, err
	}
	partition, err := core.NewPartition(0, p, []*ring.Consumer[core.Chunk]{out}, bells, nil, cuts)
	if err != nil {
		return nil, 0, 0, err
	}
	began := time.Now()
	for !partition.Done() {
		router.Step(0)
		partition.Step(0)
	}
	cut, _ := cuts.Pin()
	return cut.Partition(0), router.Counters().In, time.Since(began), source.err
}

// rowsOf has the aggregates of each group by its key.
func rowsOf(p *plan.Plan, rows iter.Seq[result.Row]) (map[int64][]any, error) {
	key, err := result.ColumnOf[int64](p, p.Keys[0])
	if err != nil {
		return nil, err
	}
	var columns []result.Column[int64]
	for _, a := range p.Aggregates {
		c, err := result.ColumnOf[int64](p, a.Name)
		if err != nil {
			return nil, err
		}
		columns = append(columns, c)
	}
	groups := map[int64][]any{}
	for row := range rows {
		k := key.Of(row)
		if _, ok := groups[k]; ok {
			return nil, fmt.Errorf("bench: group %d comes twice", k)
		}
		for _, c := range columns {
			groups[k] = append(groups[k], c.Of(row))
		}
	}
	return groups, nil
}

// newMemory makes a reader that goes through the batches passes times.
func newMemory(batches []*record.Batch, passes int) (record.Poller, error) {
	return readers.NewMemory(batches[0].Schema(), batches, passes)
}
