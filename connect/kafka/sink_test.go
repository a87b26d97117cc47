package kafka

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/velo-engine/velo/connect"
	"github.com/velo-engine/velo/internal/cursors"
	"github.com/velo-engine/velo/record"
)

// sinkSchema is what the tests write.
func sinkSchema(t testing.TB) *record.Schema {
	return schemaOf(t, record.Field{Name: "w", Type: record.Int64}, record.Field{Name: "k", Type: record.String},
		record.Field{Name: "n", Type: record.Int64})
}

// sink makes a sink of the cluster.
func (f *fake) sink(cfg SinkConfig) *Sink {
	f.t.Helper()
	cfg.Client.Brokers, cfg.Name = f.addresses, "out"
	if cfg.Schema == nil {
		cfg.Schema = sinkSchema(f.t)
	}
	s, err := NewSink(context.Background(), cfg)
	if err != nil {
		f.t.Fatal(err)
	}
	return s
}

// windowRows writes the rows of a window to a sink: one for each key.
func windowRows(t testing.TB, s *Sink, window, keys int) {
	t.Helper()
	if err := s.Write(context.Background(), rowsOf(s.cfg.Schema, window, 0, keys)); err != nil {
		t.Fatal(err)
	}
}

// rowsOf are the rows of some keys of a window.
func rowsOf(schema *record.Schema, window, from, to int) *record.Batch {
	b := record.NewBatch(schema, 0)
	for k := from; k < to; k++ {
		b.Add(10)
		b.SetInt64(0, int64(window))
		b.SetString(1, fmt.Sprint("k", k))
		b.SetInt64(2, int64(window*1000+k))
	}
	return b
}

var (
	_ record.Committer     = (*Sink)(nil)
	_ record.Transactional = (*Sink)(nil)
	_ connect.Aborter      = (*Sink)(nil)
	_ record.Durable       = (*Reader)(nil)
	_ record.Notifier      = (*Reader)(nil)
	_ record.Projector     = (*Reader)(nil)
	_ connect.Grower       = (*Source)(nil)
)

// committed are the records of a topic that a reader with read_committed sees now, by another
// consumer than velo's.
func (f *fake) committed(topic string) (all []*kgo.Record) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	ends, err := f.adm.ListEndOffsets(ctx, topic)
	if err != nil {
		f.t.Fatal(err)
	}
	left := map[int32]int64{}
	at := map[int32]kgo.Offset{}
	ends.Each(func(o kadm.ListedOffset) {
		at[o.Partition] = kgo.NewOffset().AtStart()
		if o.Offset > 0 {
			left[o.Partition] = o.Offset
		}
	})
	client, err := kgo.NewClient(kgo.SeedBrokers(f.addresses...), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: at}))
	if err != nil {
		f.t.Fatal(err)
	}
	defer client.Close()
	for len(left) > 0 {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			f.t.Fatalf("%s: %v, left are %v", topic, err, left)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if !r.Attrs.IsControl() {
				all = append(all, r)
			}
			if r.Offset+1 >= left[r.Partition] {
				delete(left, r.Partition)
			}
		})
	}
	return all
}

// checkWindows checks that a topic has the windows 1..n, each once and whole.
func (f *fake) checkWindows(topic string, n, keys int) {
	f.t.Helper()
	seen := map[string]int{}
	for _, r := range f.committed(topic) {
		seen[string(r.Value)]++
	}
	for w := 1; w <= n; w++ {
		for k := range keys {
			row := fmt.Sprintf(`{"w":%d,"k":"k%d","n":%d}`, w, k, w*1000+k)
			if seen[row] != 1 {
				f.t.Errorf("%s is there %d times", row, seen[row])
			}
			delete(seen, row)
		}
	}
	if len(seen) > 0 {
		f.t.Errorf("%d rows more: %v", len(seen), seen)
	}
}

// Goal: windows are there when EndWindow returns, and not before; a restart goes on after them; the
// process before is fenced and says so; what does not fit together is refused.
func TestSinkWindows(t *testing.T) { onEach(t, testSinkWindows) }

