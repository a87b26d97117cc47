package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"text/tabwriter"
	"time"
)

// measure sends a record for each request that next answers.
func (s *stats) measure(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := &recorder{ResponseWriter: w, status: http.StatusInternalServerError}
		begin := time.Now()
		defer func() { // also if the handler panics
			v := request{
				Route: r.Pattern, Class: int64(rec.status / 100), Latency: int64(time.Since(begin)),
				Bytes: rec.bytes,
			}
			// This must not be the request's context, which is done when the client has gone: that
			// record counts too.
			if err := s.app.Send(context.Background(), v); err != nil {
				s.lost.Add(1)
			}
		}()
		next.ServeHTTP(rec, r)
		rec.begin(http.StatusOK) // a handler that writes nothing sends an empty 200
	})
}

// recorder notes what a handler answers.
type recorder struct {
	http.ResponseWriter
	status int // 500 until the answer begins, in case the handler panics
	bytes  int64
	begun  bool
}

func (w *recorder) begin(status int) {
	if !w.begun && status >= http.StatusOK { // lower statuses come before the answer
		w.status, w.begun = status, true
	}
}

func (w *recorder) WriteHeader(status int) {
	w.begin(status)
	w.ResponseWriter.WriteHeader(status)
}

func (w *recorder) Write(p []byte) (int, error) {
	w.begin(http.StatusOK)
	n, err := w.ResponseWriter.Write(p)
	w.bytes += int64(n)
	return n, err
}

// Unwrap is for http.ResponseController.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// routeStats is a line of the table.
type routeStats struct {
	Route  string        `json:"route"`
	Count  int64         `json:"count"`
	Errors int64         `json:"errors"` // status 500 and above
	Mean   time.Duration `json:"meanNanos"`
	Max    time.Duration `json:"maxNanos"`
	Bytes  int64         `json:"bytes"`
	total  int64         // nanoseconds
}

// table has all routes as of the newest epoch. A route has a group for each class. The groups come
// from the same moment, so they may be added up.
func (s *stats) table() []routeStats {
	routes := map[string]*routeStats{}
	snap := s.eng.Snapshot()
	defer snap.Close()
	for row := range snap.All() {
		name := s.route.Of(row)
		r := routes[name]
		if r == nil {
			r = &routeStats{Route: name}
			routes[name] = r
		}
		r.Count += s.count.Of(row)
		if s.class.Of(row) >= 5 {
			r.Errors += s.count.Of(row)
		}
		r.Bytes += s.bytes.Of(row)
		r.Max = max(r.Max, time.Duration(s.most.Of(row)))
		r.total += s.total.Of(row)
	}
	table := []routeStats{} // JSON has [] then, and not null
	for _, r := range routes {
		r.Mean = time.Duration(r.total / r.Count)
		table = append(table, *r)
	}
	slices.SortFunc(table, func(a, b routeStats) int { return cmp.Compare(a.Route, b.Route) })
	return table
}

func (s *stats) serveText(w http.ResponseWriter, _ *http.Request) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "route\tcount\terrors\tmean\tmax\tbytes")
	for _, r := range s.table() {
		fmt.Fprintf(t, "%s\t%d\t%d\t%v\t%v\t%d\n", cmp.Or(r.Route, "(none)"), r.Count, r.Errors, r.Mean, r.Max, r.Bytes)
	}
	fmt.Fprintf(t, "records lost\t%d\n", s.lost.Load())
	_ = t.Flush() // the client has gone
}

func (s *stats) serveJSON(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	// the client has gone
	_ = json.NewEncoder(w).Encode(map[string]any{"routes": s.table(), "lost": s.lost.Load()})
}
