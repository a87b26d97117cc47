// Volume keeps the traded volume of each symbol, and rejects an order that is a large share of it.
//
// What to learn from it: the order path reads the newest snapshot without waiting for anybody and
// without allocating. The key of the symbol is encoded once, when the path is made. What it reads
// is some milliseconds old (Config.EpochInterval); if that is too old, call Sync first.
//
//	go run ./examples/volume -for 5s
package main

import (
	"context"
	"errors"
	"flag"
	"io"
	"log"
	"math/rand/v2"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/velo-engine/velo"
)

type trade struct {
	Symbol string
	Size   int64
}

// A market has the engine, and what is needed to send to it.
type market struct {
	eng    *velo.Engine
	feed   *velo.Feed[trade]
	volume velo.Column[int64]
}

func newMarket() (*market, error) {
	feed, err := velo.NewFeed[trade]("trades", velo.FeedConfig{})
	if err != nil {
		return nil, err
	}
	plan, err := velo.Compile(`SELECT symbol, sum(size) AS volume FROM trades GROUP BY symbol`, feed.Schema())
	if err != nil {
		return nil, err
	}
	volume, err := velo.ColumnOf[int64](plan, "volume")
	if err != nil {
		return nil, err
	}
	// This must not be the context that a signal ends: that would drop what has been sent and not
	// been read yet.
	eng, err := velo.Start(context.Background(), velo.Config{
		Plan: plan, Readers: []velo.Reader{feed}, Cores: 1, EpochInterval: 5 * time.Millisecond,
	})
	return &market{eng, feed, volume}, err
}

// stop ends the feed and waits until everything that was sent has been read.
func (m *market) stop() error {
	m.feed.End()
	return m.eng.Wait()
}

// send sends random trades until ctx is done.
func (m *market) send(ctx context.Context, symbols []string) error {
	lane, err := m.feed.Lane() // for this goroutine only
	if err != nil {
		return err
	}
	defer lane.Close()
	for ctx.Err() == nil {
		if err := lane.Send(ctx, trade{symbols[rand.IntN(len(symbols))], 1 + rand.Int64N(100)}); err != nil &&
			ctx.Err() == nil {
			return err
		}
	}
	return nil
}

// run trades with some goroutines until ctx is done, then stops everything in order.
func run(ctx context.Context, traders int, tick time.Duration, out io.Writer) error {
	m, err := newMarket()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	symbols := []string{"AAPL", "MSFT", "NVDA"}
	var all sync.WaitGroup
	errs := make([]error, traders+1)
	for i := range errs {
		all.Go(func() {
			if i < traders {
				errs[i] = m.send(ctx, symbols)
			} else {
				errs[i] = m.order(ctx, "NVDA", tick, out)
			}
			cancel(errs[i]) // a goroutine that fails ends the others
		})
	}
	all.Wait()
	return errors.Join(errors.Join(errs...), m.stop())
}

func main() {
	traders := flag.Int("traders", 2, "goroutines that send trades")
	length := flag.Duration("for", 3*time.Second, "how long to trade")
	flag.Parse()
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	ctx, cancel = context.WithTimeout(ctx, *length)
	defer cancel()
	if err := run(ctx, *traders, *length/10, os.Stdout); err != nil {
		log.Fatal(err)
	}
}
