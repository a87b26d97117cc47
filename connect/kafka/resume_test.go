package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/velo-engine/velo/record"
)

// numbered writes records from..to-1 of a partition, whose values are their numbers.
func (f *fake) numbered(topic string, partition int32, from, to int) {
	f.t.Helper()
	var all []*kgo.Record
	for n := from; n < to; n++ {
		all = append(all, &kgo.Record{Topic: topic, Partition: partition, Value: fmt.Appendf(nil, `{"n":%d}`, n)})
	}
	f.produce(all...)
}

// said collects what a source says.
type said struct {
	mu    sync.Mutex
	lines []string
}

func (s *said) say(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, text)
}

func (s *said) has(text string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.lines, func(line string) bool { return strings.Contains(line, text) })
}

var numberFields = []record.Field{{Name: "n", Type: record.Int64}, {Name: "p", Type: record.Int64}}

// numbers is a configuration for what numbered writes.
func numbers(t testing.TB, topic string) SourceConfig {
	return SourceConfig{
		Topic: topic, Schema: schemaOf(t, numberFields...), Partition: "p", UntilEnd: true,
		MetadataEvery: 50 * time.Millisecond,
	}
}

// readersOf makes the readers of a configuration, and has them go on at saved.
func (f *fake) readersOf(cfg SourceConfig, saved []record.Position) (*Source, []record.Reader, error) {
	f.t.Helper()
	s, err := f.source(cfg)
	if err != nil {
		f.t.Fatal(err)
	}
	rs, err := s.Readers(0)
	if err != nil {
		f.t.Fatal(err)
	}
	for _, r := range rs {
		if _, _, failed := r.(*Reader).ResumeFrom(saved); failed != nil {
			err = errors.Join(err, failed)
		}
	}
	if err != nil {
		for _, r := range rs {
			_ = r.Close()
		}
		return nil, nil, err
	}
	return s, rs, nil
}

// someOf reads n rows of each reader, and returns them and where the splits stand then.
func someOf(t testing.TB, schema *record.Schema, rs []record.Reader, n int) (all []string,
	positions []record.Position,
) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for _, r := range rs {
		b := record.NewBatch(schema, 7)
		for got := 0; got < n; got += b.Len() {
			b.Reset()
			if err := r.Read(ctx, b); err != nil {
				t.Fatal(err)
			}
			all = append(all, rowTexts(b)...)
			for _, p := range b.Positions() {
				positions = append(positions, record.Position{Split: p.Split, Offset: slices.Clone(p.Offset)})
			}
		}
	}
	// The last of each split counts.
	slices.Reverse(positions)
	var last []record.Position
	for _, p := range positions {
		if !slices.ContainsFunc(last, func(l record.Position) bool { return l.Split == p.Split }) {
			last = append(last, p)
		}
	}
	return all, last
}