func testSinkWindows(t *testing.T, cluster func(testing.TB, int32, ...string) *fake) {
	f := cluster(t, 3, "windows")
	ctx := context.Background()
	job := fmt.Sprint("job", time.Now().UnixNano())
	cfg := SinkConfig{Topic: "windows", Keys: []string{"k"}, CursorTopic: "cursors-" + job}
	a := f.sink(cfg)
	defer a.Close()
	if at, err := a.Recover(ctx, job, nil); err != nil || at != cursors.None {
		t.Fatalf("%d, %v", at, err)
	}
	begun, err := a.Save(ctx)
	if err != nil {
		t.Fatal(err)
	}
	windowRows(t, a, 1, 10)
	f.checkWindows("windows", 0, 10)
	if err := a.EndWindow(ctx, 1); err != nil {
		t.Fatal(err)
	}
	f.checkWindows("windows", 1, 10)
	if err := a.EndWindow(ctx, 1); err != nil { // it may be repeated
		t.Fatal(err)
	}
	windowRows(t, a, 2, 10)
	windowRows(t, a, 2, 0)

	b := f.sink(cfg)
	defer b.Close()
	if at, err := b.Recover(ctx, job, begun); err != nil || at != 1 {
		t.Fatalf("%d, %v", at, err)
	}
	windowRows(t, b, 2, 10)
	if err := b.EndWindow(ctx, 2); err != nil {
		t.Fatal(err)
	}
	err = a.EndWindow(ctx, 2)
	for errors.Is(err, record.ErrTransient) {
		err = a.EndWindow(ctx, 2)
	}
	if !errors.Is(err, cursors.ErrReplaced) {
		t.Errorf("the process before: %v", err)
	}
	// It has fenced the successor when it asked, which goes on nevertheless.
	windowRows(t, b, 3, 10)
	err = b.EndWindow(ctx, 3)
	for errors.Is(err, record.ErrTransient) {
		err = b.EndWindow(ctx, 3)
	}
	if err != nil {
		t.Fatal(err)
	}
	f.checkWindows("windows", 3, 10)

	saved, err := b.Save(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		cfg   SinkConfig
		saved []byte
		want  string
	}{
		"no state":           {cfg, nil, "the state has nothing"},
		"no cursor":          {SinkConfig{Topic: "windows", CursorTopic: "other-" + job}, saved, "has no cursor"},
		"a cursor of before": {cfg, []byte(`{"window":99}`), "says less than what was committed"},
		"a damaged state":    {cfg, []byte("{"), "is damaged"},
	} {
		s := f.sink(c.cfg)
		if _, err := s.Recover(ctx, job, c.saved); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, expected %s", name, err, c.want)
		}
		s.Close()
	}
}

// cutter cuts connections: the broker carries out a request, and its answer is lost.
type cutter struct {
	keys []int16
	on   atomic.Bool
	cuts atomic.Int64

	mu     sync.Mutex
	random *rand.Rand
}

// dial is a dialer for a client.
func (c *cutter) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &cutConn{Conn: conn, cutter: c}, nil
}

// cutConn is a connection that may be cut. franz-go writes each request with one Write.
type cutConn struct {
	net.Conn
	cutter *cutter
	cut    atomic.Bool
}

// Write notes whether the answer will be lost.
func (c *cutConn) Write(b []byte) (int, error) {
	if len(b) > 6 && c.cutter.on.Load() && slices.Contains(c.cutter.keys, int16(b[4])<<8|int16(b[5])) {
		c.cutter.mu.Lock()
		cut := c.cutter.random.IntN(3) == 0
		c.cutter.mu.Unlock()
		if cut {
			c.cut.Store(true)
		}
	}
	return c.Conn.Write(b)
}

// Read loses the answer.
func (c *cutConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.cut.Load() && err == nil {
		c.cutter.cuts.Add(1)
		c.Conn.Close()
		return 0, io.EOF
	}
	return n, err
}

// Goal: whatever answers of the broker are lost, each window, and each numbered transaction, is
// there once. Method: connections are cut after the broker has got a request and before the
// client has got the answer, at random, for each request of a transaction; what a reader with
// read_committed sees is checked meanwhile.
func TestSinkLostAnswers(t *testing.T) { onEach(t, testSinkLostAnswers) }

