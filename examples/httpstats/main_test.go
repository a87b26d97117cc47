package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// get asks for a page and says what came.
func get(t *testing.T, client *http.Client, url string) (status int, body string) {
	t.Helper()
	resp, err := client.Get(url)
	if err != nil {
		t.Error(err)
		return 0, ""
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Error(err)
	}
	return resp.StatusCode, string(text)
}

// Goal: after Sync the table has exactly the requests that were answered, a panic among them. Method: clients side by side that count what they ask
// for and what they get.
func TestTable(t *testing.T) {
	s, err := newStats()
	if err != nil {
		t.Fatal(err)
	}
	mux := newMux(s)
	mux.HandleFunc("GET /panic", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	mux.HandleFunc("GET /empty", func(http.ResponseWriter, *http.Request) {})
	server := httptest.NewServer(s.measure(mux))

	const clients, rounds = 8, 100
	var all sync.WaitGroup
	var mu sync.Mutex
	want := map[string]routeStats{}
	for c := range clients {
		all.Go(func() {
			for i := range rounds {
				page, route := fmt.Sprintf("/hello/client%d", c), "GET /hello/{name}"
				switch i % 10 {
				case 3:
					page, route = "/fail", "GET /fail"
				case 5:
					page, route = "/empty", "GET /empty"
				case 7:
					page, route = "/nowhere", ""
				}
				status, body := get(t, server.Client(), server.URL+page)
				mu.Lock()
				w := want[route]
				w.Count++
				w.Bytes += int64(len(body))
				if status >= 500 {
					w.Errors++
				}
				want[route] = w
				mu.Unlock()
			}
		})
	}
	all.Wait()
	once := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // on a connection that was used before it would ask again
	if resp, err := once.Get(server.URL + "/panic"); err == nil {
		resp.Body.Close()
		t.Error("a page that panics has answered")
	}
	want["GET /panic"] = routeStats{Count: 1, Errors: 1}
	server.Close() // a client has its answer before the middleware has sent the record: now all handlers have returned

	if err := s.eng.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	table := s.table()
	if len(table) != len(want) {
		t.Errorf("%d routes, expected %d", len(table), len(want))
	}
	for _, r := range table {
		w := want[r.Route]
		if r.Count != w.Count || r.Errors != w.Errors || r.Bytes != w.Bytes {
			t.Errorf("%q: %+v, expected %+v", r.Route, r, w)
		}
		if r.Mean <= 0 || r.Max < r.Mean {
			t.Errorf("%q: mean %v, max %v", r.Route, r.Mean, r.Max)
		}
	}

	text := httptest.NewRecorder()
	s.serveText(text, nil)
	if line := fmt.Sprintf("GET /fail          %d     %[1]d", clients*rounds/10); !strings.Contains(text.Body.String(), line) {
		t.Errorf("%s\nexpected a line %q", text.Body, line)
	}
	asJSON := httptest.NewRecorder()
	s.serveJSON(asJSON, nil)
	var got struct {
		Routes []routeStats
		Lost   int64
	}
	if err := json.Unmarshal(asJSON.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Routes) != len(want) || got.Lost != 0 {
		t.Errorf("as JSON: %+v", got)
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	if in := s.eng.Stats().Counters().Counted; in != clients*rounds+1 {
		t.Errorf("%d records, expected %d", in, clients*rounds+1)
	}
}

// Goal: the server answers with its own statistics, and ends in order when it is told to.
func TestServe(t *testing.T) {
	l, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error)
	go func() { ended <- serve(ctx, l) }()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for _, page := range []string{"/hello/ann", "/stats", "/stats.json"} {
		if status, body := get(t, client, "http://"+l.Addr().String()+page); status != http.StatusOK || body == "" {
			t.Errorf("%s: %d %q", page, status, body)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
