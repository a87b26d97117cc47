// Httpstats is an HTTP server that keeps statistics of its own requests. For each route it shows
// how many there were, how many failed, and how long they took.
//
// What to learn from it: a struct is a record. An Appender lets any goroutine send, here the
// goroutine of every request. A snapshot is read in a handler while requests go on. And how to stop
// without losing a record: first the senders, then the feed, then the engine.
//
//	go run ./examples/httpstats
//	curl localhost:8080/hello/ann localhost:8080/fail
//	curl localhost:8080/stats localhost:8080/stats.json
//
// A snapshot is up to 100 ms old (engine.DefaultEpochInterval), so the first curl may be missing
// for that long.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/velo-engine/velo"
)

// request is the record of one request.
type request struct {
	// Route is the pattern that matched, not the path: patterns are few, paths may be without
	// limit.
	Route string
	// Class is the class of the status: 2 for 200 to 299.
	Class int64
	// Latency is in nanoseconds.
	Latency int64
	// Bytes is the size of the body that was sent.
	Bytes int64
}

// stats has the engine, and what is needed to send to it.
type stats struct {
	eng  *velo.Engine
	feed *velo.Feed[request]
	app  *velo.Appender[request]
	// lost counts the records that found no room: a request never waits for velo. Statistic.
	lost atomic.Int64

	route                            velo.Column[string]
	class, count, total, most, bytes velo.Column[int64]
}

func newStats() (*stats, error) {
	feed, err := velo.NewFeed[request]("requests", velo.FeedConfig{Shed: true})
	if err != nil {
		return nil, err
	}
	s := &stats{feed: feed}
	plan, err := velo.Compile(`
		SELECT route, class, count(*) AS count, sum(latency) AS total, max(latency) AS most, sum(bytes) AS sent
		FROM requests GROUP BY route, class`, feed.Schema())
	if err != nil {
		return nil, err
	}
	var faults [6]error
	s.route, faults[0] = velo.ColumnOf[string](plan, "route")
	s.class, faults[1] = velo.ColumnOf[int64](plan, "class")
	s.count, faults[2] = velo.ColumnOf[int64](plan, "count")
	s.total, faults[3] = velo.ColumnOf[int64](plan, "total")
	s.most, faults[4] = velo.ColumnOf[int64](plan, "most")
	s.bytes, faults[5] = velo.ColumnOf[int64](plan, "sent")
	if err := errors.Join(faults[:]...); err != nil {
		return nil, err
	}
	s.app, err = feed.Appender()
	if err != nil {
		return nil, err
	}
	// If the engine's context ends, what has been sent and not been read yet is dropped. So this is
	// not the context that a signal ends; stop ends the engine in order.
	s.eng, err = velo.Start(context.Background(), velo.Config{Plan: plan, Readers: []velo.Reader{feed}, Cores: 1})
	return s, err
}

// stop ends the feed and waits until everything that was sent has been read. No request may be
// under way.
func (s *stats) stop() error {
	s.app.Close()
	s.feed.End()
	return s.eng.Wait()
}

// newMux has some pages of a service, and its statistics.
func newMux(s *stats) *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /hello/{name}", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "hello %s\n", r.PathValue("name"))
	})
	mux.HandleFunc("GET /fail", func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "this page fails", http.StatusInternalServerError)
	})
	mux.HandleFunc("GET /stats", s.serveText)
	mux.HandleFunc("GET /stats.json", s.serveJSON)
	return mux
}

// serve answers on l until ctx is done, then stops everything in order.
func serve(ctx context.Context, l net.Listener) error {
	s, err := newStats()
	if err != nil {
		return errors.Join(err, l.Close())
	}
	server := &http.Server{Handler: s.measure(newMux(s)), ReadHeaderTimeout: 5 * time.Second}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	select {
	case <-ctx.Done():
		late, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		err = server.Shutdown(late)
		if err != nil {
			// Some handler does not end and may still send, so it is not possible to stop in order.
			return errors.Join(err, server.Close(), s.eng.Close())
		}
	case err = <-ended:
	}
	return errors.Join(err, s.stop())
}

func main() {
	addr := flag.String("addr", "localhost:8080", "where to listen")
	flag.Parse()
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	l, err := net.Listen("tcp", *addr)
	if err != nil {
		log.Fatal(err)
	}
	log.Printf("http://%v/stats", l.Addr())
	if err := serve(ctx, l); err != nil {
		log.Fatal(err)
	}
}