func testSinkLostAnswers(t *testing.T, cluster func(testing.TB, int32, ...string) *fake) {
	f := cluster(t, 2, "lost-windows", "lost-numbers")
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	for _, topic := range []string{"lost-windows", "lost-numbers"} {
		job := fmt.Sprint(topic, time.Now().UnixNano())
		cut := &cutter{
			keys: []int16{
				kmsg.EndTxn.Int16(), kmsg.InitProducerID.Int16(), kmsg.AddPartitionsToTxn.Int16(), kmsg.Produce.Int16(),
			},
			random: rand.New(rand.NewPCG(1, 2)),
		}
		s := f.sink(SinkConfig{
			Topic: topic, Keys: []string{"k"}, KeyFormat: KeyText, CursorTopic: "cursors-" + job,
			Client:             ClientConfig{Options: []kgo.Opt{kgo.Dialer(cut.dial)}},
			TransactionTimeout: 2 * time.Second,
		})
		const windows, keys = 15, 20
		write := func(w int) error {
			windowRows(t, s, w, keys)
			err := s.EndWindow(ctx, int64(w))
			for errors.Is(err, record.ErrTransient) {
				err = s.EndWindow(ctx, int64(w))
			}
			return err
		}
		begin := func() error {
			_, err := s.Recover(ctx, job, nil)
			return err
		}
		if topic == "lost-numbers" {
			write = func(n int) error {
				rows := slices.Values([]*record.Batch{rowsOf(s.cfg.Schema, n, 0, keys/2), rowsOf(s.cfg.Schema, n,
					keys/2, keys)})
				err := s.Commit(ctx, uint64(n), rows, false)
				for errors.Is(err, record.ErrTransient) {
					err = s.Commit(ctx, uint64(n), rows, false)
				}
				return err
			}
			begin = func() error {
				_, err := s.RecoverOutput(ctx, job)
				return err
			}
		}
		if err := begin(); err != nil {
			t.Fatal(err)
		}
		cut.on.Store(true)
		for w := 1; w <= windows; w++ {
			if err := write(w); err != nil {
				t.Fatal(err)
			}
			if w%5 == 0 {
				f.checkWindows(topic, w, keys)
			}
		}
		if cut.cuts.Load() < 4 {
			t.Errorf("%d answers were lost, expected more", cut.cuts.Load())
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// Goal: numbered transactions are there once over restarts, a process before is fenced, and one
// sink may be repeated what it has.
func TestSinkNumbers(t *testing.T) { onEach(t, testSinkNumbers) }

func testSinkNumbers(t *testing.T, cluster func(testing.TB, int32, ...string) *fake) {
	f := cluster(t, 1, "numbers")
	ctx := context.Background()
	job := fmt.Sprint("numbers", time.Now().UnixNano())
	cfg := SinkConfig{Topic: "numbers", CursorTopic: "cursors-" + job}
	commit := func(s *Sink, n int) error {
		rows := slices.Values([]*record.Batch{rowsOf(s.cfg.Schema, n, 0, 5)})
		err := s.Commit(ctx, uint64(n), rows, false)
		for errors.Is(err, record.ErrTransient) {
			err = s.Commit(ctx, uint64(n), rows, false)
		}
		return err
	}
	var before *Sink
	for round := range 3 {
		s := f.sink(cfg)
		defer s.Close()
		if n, err := s.RecoverOutput(ctx, job); err != nil || int(n) != 2*round {
			t.Fatalf("%d, %v, expected %d", n, err, 2*round)
		}
		for n := 2*round + 1; n <= 2*round+2; n++ {
			for range 2 {
				if err := commit(s, n); err != nil {
					t.Fatal(err)
				}
			}
		}
		if before != nil {
			if err := commit(before, 100); !errors.Is(err, cursors.ErrReplaced) {
				t.Errorf("the process before: %v", err)
			}
		}
		before = s
	}
	f.checkWindows("numbers", 6, 5)
}

// Goal: without a state rows are written at least once, and in mode upsert a key's last record is
// its row, or a tombstone if it was deleted. Records of a key are in one partition.
func TestSinkUpsert(t *testing.T) { onEach(t, testSinkUpsert) }

func testSinkUpsert(t *testing.T, cluster func(testing.TB, int32, ...string) *fake) {
	f := cluster(t, 4, "upsert", "changes")
	schema := schemaOf(t, record.Field{Name: "op", Type: record.String}, record.Field{Name: "k", Type: record.String},
		record.Field{Name: "n", Type: record.Int64, Nullable: true})
	for _, mode := range []Mode{Upsert, Append} {
		topic := map[Mode]string{Upsert: "upsert", Append: "changes"}[mode]
		s := f.sink(SinkConfig{Topic: topic, Schema: schema, Changes: true, Mode: mode, Keys: []string{"k"}})
		b := record.NewBatch(schema, 0)
		for n := range 100 {
			b.Add(20)
			b.SetString(0, "upsert")
			b.SetString(1, fmt.Sprintf("k\n%d", n%10))
			b.SetInt64(2, int64(n))
			if n >= 90 && n%2 == 0 {
				b.SetNull(2)
			}
		}
		for row := 90; row < 100; row += 2 {
			setDelete(b, row)
		}
		if err := s.Write(context.Background(), b); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		last, of := map[string]string{}, map[string]int32{}
		all := f.committed(topic)
		for _, r := range all {
			key := string(r.Key)
			if p, ok := of[key]; ok && p != r.Partition {
				t.Errorf("%s is in partitions %d and %d", key, p, r.Partition)
			}
			last[key], of[key] = string(r.Value), r.Partition
			if r.Value == nil {
				last[key] = "deleted"
			}
		}
		if len(all) != 100 || len(last) != 10 {
			t.Errorf("%s: %d records of %d keys", mode, len(all), len(last))
		}
		for k := range 10 {
			want := fmt.Sprintf(`{"k":"k\n%d","n":%d}`, k, 90+k)
			if k%2 == 0 {
				want = "deleted"
			}
			if mode == Append {
				op, n := "upsert", fmt.Sprint(90+k)
				if k%2 == 0 {
					op, n = "delete", "null"
				}
				want = fmt.Sprintf(`{"op":"%s","k":"k\n%d","n":%s}`, op, k, n)
			}
			if got := last[fmt.Sprintf(`{"k":"k\n%d"}`, k)]; got != want {
				t.Errorf("%s: key %d: %s, expected %s", mode, k, got, want)
			}
		}
	}
}

// setDelete makes a row of a batch a deletion.
func setDelete(b *record.Batch, row int) {
	c := b.Column(0)
	c.Bytes = append(slices.Clone(c.Bytes), "delete"...)
	c.Views[row] = record.View{Off: uint32(len(c.Bytes) - len("delete")), Len: uint32(len("delete"))}
}

// Goal: a sink that cannot be is refused with what is wrong.
func TestSinkFaults(t *testing.T) {
	for want, cfg := range map[string]SinkConfig{
		"no brokers":                         {Topic: "t", Schema: sinkSchema(t)},
		"no topic":                           {Schema: sinkSchema(t)},
		"no schema":                          {Topic: "t"},
		"mode upsert needs a key":            {Topic: "t", Schema: sinkSchema(t), Mode: Upsert},
		`there is no column "x" for the key`: {Topic: "t", Schema: sinkSchema(t), Keys: []string{"x"}},
		`column "n" is the key as text`: {
			Topic: "t", Schema: sinkSchema(t), Keys: []string{"n"},
			KeyFormat: KeyText,
		},
		"2 columns of the key": {
			Topic: "t", Schema: sinkSchema(t), Keys: []string{"n", "k"},
			KeyFormat: KeyText,
		},
		`mode "merge"`:      {Topic: "t", Schema: sinkSchema(t), Mode: "merge"},
		`key format "avro"`: {Topic: "t", Schema: sinkSchema(t), KeyFormat: "avro"},
	} {
		if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, expected %s", err, want)
		}
	}
	f := newFake(t, 1, "t")
	s := f.sink(SinkConfig{Topic: "t", WindowBytes: 100})
	defer s.Close()
	if _, err := s.Recover(context.Background(), "job", nil); err != nil {
		t.Fatal(err)
	}
	b := record.NewBatch(s.cfg.Schema, 0)
	for range 100 {
		b.Add(0)
	}
	if err := s.Write(context.Background(), b); err == nil || !strings.Contains(err.Error(), "window.bytes") {
		t.Errorf("a window that is too large: %v", err)
	}
}