func closeReaders(t testing.TB, rs []record.Reader) {
	t.Helper()
	for _, r := range rs {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}

// Goal: readers that go on where others stood bring each record once, whatever the number of
// readers, also in the middle of a batch; a partition that nobody had read begins at its
// beginning, also if the source begins with the latest record.
func TestResume(t *testing.T) { onEach(t, testResume) }

func testResume(t *testing.T, cluster func(testing.TB, int32, ...string) *fake) {
	f := cluster(t, 3, "resume")
	for p := range int32(3) {
		f.numbered("resume", p, 0, 100)
	}
	cfg := numbers(t, "resume")
	_, rs, err := f.readersOf(cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	all, saved := someOf(t, cfg.Schema, rs, 30)
	closeReaders(t, rs)
	if len(saved) != 3 {
		t.Fatalf("positions of %d partitions", len(saved))
	}
	if _, err := f.adm.CreatePartitions(context.Background(), 1, "resume"); err != nil {
		t.Fatal(err)
	}
	f.numbered("resume", 3, 0, 100)
	cfg.Readers, cfg.Start = 2, Latest
	for f.partitions("resume") < 4 {
		time.Sleep(10 * time.Millisecond)
	}
	_, rs, err = f.readersOf(cfg, saved)
	if err != nil || len(rs) != 2 {
		t.Fatalf("%d readers, %v", len(rs), err)
	}
	rest, _, err := rows(t, cfg.Schema, rs)
	if err != nil {
		t.Fatal(err)
	}
	checkNumbers(t, append(all, rest...), 4, 100)
}

// partitions is how many partitions a topic has.
func (f *fake) partitions(topic string) int {
	f.t.Helper()
	all, err := f.adm.ListTopics(context.Background(), topic)
	if err != nil {
		f.t.Fatal(err)
	}
	return len(all[topic].Partitions)
}

// checkNumbers checks that there is each number of each partition once, in order.
func checkNumbers(t testing.TB, got []string, partitions, numbers int) {
	t.Helper()
	next := make([]int, partitions)
	for _, row := range got {
		var n, p int
		if _, err := fmt.Sscanf(row, "%d|%d", &n, &p); err != nil || p >= partitions || n != next[p] {
			t.Fatalf("%s: expected %d of its partition", row, next[p])
		}
		next[p]++
	}
	for p, n := range next {
		if n != numbers {
			t.Errorf("partition %d has %d records, expected %d", p, n, numbers)
		}
	}
}

// Goal: a position that cannot be gone on with is refused with what was found and what to do. With
// SkipGaps it is gone over, counted and said.
func TestResumeRefused(t *testing.T) { onEach(t, testResumeRefused) }

func testResumeRefused(t *testing.T, cluster func(testing.TB, int32, ...string) *fake) {
	for _, c := range []struct {
		name    string
		change  func(f *fake, topic string, at *position)
		want    error
		text    string
		first   string
		skipped uint64
	}{
		{"gone", func(f *fake, topic string, _ *position) {
			var to kadm.Offsets
			to.AddOffset(topic, 0, 60, -1)
			if _, err := f.adm.DeleteRecords(context.Background(), to); err != nil {
				f.t.Fatal(err)
			}
		}, errGone, "offset 30 is next, and the oldest that there is is 60", "60|0", 30},
		{"remade", func(f *fake, topic string, _ *position) {
			f.create(topic, 1, nil)
			f.numbered(topic, 0, 0, 100)
		}, errTopicRemade, "its id was ", "0|0", 0},
		{"cut off", func(_ *fake, _ string, at *position) {
			at.offset = 150
		}, errTruncated, "it ends at offset 100, and had been read to 150", "", 0},
	} {
		topic := "refused-" + strings.ReplaceAll(c.name, " ", "-")
		f := cluster(t, 1, topic)
		f.numbered(topic, 0, 0, 100)
		cfg := numbers(t, topic)
		var s said
		cfg.Say = s.say
		_, rs, err := f.readersOf(cfg, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, saved := someOf(t, cfg.Schema, rs, 30)
		closeReaders(t, rs)
		at, err := parsePosition(saved[0].Offset)
		if err != nil {
			t.Fatal(err)
		}
		at.offset = 30
		c.change(f, topic, &at)
		saved[0].Offset = at.append(nil)
		_, _, err = f.readersOf(cfg, saved)
		if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) || !strings.Contains(err.Error(),
			"--skip-gaps") {
			t.Errorf("%s: %v, expected %v", c.name, err, c.text)
		}
		cfg.SkipGaps = true
		_, rs, err = f.readersOf(cfg, saved)
		if err != nil {
			t.Errorf("%s: with SkipGaps: %v", c.name, err)
			continue
		}
		stats := rs[0].(*Reader).Stats()
		got, _, err := rows(t, cfg.Schema, rs)
		first := ""
		if len(got) > 0 {
			first = got[0]
		}
		if err != nil || first != c.first || stats[0].Skipped != c.skipped || stats[0].Gaps != 1 || !s.has("skipped") {
			t.Errorf("%s: with SkipGaps it goes on with %s, %v, and has %+v; said %v", c.name, first, err, stats,
				s.lines)
		}
	}
}

// Goal: a log that was cut off and written anew under a new leader is found by the leader epoch.
// Method: the broker says that the epoch ended before the position.
func TestResumeEpoch(t *testing.T) {
	f := newFake(t, 1, "epochs")
	f.numbered("epochs", 0, 0, 100)
	cfg := numbers(t, "epochs")
	_, rs, err := f.readersOf(cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, saved := someOf(t, cfg.Schema, rs, 50)
	closeReaders(t, rs)
	f.control.ControlKey(kmsg.OffsetForLeaderEpoch.Int16(), func(req kmsg.Request) (kmsg.Response, error, bool) {
		f.control.KeepControl()
		resp := req.ResponseKind().(*kmsg.OffsetForLeaderEpochResponse)
		for _, topic := range req.(*kmsg.OffsetForLeaderEpochRequest).Topics {
			r := kmsg.NewOffsetForLeaderEpochResponseTopic()
			r.Topic = topic.Topic
			for _, p := range topic.Partitions {
				x := kmsg.NewOffsetForLeaderEpochResponseTopicPartition()
				x.Partition, x.LeaderEpoch, x.EndOffset = p.Partition, 0, 20
				r.Partitions = append(r.Partitions, x)
			}
			resp.Topics = append(resp.Topics, r)
		}
		return resp, nil, true
	})
	_, _, err = f.readersOf(cfg, saved)
	if !errors.Is(err, errTruncated) || !strings.Contains(err.Error(), "at offset 20 and written anew") {
		t.Errorf("%v", err)
	}
	cfg.SkipGaps = true
	_, rs, err = f.readersOf(cfg, saved)
	if err != nil {
		t.Fatal(err)
	}
	if got, _, err := rows(t, cfg.Schema, rs); err != nil || len(got) != 80 || got[0] != "20|0" {
		t.Errorf("%d rows, %v", len(got), err)
	}
}

// Goal: what happens to a topic while it is read is refused as at a restart: retention that
// passes a slow reader, another topic under the name, a topic that is removed for good.
func TestRunningRefused(t *testing.T) { onEach(t, testRunningRefused) }

func testRunningRefused(t *testing.T, cluster func(testing.TB, int32, ...string) *fake) {
	for _, skip := range []bool{false, true} {
		f := cluster(t, 1, "passing")
		for n := range 20 {
			f.numbered("passing", 0, n*1000, n*1000+1000)
		}
		cfg := numbers(t, "passing")
		var s said
		cfg.Say, cfg.SkipGaps, cfg.FetchBytes, cfg.BufferBytes = s.say, skip, 1000, 1
		_, rs, err := f.readersOf(cfg, nil)
		if err != nil {
			t.Fatal(err)
		}
		r := rs[0].(*Reader)
		for r.Stats()[0].Buffered == 0 {
			time.Sleep(time.Millisecond)
		}
		var to kadm.Offsets
		to.AddOffset("passing", 0, 15_000, -1)
		if _, err := f.adm.DeleteRecords(context.Background(), to); err != nil {
			t.Fatal(err)
		}
		got, _, err := rows(t, cfg.Schema, rs)
		if !skip {
			if !errors.Is(err, errGone) || len(got) == 0 || len(got) > 15_000 ||
				got[len(got)-1] != fmt.Sprintf("%d|0", len(got)-1) {
				t.Errorf("%d rows, %v", len(got), err)
			}
			continue
		}
		stats := r.Stats()[0]
		if err != nil || len(got)+int(stats.Skipped) != 20_000 || stats.Gaps == 0 || !s.has("are gone and are "+
			"skipped") ||
			got[len(got)-1] != "19999|0" {
			t.Errorf("%d rows, %+v, %v; said %v", len(got), stats, err, s.lines)
		}
	}
	f := cluster(t, 1, "remade")
	f.numbered("remade", 0, 0, 10)
	cfg := numbers(t, "remade")
	cfg.UntilEnd = false
	_, rs, err := f.readersOf(cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	someOf(t, cfg.Schema, rs, 10)
	f.create("remade", 1, nil)
	f.numbered("remade", 0, 100, 120)
	if got, _, err := rows(t, cfg.Schema, rs); !errors.Is(err, errTopicRemade) || len(got) != 0 {
		t.Errorf("%v, %v", got, err)
	}
}

// Goal: partitions that are added while a source is read are read from their beginning, by
// readers of their own, or by one that there is if there may be no more.
func TestGrow(t *testing.T) { onEach(t, testGrow) }

func testGrow(t *testing.T, cluster func(testing.TB, int32, ...string) *fake) {
	for _, most := range []int{1, 64} {
		f := cluster(t, 1, "grow")
		f.numbered("grow", 0, 0, 50)
		cfg := numbers(t, "grow")
		var s said
		cfg.UntilEnd, cfg.Readers, cfg.Start, cfg.Say = false, most, Earliest, s.say
		src, rs, err := f.readersOf(cfg, nil)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		added := make(chan record.Reader, 3)
		var growing sync.WaitGroup
		growing.Go(func() {
			src.Grow(ctx, rs[0], func(_ context.Context, r record.Reader) error {
				added <- r
				return nil
			})
		})
		if _, err := f.adm.CreatePartitions(context.Background(), 2, "grow"); err != nil {
			t.Fatal(err)
		}
		for f.partitions("grow") < 3 {
			time.Sleep(10 * time.Millisecond)
		}
		f.numbered("grow", 1, 0, 50)
		f.numbered("grow", 2, 0, 50)
		var got []string
		until := time.Now().Add(time.Minute)
		for len(got) < 150 && time.Now().Before(until) {
			select {
			case r := <-added:
				rs = append(rs, r)
			default:
			}
			for _, r := range rs {
				b := record.NewBatch(cfg.Schema, 0)
				if err := r.(*Reader).Poll(b); err != nil {
					t.Fatal(err)
				}
				got = append(got, rowTexts(b)...)
			}
		}
		checkNumbers(t, got, 3, 50)
		if want := min(most, 3); len(rs) != want || !s.has("grow/2 is new") {
			t.Errorf("%d readers, expected %d; said %v", len(rs), want, s.lines)
		}
		cancel()
		growing.Wait()
		closeReaders(t, rs)
	}
}

// Goal: a source whose reader does not read fetches no more than it may, and goes on when it does.
func TestBackPressure(t *testing.T) { onEach(t, testBackPressure) }

func testBackPressure(t *testing.T, cluster func(testing.TB, int32, ...string) *fake) {
	f := cluster(t, 2, "pressure")
	for n := range 50 {
		f.numbered("pressure", 0, n*1000, n*1000+1000)
	}
	f.numbered("pressure", 1, 0, 50_000)
	cfg := numbers(t, "pressure")
	cfg.FetchBytes, cfg.BufferBytes = 20_000, 100_000
	_, rs, err := f.readersOf(cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	r := rs[0].(*Reader)
	for n := 0; n < 20; {
		before := r.Stats()
		time.Sleep(10 * time.Millisecond)
		if after := r.Stats(); before[0].Buffered > 0 && before[0] == after[0] {
			n++
		}
	}
	// A response has one batch more than it may have if that is larger.
	if s := r.Stats()[0]; s.Buffered < 50_000 || s.Buffered > 100_000 {
		t.Errorf("%d bytes are buffered, expected about 50,000", s.Buffered)
	}
	got, _, err := rows(t, cfg.Schema, rs)
	if err != nil {
		t.Fatal(err)
	}
	checkNumbers(t, got, 2, 50_000)
}

// Goal: records of transactions come when they are committed, and never when they are aborted; the
// end of a source is found though the last offsets are markers. Method: transactions of two
// producers, in turn; PollFetches is not asked.
func TestTransactions(t *testing.T) { onEach(t, testTransactions) }

func testTransactions(t *testing.T, cluster func(testing.TB, int32, ...string) *fake) {
	f := cluster(t, 1, "txn")
	ctx := context.Background()
	var committed, all []string
	n := 0
	for round := range 10 {
		p, err := kgo.NewClient(kgo.SeedBrokers(f.addresses...), kgo.TransactionalID(fmt.Sprint("t", round%2)),
			kgo.RecordPartitioner(kgo.ManualPartitioner()))
		if err != nil {
			t.Fatal(err)
		}
		if err := p.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		for range 10 {
			if err := p.ProduceSync(ctx, &kgo.Record{Topic: "txn", Value: fmt.Appendf(nil, `{"n":%d}`,
				n)}).FirstErr(); err != nil {
				t.Fatal(err)
			}
			row := fmt.Sprintf("%d|0", n)
			all = append(all, row)
			if round%3 != 0 {
				committed = append(committed, row)
			}
			n++
		}
		if err := p.EndTransaction(ctx, kgo.TransactionEndTry(round%3 != 0)); err != nil {
			t.Fatal(err)
		}
		p.Close()
	}
	for _, uncommitted := range []bool{false, true} {
		cfg := numbers(t, "txn")
		cfg.ReadUncommitted = uncommitted
		want := committed
		if uncommitted {
			want = all
		}
		_, rs, err := f.readersOf(cfg, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got, _, err := rows(t, cfg.Schema, rs); err != nil || !slices.Equal(got, want) {
			t.Errorf("uncommitted %v: %v, %v", uncommitted, got, err)
		}
	}
}

// Goal: a source begins where it is told to.
func TestStart(t *testing.T) { onEach(t, testStart) }

func testStart(t *testing.T, cluster func(testing.TB, int32, ...string) *fake) {
	f := cluster(t, 1, "start")
	at := time.UnixMilli(time.Now().UnixMilli()).Add(-time.Minute)
	for n := range 10 {
		f.produce(&kgo.Record{
			Topic: "start", Value: fmt.Appendf(nil, `{"n":%d}`, n),
			Timestamp: at.Add(time.Duration(n) * time.Second),
		})
	}
	for _, c := range []struct {
		start Start
		want  string
	}{{Start{}, "0|0"}, {Earliest, "0|0"}, {Latest, "10|0"}, {StartAt(at.Add(4500 * time.Millisecond)), "5|0"}} {
		cfg := numbers(t, "start")
		cfg.Start, cfg.UntilEnd = c.start, false
		_, rs, err := f.readersOf(cfg, nil)
		if err != nil {
			t.Fatal(err)
		}
		if c.start == Latest {
			f.numbered("start", 0, 10, 11)
		}
		if got, _ := someOf(t, cfg.Schema, rs, 1); got[0] != c.want {
			t.Errorf("%+v: begins with %s, expected %s", c.start, got[0], c.want)
		}
		closeReaders(t, rs)
	}
}

// Goal: offsets of a group are committed when they are durable, and only then.
func TestGroup(t *testing.T) { onEach(t, testGroup) }

func testGroup(t *testing.T, cluster func(testing.TB, int32, ...string) *fake) {
	f := cluster(t, 1, "group")
	f.numbered("group", 0, 0, 10)
	cfg := numbers(t, "group")
	var s said
	cfg.Group, cfg.Say = "lag-"+fmt.Sprint(time.Now().UnixNano()), s.say
	_, rs, err := f.readersOf(cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, saved := someOf(t, cfg.Schema, rs, 10)
	offset := func() int64 {
		all, err := f.adm.FetchOffsets(context.Background(), cfg.Group)
		for errors.Is(err, kerr.CoordinatorNotAvailable) || errors.Is(err, kerr.NotCoordinator) { // it has just begun
			time.Sleep(50 * time.Millisecond)
			all, err = f.adm.FetchOffsets(context.Background(), cfg.Group)
		}
		if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
			t.Fatal(err)
		}
		o, ok := all.Lookup("group", 0)
		if !ok {
			return -1
		}
		return o.At
	}
	if at := offset(); at != -1 {
		t.Errorf("offset %d is committed, and nothing is durable", at)
	}
	rs[0].(*Reader).Durable(saved)
	if at := offset(); at != 10 {
		t.Errorf("offset %d is committed, expected 10; said %v", at, s.lines)
	}
	closeReaders(t, rs)
}

// Goal: leaders that move, and a broker that leaves, cost no record and repeat none. Method: three
// brokers, and leaders that move at random while records are written and read; each record is then
// there once and in order.
func TestLeadersMove(t *testing.T) {
	const partitions, records = 4, 3000
	c, err := kfake.NewCluster(kfake.NumBrokers(3), kfake.SeedTopics(partitions, "moves"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	f := &fake{t: t, addresses: c.ListenAddrs(), control: c}
	done := make(chan struct{})
	var moving, writing sync.WaitGroup
	moving.Go(func() {
		for {
			select {
			case <-done:
				return
			case <-time.After(20 * time.Millisecond):
				c.ShufflePartitionLeaders()
			}
		}
	})
	writing.Go(func() {
		for n := 0; n < records; n += 100 {
			for p := range int32(partitions) {
				f.numbered("moves", p, n, n+100)
			}
		}
	})
	cfg := numbers(t, "moves")
	cfg.UntilEnd = false
	_, rs, err := f.readersOf(cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	got, _ := someOf(t, cfg.Schema, rs, records)
	checkNumbers(t, got, partitions, records)
	writing.Wait()
	close(done)
	moving.Wait()
	closeReaders(t, rs)
}
