package kafka

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/velo-engine/velo"
	"github.com/velo-engine/velo/record"
)

// jobVariable says that this process is a job that a test kills: brokers with commas between them,
// topic, output topic, folder of the state, and whether it ends.
const jobVariable = "VELO_KAFKA_JOB"

// runJob is the job: it sums records in windows of a second and writes the windows to a topic.
func runJob(args string) error {
	a := strings.Split(args, " ")
	brokers, in, out, dir, until := strings.Split(a[0], ","), a[1], a[2], a[3], a[4] == "end"
	schema, err := record.NewSchema("s", record.Field{Name: "k", Type: record.Int64},
		record.Field{Name: "v", Type: record.Int64}, record.Field{Name: "at", Type: record.Timestamp})
	if err != nil {
		return err
	}
	plan, err := velo.Compile(`SELECT window_start AS w, k, sum(v) AS n FROM s GROUP BY k, tumble(at, INTERVAL '1 s')`, schema)
	if err != nil {
		return err
	}
	ctx := context.Background()
	src, err := NewSource(ctx, SourceConfig{
		Client: ClientConfig{Brokers: brokers}, Topic: in, Schema: schema, UntilEnd: until, Group: in,
	})
	if err != nil {
		return err
	}
	rs, err := src.Readers(0)
	if err != nil {
		return err
	}
	written, err := plan.Written()
	if err != nil {
		return err
	}
	sink, err := NewSink(ctx, SinkConfig{
		Client: ClientConfig{Brokers: brokers}, Topic: out, Name: "out", Schema: written, Mode: Upsert,
		Keys:               plan.WrittenKeys(),
		TransactionTimeout: 10 * time.Second,
	})
	if err != nil {
		return err
	}
	eng, err := velo.Start(ctx, velo.Config{
		Plan: plan, Readers: rs, Writer: sink, Cores: 1, Partitions: 1,
		State: &velo.State{Path: dir, Interval: 100 * time.Millisecond},
	})
	if err != nil {
		return err
	}
	return eng.Wait()
}

const (
	exactPartitions = 3
	exactKeys       = 5
	exactPerWindow  = 100 // records of each partition
	exactWindows    = 200
)

// exactRow is a row of the output.
type exactRow struct {
	W time.Time
	K int
	N int
}

// exactSum is the sum of a window and key.
func exactSum(window, key int) (sum int) {
	for i := window * exactPerWindow; i < (window+1)*exactPerWindow; i++ {
		if i%exactKeys == key {
			sum += exactPartitions * i
		}
	}
	return sum
}

// Goal: from topic to topic, each window is written exactly once, whole, in order and with exact
// sums, whatever dies. Method: a job is killed with SIGKILL at random moments while records are
// written, and the broker once; a consumer of franz-go with read_committed checks each prefix of
// the output while that happens.
func TestExactlyOnce(t *testing.T) {
	f := newReal(t, exactPartitions, "exact-in")
	f.create("exact-out", 1, nil)
	dir := t.TempDir()
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 0))
	t.Logf("seed %d", seed)
	begin := time.Now().Truncate(time.Second)

	check := &exactChecker{t: t, begin: begin}
	checking, stop := context.WithCancel(context.Background())
	var checker sync.WaitGroup
	checker.Go(func() { checkExact(checking, t, f, check) })
	defer checker.Wait()
	defer stop()

	var producer sync.WaitGroup
	producer.Go(func() {
		produceExact(t, f, "exact-in", begin, 60*time.Millisecond, func(w int) bool { return w < exactWindows })
	})
	for round := range 12 {
		job := startExact(t, f.addresses, "exact", dir, "no")
		time.Sleep(200*time.Millisecond + time.Duration(random.IntN(1200))*time.Millisecond)
		if round == 6 {
			theBroker.Kill()
			time.Sleep(time.Duration(random.IntN(500)) * time.Millisecond)
			if err := theBroker.Start(context.Background()); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		_ = job.Process.Kill()
		_ = job.Wait()
	}
	producer.Wait()
	if err := startExact(t, f.addresses, "exact", dir, "end").Wait(); err != nil {
		t.Fatal(err)
	}
	check.wait(exactWindows)
}

