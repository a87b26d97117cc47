package server

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/velo-engine/velo/readers"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/server/job"
	"github.com/velo-engine/velo/server/push"
)

// pushJobs is a Runner of jobs that have nothing but sources that are pushed to.
type pushJobs map[string]*push.Source

func (j pushJobs) Compile(string, string, job.Options) (job.Program, error) { return j, nil }
func (j pushJobs) Memory() int64                                            { return 0 }
func (j pushJobs) Lost(job.Program) job.Loss                                { return job.Loss{} }
func (j pushJobs) Done() <-chan struct{}                                    { return nil }
func (j pushJobs) Err() error                                               { return nil }
func (j pushJobs) Pause(context.Context) error                              { return nil }
func (j pushJobs) Resume(context.Context) error                             { return nil }
func (j pushJobs) Checkpoint(context.Context) error                         { return nil }
func (j pushJobs) Stop(context.Context) error                               { return nil }
func (j pushJobs) Engines() []Engine                                        { return nil }
func (j pushJobs) Push(source string) *push.Source                          { return j[source] }
func (j pushJobs) Rejects() (newest []Reject, all uint64)                   { return nil, 0 }
func (j pushJobs) Start(context.Context, string, bool, func(string)) (job.Running, error) {
	return j, nil
}

func (j pushJobs) Objects() (all []job.Object) {
	for name := range j {
		all = append(all, job.Object{Kind: job.KindSource, Name: name, Connector: "push"})
	}
	return all
}

// schemaOf is the schema of the sources.
func schemaOf(t *testing.T) *record.Schema {
	t.Helper()
	schema, err := record.NewSchema("orders", record.Field{Name: "k", Type: record.String, Nullable: true})
	must(t, err)
	return schema
}

// pushServer is a server of a job with sources, each of which has a reader that takes what Poll is
// called for. The source broken has no reader, and pushing to it panics.
func pushServer(t *testing.T, limits Limits, sources ...string) (*Server, map[string]*push.Reader) {
	t.Helper()
	schema := schemaOf(t)
	all, takers := pushJobs{"broken": new(push.Source)}, map[string]*push.Reader{}
	for _, name := range sources {
		s, err := push.New(name, schema, readers.NDJSONConfig{})
		must(t, err)
		all[name], takers[name] = s, s.Reader()
	}
	jobs, err := job.Open(job.Config{Dir: t.TempDir(), Runner: all})
	must(t, err)
	t.Cleanup(func() { must(t, jobs.Close()) })
	_, err = jobs.Put(t.Context(), "pushes", "any text", job.PutOptions{})
	must(t, err)
	s, _, _ := mounted(t, func(c *Config) { c.Jobs, c.Runner, c.Limits = jobs, all, limits })
	return s, takers
}

// slowBody is a body of which most comes only after a gate is open. It counts the bytes that it has
// given in a sum of several, until the push is answered.
type slowBody struct {
	text    []byte
	early   int // bytes that come before the gate
	given   int
	gate    <-chan struct{}
	reading func() // called when it waits at the gate; nil is not
	sum     *atomic.Int64
	most    *atomic.Int64
}

func (b *slowBody) Read(to []byte) (int, error) {
	if b.given >= b.early && b.given < len(b.text) {
		if b.reading != nil {
			b.reading()
			b.reading = nil
		}
		<-b.gate
	}
	if b.given == len(b.text) {
		return 0, io.EOF
	}
	end := len(b.text)
	if b.given < b.early {
		end = b.early
	}
	n := copy(to, b.text[b.given:end])
	b.given += n
	now := b.sum.Add(int64(n))
	for most := b.most.Load(); now > most && !b.most.CompareAndSwap(most, now); most = b.most.Load() {
	}
	return n, nil
}

