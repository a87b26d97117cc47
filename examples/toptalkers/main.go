// Toptalkers reads lines "source bytes" from any number of connections to a unix socket, and prints
// the sources with the most bytes.
//
// What to learn from it: connections come and go, so they share one Feed, each with a Lane of its
// own. That costs less than a reader for each connection (Engine.AddReader and RemoveReader are for
// readers that stay). Updates yields a snapshot for each epoch, and Config.EpochInterval says how
// often. If the engine is stopped in order, the last snapshot has everything.
//
//	go run ./examples/toptalkers -socket talk.sock
//	printf '10.0.0.1 1500\n10.0.0.2 40\n10.0.0.1 1500\n' | nc -UN talk.sock
package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/velo-engine/velo"
)

// A packet is the record of one line. Its text must stay unchanged until the engine has read it, so
// it is not in the buffer of the connection.
type packet struct {
	Source string
	Bytes  int64
}

// A server has the engine, and what is needed to send to it.
type server struct {
	eng       *velo.Engine
	feed      *velo.Feed[packet]
	source    velo.Column[string]
	bytes     velo.Column[int64]
	malformed atomic.Int64 // Statistic: malformed lines.
	refused   atomic.Int64 // Statistic: connections that found no lane free.
}

// maxConnections is how many lanes there are; each takes about 100 KiB.
const maxConnections = 256

func newServer(every time.Duration) (*server, error) {
	feed, err := velo.NewFeed[packet]("packets", velo.FeedConfig{Lanes: maxConnections})
	if err != nil {
		return nil, err
	}
	plan, err := velo.Compile(`SELECT source, sum(bytes) AS total FROM packets GROUP BY source`, feed.Schema())
	if err != nil {
		return nil, err
	}
	s := &server{feed: feed}
	var errs [2]error
	s.source, errs[0] = velo.ColumnOf[string](plan, "source")
	s.bytes, errs[1] = velo.ColumnOf[int64](plan, "total")
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	// This must not be the context that a signal ends: that would drop what has been sent and not
	// been read yet.
	s.eng, err = velo.Start(context.Background(),
		velo.Config{Plan: plan, Readers: []velo.Reader{feed}, Cores: 1, EpochInterval: every})
	return s, err
}

// parse reads a line.
func parse(line []byte) (p packet, ok bool) {
	source, size, ok := bytes.Cut(bytes.TrimSpace(line), []byte(" "))
	n, err := strconv.ParseUint(string(bytes.TrimLeft(size, " ")), 10, 62)
	return packet{string(source), int64(n)}, ok && err == nil
}

// top prints the n sources with the most bytes.
func (s *server) top(snap *velo.Snapshot, n int, out io.Writer) error {
	type total struct {
		row   velo.Row
		bytes int64
	}
	var all []total
	for row := range snap.All() {
		all = append(all, total{row, s.bytes.Of(row)})
	}
	slices.SortFunc(all, func(a, b total) int {
		if a.bytes != b.bytes {
			return cmp.Compare(b.bytes, a.bytes)
		}
		return strings.Compare(s.source.Of(a.row), s.source.Of(b.row))
	})
	var text strings.Builder
	fmt.Fprintf(&text, "%d sources, %d malformed lines, %d connections refused\n", len(all), s.malformed.Load(),
		s.refused.Load())
	for _, t := range all[:min(n, len(all))] {
		fmt.Fprintf(&text, "%12d  %s\n", t.bytes, s.source.Of(t.row))
	}
	_, err := io.WriteString(out, text.String())
	return err
}

// run accepts connections on l and prints the top n for each epoch, until ctx is done. Then it
// stops everything in order.
func run(ctx context.Context, l net.Listener, every time.Duration, n int, out io.Writer) error {
	s, err := newServer(every)
	if err != nil {
		return errors.Join(err, l.Close())
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var accepting, printing sync.WaitGroup
	var failed [2]error
	accepting.Go(func() {
		defer cancel()
		failed[0] = s.accept(ctx, l)
	})
	printing.Go(func() {
		defer cancel() // also if the engine ends by itself
		for snap := range s.eng.Updates(context.Background()) {
			failed[1] = s.top(snap, n, out)
			if failed[1] != nil {
				return
			}
		}
	})
	accepting.Wait() // first the senders end
	s.feed.End()     // then the feed: what has been sent is read
	err = s.eng.Wait()
	printing.Wait() // Updates ends with the last snapshot
	return errors.Join(failed[0], failed[1], err)
}

func main() {
	socket := flag.String("socket", "talk.sock", "the unix socket to listen on")
	every := flag.Duration("every", time.Second, "how often to print, where there is something new")
	n := flag.Int("n", 10, "how many sources to print")
	flag.Parse()
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	l, err := net.Listen("unix", *socket)
	if err != nil {
		log.Fatal(err)
	}
	if err := run(ctx, l, *every, *n, os.Stdout); err != nil {
		log.Fatal(err)
	}
}