// startExact starts the job in a process of its own. Its topics are name-in and name-out.
func startExact(t *testing.T, brokers []string, name, dir, until string) *exec.Cmd {
	t.Helper()
	job := exec.Command(os.Args[0])
	job.Env = append(os.Environ(), fmt.Sprintf("%s=%s %s-in %s-out %s %s", jobVariable, strings.Join(brokers, ","),
		name, name, dir, until))
	job.Stderr = os.Stderr
	err := job.Start()
	if err != nil {
		t.Fatal(err)
	}
	return job
}

// produceExact writes the input, a window at a time, as long as more says that there is another.
// It returns how many windows it wrote.
func produceExact(t *testing.T, f *fake, topic string, begin time.Time, every time.Duration,
	more func(window int) bool,
) (windows int) {
	client, err := kgo.NewClient(kgo.SeedBrokers(f.addresses...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Error(err)
		return 0
	}
	defer client.Close()
	for ; more(windows); windows++ {
		var all []*kgo.Record
		for p := range exactPartitions {
			for i := windows * exactPerWindow; i < (windows+1)*exactPerWindow; i++ {
				at := begin.Add(time.Duration(i) * time.Second / exactPerWindow).UTC().Format(time.RFC3339Nano)
				all = append(all, &kgo.Record{
					Topic: topic, Partition: int32(p), Value: fmt.Appendf(nil, `{"k":%d,"v":%d,"at":"%s"}`,
						i%exactKeys, i, at),
				})
			}
		}
		if err := client.ProduceSync(context.Background(), all...).FirstErr(); err != nil {
			t.Error(err)
			return windows
		}
		time.Sleep(every)
	}
	return windows
}

// checkExact checks the output as it comes, with a consumer of franz-go.
func checkExact(ctx context.Context, t *testing.T, f *fake, check *exactChecker) {
	client, err := kgo.NewClient(kgo.SeedBrokers(f.addresses...), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{"exact-out": {0: kgo.NewOffset().AtStart()}}))
	if err != nil {
		t.Error(err)
		return
	}
	defer client.Close()
	for ctx.Err() == nil {
		client.PollFetches(ctx).EachRecord(func(r *kgo.Record) { check.row(r.Value, r.Offset) })
	}
}

// exactChecker checks each prefix of the output: windows come in order, each row once. Keys of one
// window may come in any order.
type exactChecker struct {
	t     *testing.T
	begin time.Time

	window int
	keys   map[int]bool
	// rows are how many rows have been checked.
	rows atomic.Int64
}

// row checks the next row.
func (c *exactChecker) row(value []byte, offset int64) {
	var row exactRow
	err := json.Unmarshal(value, &row)
	if err != nil {
		c.t.Errorf("%s: %v", value, err)
		return
	}
	if len(c.keys) == exactKeys {
		c.window, c.keys = c.window+1, nil
	}
	if c.keys == nil {
		c.keys = map[int]bool{}
	}
	w := int(row.W.Sub(c.begin) / time.Second)
	if w != c.window || c.keys[row.K] || row.N != exactSum(w, row.K) {
		c.t.Errorf("%s at offset %d: window %d key %d, expected window %d, keys so far %v, sum %d", value, offset, w,
			row.K, c.window, c.keys, exactSum(w, row.K))
	}
	c.keys[row.K] = true
	c.rows.Add(1)
}

// wait waits until all rows of that number of windows have been checked, and no more come.
func (c *exactChecker) wait(windows int) {
	c.t.Helper()
	want := int64(windows * exactKeys)
	for until := time.Now().Add(time.Minute); c.rows.Load() < want && time.Now().Before(until); {
		time.Sleep(10 * time.Millisecond)
	}
	time.Sleep(300 * time.Millisecond) // for a row that should not be there
	n := c.rows.Load()
	if n != want {
		c.t.Errorf("%d rows, expected %d", n, want)
	}
}