// Goal: however many clients push large bodies at once, what is held stays within the bound. Clients
// that find no room are told to come again. All room is given back. Method: 40 bodies that stop
// in their middle until the others are refused; they count what they have given themselves. Bodies
// that say their length and bodies that do not.
func TestPushBodiesAtOnce(t *testing.T) {
	const limit, clients, length = 1 << 20, 40, 150_000
	line := `{"k":"` + strings.Repeat("x", 1000) + "\"}\n"
	text := strings.Repeat(line, length/len(line))
	for _, known := range []bool{true, false} {
		s, takers := pushServer(t, Limits{BodyBytes: 200_000, SourceBytes: limit}, "orders")
		gate := make(chan struct{})
		var sum, most atomic.Int64
		var waiting sync.WaitGroup
		answers := make(chan *httptest.ResponseRecorder, clients)
		waiting.Add(clients) // each is refused, or waits at the gate
		for range clients {
			go func() {
				b := &slowBody{
					text: []byte(text), early: len(text) / 2, gate: gate, reading: waiting.Done, sum: &sum, most: &most,
				}
				r := httptest.NewRequest("POST", "/v1/sources/orders/records", b)
				r.Host = "localhost"
				if known {
					r.ContentLength = int64(len(text))
				}
				w := httptest.NewRecorder()
				s.ServeHTTP(w, r)
				sum.Add(-int64(b.given))
				if b.reading != nil {
					waiting.Done()
				}
				answers <- w
			}()
		}
		waiting.Wait()
		if held, _ := s.bodies.use(); held < limit/2 || held > limit {
			t.Errorf("length known: %v: %d bytes are held, of %d", known, held, limit)
		}
		close(gate)
		taken, refused := 0, 0
		for range clients {
			switch w := <-answers; w.Code {
			case http.StatusOK:
				taken++
			case http.StatusTooManyRequests:
				refused++
				if w.Header().Get("Retry-After") == "" || !strings.Contains(w.Body.String(), `"code":"full"`) ||
					!strings.Contains(w.Body.String(), `source \"orders\"`) {
					t.Errorf("%v, %s", w.Header(), w.Body)
				}
			default:
				t.Errorf("%d, %s", w.Code, w.Body)
			}
		}
		held, full := s.bodies.use()
		if most.Load() > limit || s.bodies.most > limit || held != 0 || int(full) != refused || refused < clients/2 ||
			taken == 0 {
			t.Errorf("length known: %v: %d bodies are taken, %d refused, %d of that counted; at most %d bytes were "+
				"given and %d counted, of %d; %d are held", known, taken, refused, full, most.Load(), s.bodies.most,
				limit, held)
		}
		if use := s.Use(); use.PushBytes != 0 || int(use.PushesFull) != refused {
			t.Errorf("the statistics say %+v", use)
		}
		if w := ask(s, "POST", "/v1/sources/orders/records", text); w.Code != http.StatusOK {
			t.Errorf("a push after all: %d, %s", w.Code, w.Body)
		}
		must(t, takers["orders"].Close())
	}
}

// Goal: a source that is full does not keep pushes from another, and all sources together have a
// bound. Method: bodies that wait in their middle.
func TestPushBodiesOfSources(t *testing.T) {
	s, _ := pushServer(t, Limits{BodyBytes: 2000, SourceBytes: 2100, PushBytes: 5000}, "a", "b", "c")
	gate, read := make(chan struct{}), make(chan struct{})
	var sum, most atomic.Int64
	var all sync.WaitGroup
	wait := func(source string) {
		all.Go(func() {
			b := &slowBody{
				text: []byte(strings.Repeat(" ", 1999) + "\n"), early: 1, gate: gate,
				reading: func() { read <- struct{}{} }, sum: &sum, most: &most,
			}
			r := httptest.NewRequest("POST", "/v1/sources/"+source+"/records", b)
			r.Host, r.ContentLength = "localhost", 2000
			s.ServeHTTP(httptest.NewRecorder(), r)
		})
		<-read
	}
	small := "{}\n" // 4 bytes and 64 for lines
	wait("a")
	if w := ask(s, "POST", "/v1/sources/a/records", strings.Repeat(" ", 200)); w.Code != 429 ||
		!strings.Contains(w.Body.String(), `source \"a\" hold 2001 bytes`) {
		t.Errorf("a is full: %d, %s", w.Code, w.Body)
	}
	if w := ask(s, "POST", "/v1/sources/b/records", small); w.Code != http.StatusOK {
		t.Errorf("b beside a, which is full: %d, %s", w.Code, w.Body)
	}
	wait("b")
	if w := ask(s, "POST", "/v1/sources/c/records", strings.Repeat(" ", 1500)); w.Code != 429 ||
		!strings.Contains(w.Body.String(), `all sources hold 4002 bytes`) {
		t.Errorf("the server is full: %d, %s", w.Code, w.Body)
	}
	if w := ask(s, "POST", "/v1/sources/c/records", small); w.Code != http.StatusOK {
		t.Errorf("a small push to c: %d, %s", w.Code, w.Body)
	}
	// What would never have room is no reason to come again.
	if w := ask(s, "POST", "/v1/sources/c/records", strings.Repeat("\n", 100)); w.Code != 413 ||
		!strings.Contains(w.Body.String(), "fewer lines") {
		t.Errorf("a body of many lines: %d, %s", w.Code, w.Body)
	}
	close(gate)
	all.Wait()
	if held, full := s.bodies.use(); held != 0 || full != 2 || len(s.bodies.sources) != 0 {
		t.Errorf("%d bytes are held, %d pushes were refused, %d sources are known", held, full, len(s.bodies.sources))
	}
}

