package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/velo-engine/velo/plan"
)

// An orderPath decides on the orders of one symbol. Any goroutine may use it.
type orderPath struct {
	market *market
	key    plan.Key
	share  int64 // percent of the volume that an order may have
}

func (m *market) orderPath(symbol string, share int64) (*orderPath, error) {
	key, err := m.eng.Plan().Key(symbol)
	return &orderPath{m, key, share}, err
}

// allow says whether an order may go out, and the volume that it was compared with. It allocates
// nothing.
func (p *orderPath) allow(size int64) (ok bool, volume int64) {
	snap := p.market.eng.Snapshot()
	defer snap.Close()
	if row, traded := snap.Get(p.key); traded {
		volume = p.market.volume.Of(row)
	}
	return size <= volume/100*p.share, volume
}

// order places an order at each tick until ctx is done. After an order that went out, the next is
// ten times as large.
func (m *market) order(ctx context.Context, symbol string, tick time.Duration, out io.Writer) error {
	path, err := m.orderPath(symbol, 5)
	if err != nil {
		return err
	}
	t := time.NewTicker(tick)
	defer t.Stop()
	for size := int64(1000); ; {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
		begin := time.Now()
		ok, volume := path.allow(size)
		took := time.Since(begin)
		fmt.Fprintf(out, "%s: order of %d, %d traded: accepted %t, in %v\n", symbol, size, volume, ok, took)
		if ok {
			size *= 10
		}
	}
}
