// Durable counts the orders of each customer, and its counts survive whatever ends it.
//
// What to learn from it: the service has a log of its own, here a file with a line for each order.
// The number of an order is the place of its line. After a restart the engine says from which
// number on it needs the orders again (Feed.Resume), and the service reads its log from there. So
// an order that is in the log is counted once, and none is acknowledged before it is in the log.
//
//	seq 1000 | sed 's/.*/customer/' | go run ./examples/durable -dir /tmp/orders
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/velo-engine/velo"
)

type order struct {
	Customer string
}

// A count is a row of the result.
type count struct {
	Customer string
	N        int64
}

// A shop has the log, the engine, and the lane from the one to the other.
type shop struct {
	eng  *velo.Engine
	feed *velo.Feed[order]
	lane *velo.NumberedLane[order]
	log  *os.File
	// next is the number of the next order.
	next uint64
}

// openShop opens the log and the state in a folder. Orders that are in the log and not in the state
// are counted before it returns.
func openShop(ctx context.Context, dir string, every time.Duration) (s *shop, err error) {
	s = &shop{}
	s.feed, err = velo.NewFeed[order]("orders", velo.FeedConfig{Name: "orders"})
	if err != nil {
		return nil, err
	}
	plan, err := velo.Compile(`SELECT customer, count(*) AS n FROM orders GROUP BY customer ORDER BY customer`,
		s.feed.Schema())
	if err != nil {
		return nil, err
	}
	state := velo.Dir(filepath.Join(dir, "state"))
	state.Interval = every
	state.OnEvent = func(ev velo.StateEvent) {
		if ev.Kind == velo.SaveFailed {
			log.Printf("the state is not saved, which is tried again: %v", ev.Err)
		}
	}
	// This must not be the context that a signal ends: stop ends the engine in order.
	s.eng, err = velo.Start(context.Background(), velo.Config{
		Plan: plan, Readers: []velo.Reader{s.feed}, Cores: 1, State: state,
	})
	if err != nil {
		return nil, err
	}
	lane, from, err := s.feed.Resume("log")
	if err == nil {
		s.lane = lane
		err = s.replay(ctx, filepath.Join(dir, "orders.log"), from)
	}
	if err != nil {
		return nil, errors.Join(err, s.eng.Close())
	}
	return s, nil
}

// replay sends the orders of the log from a number on.
func (s *shop) replay(ctx context.Context, path string, from uint64) (err error) {
	s.log, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	whole := int64(0)
	for lines := bufio.NewReader(s.log); ; s.next++ {
		line, err := lines.ReadString('\n')
		if errors.Is(err, io.EOF) {
			break // half a line was never acknowledged
		}
		if err != nil {
			return err
		}
		whole += int64(len(line))
		if s.next >= from {
			if err := s.lane.SendAt(ctx, s.next, order{strings.TrimSuffix(line, "\n")}); err != nil {
				return err
			}
		}
	}
	if s.next < from {
		return fmt.Errorf("%s has %d orders, and %d were counted: it is another log", path, s.next, from)
	}
	if err := s.log.Truncate(whole); err != nil {
		return err
	}
	_, err = s.log.Seek(whole, io.SeekStart)
	return err
}

// take puts an order into the log, and then counts it. The caller may acknowledge it when take
// has returned. A service that must survive a power cut syncs the log first.
func (s *shop) take(ctx context.Context, customer string) error {
	if _, err := s.log.WriteString(customer + "\n"); err != nil {
		return err
	}
	err := s.lane.SendAt(ctx, s.next, order{customer})
	s.next++
	return err
}

// counts are the orders of each customer, with all that were taken.
func (s *shop) counts(ctx context.Context) (all []count, err error) {
	if err := s.eng.Sync(ctx); err != nil && !errors.Is(err, velo.ErrEnded) {
		return nil, err
	}
	rows, err := velo.ScannerOf[count](s.eng.Plan())
	if err != nil {
		return nil, err
	}
	snap := s.eng.Snapshot()
	defer snap.Close()
	for row := range snap.All() {
		var c count
		if err := rows.Scan(row, &c); err != nil {
			return nil, err
		}
		c.Customer = strings.Clone(c.Customer) // the snapshot is closed when it is read
		all = append(all, c)
	}
	return all, nil
}

// stop saves the state, and ends everything.
func (s *shop) stop(ctx context.Context) error {
	s.lane.Close()
	return errors.Join(s.eng.Shutdown(ctx), s.log.Close())
}

// run takes an order for each line, acknowledges it, and shows the counts at the end.
func run(ctx context.Context, dir string, every time.Duration, in io.Reader, out io.Writer) error {
	s, err := openShop(ctx, dir, every)
	if err != nil {
		return err
	}
	if n := s.next; n > 0 {
		fmt.Fprintf(out, "%d orders from before\n", n)
	}
	lines := bufio.NewScanner(in)
	for ctx.Err() == nil && lines.Scan() {
		if err := s.take(ctx, lines.Text()); err != nil {
			return errors.Join(err, s.eng.Close())
		}
		fmt.Fprintf(out, "taken %d\n", s.next)
	}
	all, err := s.counts(context.Background())
	for _, c := range all {
		fmt.Fprintf(out, "%s %d\n", c.Customer, c.N)
	}
	return errors.Join(err, lines.Err(), s.stop(context.Background()))
}

func main() {
	dir := flag.String("dir", "orders", "folder of the log and the state")
	every := flag.Duration("checkpoint", 10*time.Second, "how often the state is saved")
	flag.Parse()
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	if err := os.MkdirAll(*dir, 0o755); err != nil {
		log.Fatal(err)
	}
	if err := run(ctx, *dir, *every, os.Stdin, os.Stdout); err != nil {
		log.Fatal(err)
	}
}
