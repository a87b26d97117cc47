package engine_test

import (
	"context"
	"fmt"
	"io"
	"log"

	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/result"
)

// trades is a reader of a service's own: it may block, and it fills the batch it is given.
type trades struct{ left int }

func (t *trades) Read(ctx context.Context, b *record.Batch) error {
	symbols := []string{"AAPL", "MSFT", "NVDA"}
	for ; t.left > 0; t.left-- {
		symbol := symbols[t.left%len(symbols)]
		if !b.Add(len(symbol)) {
			return nil // the batch is full: go on at the next call
		}
		b.SetString(0, symbol)
		b.SetInt64(1, int64(t.left))
	}
	return io.EOF
}

func (t *trades) Close() error { return nil }

// Two sources are read side by side, and their trades meet in one group for each symbol.
func Example() {
	schema, err := record.NewSchema("trades",
		record.Field{Name: "symbol", Type: record.String},
		record.Field{Name: "size", Type: record.Int64})
	if err != nil {
		log.Fatal(err)
	}
	p := &plan.Plan{
		Source: schema,
		Keys:   []string{"symbol"},
		Aggregates: []plan.Aggregate{
			{Name: "n", Func: plan.Count},
			{Name: "volume", Func: plan.Sum, Column: "size"},
		},
	}
	n, err := result.ColumnOf[int64](p, "n")
	if err != nil {
		log.Fatal(err)
	}
	volume, err := result.ColumnOf[int64](p, "volume")
	if err != nil {
		log.Fatal(err)
	}

	eng, err := engine.Start(context.Background(), engine.Config{
		Plan:    p,
		Readers: []record.Reader{&trades{left: 3000}, &trades{left: 6000}},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer eng.Close()
	if err := eng.Wait(); err != nil {
		log.Fatal(err)
	}

	snap := eng.Snapshot()
	defer snap.Close()
	nvda, err := p.Key("NVDA")
	if err != nil {
		log.Fatal(err)
	}
	if row, ok := snap.Get(nvda); ok {
		fmt.Println(n.Of(row), "trades of NVDA,", volume.Of(row), "shares")
	}
	fmt.Println(snap.Len(), "symbols")
	// Output:
	// 3000 trades of NVDA, 7501500 shares
	// 3 symbols
}
