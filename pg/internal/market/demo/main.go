// Command demo serves the views of a market, for trying clients by hand.
package main

import (
	"context"
	"flag"
	"log"
	"net"
	"os"
	"os/signal"
	"time"

	"github.com/velo-engine/velo/pg"
	"github.com/velo-engine/velo/pg/internal/market"
	"github.com/velo-engine/velo/view"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:5433", "address")
	symbols := flag.Int("symbols", 1000, "symbols that are traded")
	every := flag.Duration("every", 0, "trade again and again, with this pause")
	flag.Parse()
	err := run(*listen, *symbols, *every)
	if err != nil {
		log.Fatal(err)
	}
}

func run(listen string, symbols int, every time.Duration) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	m, err := market.Start(context.WithoutCancel(ctx), view.Limits{})
	if err != nil {
		return err
	}
	defer func() { _ = m.Close() }()
	err = m.Send(ctx, market.Some(symbols)...)
	if err != nil {
		return err
	}
	if every > 0 {
		go func() {
			for ctx.Err() == nil {
				_ = m.Send(ctx, market.Some(symbols)...)
				time.Sleep(every)
			}
		}()
	}
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	return pg.Serve(ctx, l, pg.Config{Source: pg.Views(m.Catalog)})
}