// Goal: a push gives its room back whatever becomes of it. Method: a push for each end that it may
// have.
func TestPushGivesRoomBack(t *testing.T) {
	s, takers := pushServer(t, Limits{BodyBytes: 9 << 20}, "orders")
	const path = "/v1/sources/orders/records"
	long := strings.Repeat(`{"k":"`+strings.Repeat("x", 1000)+"\"}\n", push.QueueBytes/1000)
	cases := []struct {
		name, path, body string
		headers          []string
		status           int
	}{
		{"taken", path, "{}\n{}\n", nil, 200},
		{"a line that is no record", path + "?atomic", "{}\nx\n", nil, 422},
		{"a header that lacks columns", path, "x,y\n1,2\n", []string{"Content-Type: text/csv"}, 400},
		{"records are missing", path, "{}\n", []string{"Velo-Producer: p", "Velo-Sequence: 1"}, 200},
		{"records are missing", path, "{}\n", []string{"Velo-Producer: p", "Velo-Sequence: 9"}, 409},
		{"a bad name", path, "{}\n", []string{"Velo-Producer: " + strings.Repeat("p", 300), "Velo-Sequence: 1"}, 400},
		{"a panic", "/v1/sources/broken/records", "{}\n", nil, 500},
		{"too large", path, strings.Repeat(" ", 9<<20+1), nil, 413},
		{"fills the queue", path, long, nil, 200},
	}
	none := func(what string) {
		t.Helper()
		if held, _ := s.bodies.use(); held != 0 {
			t.Errorf("%s: %d bytes are still held", what, held)
		}
	}
	for _, c := range cases {
		for takers["orders"].Lag()[0].Records > 0 {
			must(t, takers["orders"].Poll(record.NewBatch(schemaOf(t), 0)))
		}
		if w := ask(s, "POST", c.path, c.body, c.headers...); w.Code != c.status {
			t.Errorf("%s: %d, %s", c.name, w.Code, w.Body)
		}
		none(c.name)
	}
	for err, status := range map[error]int{io.ErrUnexpectedEOF: 400, fmt.Errorf("broken"): 500} {
		r := httptest.NewRequest("POST", path, io.MultiReader(strings.NewReader("{}\n"), failingBody{err}))
		r.Host = "localhost"
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if w.Code != status {
			t.Errorf("a body that ends with %v: %d, %s", err, w.Code, w.Body)
		}
		none(err.Error())
	}

	// A client that goes away, in the middle of its body and while its lines wait for the queue.
	web := httptest.NewServer(s)
	defer web.Close()
	for _, body := range []string{"Content-Length: 5000000\r\n\r\n{}\n", "Content-Length: 3\r\n\r\n{}\n"} {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", web.Listener.Addr().String())
		must(t, err)
		_, err = fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: localhost\r\n%s", path, body)
		must(t, err)
		holds := func(any bool) {
			t.Helper()
			for end := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
				held, _ := s.bodies.use()
				if held > 0 == any {
					return
				}
				if time.Now().After(end) {
					t.Fatalf("%q: %d bytes are held after a minute", body, held)
				}
			}
		}
		holds(true)
		must(t, conn.Close())
		holds(false)
	}
	must(t, takers["orders"].Close())
}

// failingBody has an error and nothing else.
type failingBody struct{ err error }

func (b failingBody) Read([]byte) (int, error) { return 0, b.err }

// Goal: a body is what was sent, whatever its length says, and how it comes. Method: bodies around
// the sizes of buffers, in pieces of all sizes.
func TestPushBodyIsWhole(t *testing.T) {
	s, _ := pushServer(t, Limits{}, "orders")
	source, _, err := s.source(func() *http.Request {
		r := httptest.NewRequest("POST", "/", nil)
		r.SetPathValue("source", "orders")
		return r
	}())
	must(t, err)
	const most = 4 * firstBytes
	for _, size := range []int{0, 1, firstBytes - 1, firstBytes, firstBytes + 1, 3 * firstBytes, most, most + 1} {
		text := strings.Repeat("0123456789abcde", size/15+1)[:size]
		for _, says := range []int64{-1, int64(size), int64(size / 2)} {
			for _, piece := range []int{1000, 1 << 20} {
				r := httptest.NewRequest("POST", "/", io.MultiReader(strings.NewReader(text)))
				r.ContentLength = says
				r.Body = io.NopCloser(pieces{strings.NewReader(text), piece})
				room := held{in: &s.bodies, of: source}
				got, err := room.read(httptest.NewRecorder(), r, most)
				good := err == nil && string(got) == text && room.bytes == int64(cap(got))
				if good != (size <= most) || (err == nil) != good {
					t.Errorf("%d bytes that say %d, in pieces of %d: %d bytes, %v, %d counted", size, says, piece,
						len(got), err, room.bytes)
				}
				room.giveBack(room.bytes)
			}
		}
	}
}

// pieces gives a text in pieces.
type pieces struct {
	of   io.Reader
	most int
}

func (p pieces) Read(to []byte) (int, error) { return p.of.Read(to[:min(len(to), p.most)]) }
