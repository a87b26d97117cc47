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

// jobVariable says that this process is a job that a test kills: brokers, topic, output topic and
// folder of state, and whether it ends.
const jobVariable = "VELO_KAFKA_JOB"

// runJob is the job: it sums records in windows of a second and writes the windows to a topic.
func runJob(args string) error {
	a := strings.Split(args, " ")
	brokers, in, out, dir, until := a[:1], a[1], a[2], a[3], a[4] == "end"
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
		Client: ClientConfig{Brokers: brokers}, Topic: in, Schema: schema, UntilEnd: until,
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

	var checked atomic.Int64
	checking, stop := context.WithCancel(context.Background())
	var checker sync.WaitGroup
	checker.Go(func() { checkExact(checking, t, f, begin, &checked) })
	defer checker.Wait()
	defer stop()

	var producer sync.WaitGroup
	producer.Go(func() { produceExact(t, f, begin) })
	start := func(until string) *exec.Cmd {
		job := exec.Command(os.Args[0])
		job.Env = append(os.Environ(), fmt.Sprintf("%s=%s exact-in exact-out %s %s", jobVariable, f.addresses[0],
			dir, until))
		job.Stderr = os.Stderr
		if err := job.Start(); err != nil {
			t.Fatal(err)
		}
		return job
	}
	for round := range 12 {
		job := start("no")
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
	if err := start("end").Wait(); err != nil {
		t.Fatal(err)
	}
	for until := time.Now().Add(30 * time.Second); checked.Load() < exactWindows*exactKeys &&
		time.Now().Before(until); {
		time.Sleep(10 * time.Millisecond)
	}
	if n := checked.Load(); n != exactWindows*exactKeys {
		t.Errorf("%d rows, expected %d", n, exactWindows*exactKeys)
	}
}

// produceExact writes the input, a window at a time.
func produceExact(t *testing.T, f *fake, begin time.Time) {
	client, err := kgo.NewClient(kgo.SeedBrokers(f.addresses...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Error(err)
		return
	}
	defer client.Close()
	for w := range exactWindows {
		var all []*kgo.Record
		for p := range exactPartitions {
			for i := w * exactPerWindow; i < (w+1)*exactPerWindow; i++ {
				at := begin.Add(time.Duration(i) * time.Second / exactPerWindow).UTC().Format(time.RFC3339Nano)
				all = append(all, &kgo.Record{
					Topic: "exact-in", Partition: int32(p), Value: fmt.Appendf(nil, `{"k":%d,"v":%d,"at":"%s"}`,
						i%exactKeys, i, at),
				})
			}
		}
		if err := client.ProduceSync(context.Background(), all...).FirstErr(); err != nil {
			t.Error(err)
			return
		}
		time.Sleep(60 * time.Millisecond)
	}
}

// checkExact checks the output as it comes. Keys of one window may come in any order.
func checkExact(ctx context.Context, t *testing.T, f *fake, begin time.Time, checked *atomic.Int64) {
	client, err := kgo.NewClient(kgo.SeedBrokers(f.addresses...), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{"exact-out": {0: kgo.NewOffset().AtStart()}}))
	if err != nil {
		t.Error(err)
		return
	}
	defer client.Close()
	window, keys := 0, map[int]bool{}
	for ctx.Err() == nil {
		client.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
			var row exactRow
			if err := json.Unmarshal(r.Value, &row); err != nil {
				t.Errorf("%s: %v", r.Value, err)
				return
			}
			if len(keys) == exactKeys {
				window, keys = window+1, map[int]bool{}
			}
			if w := int(row.W.Sub(begin) / time.Second); w != window || keys[row.K] || row.N != exactSum(w, row.K) {
				t.Errorf("%s at offset %d: window %d key %d, expected window %d, keys so far %v, sum %d", r.Value,
					r.Offset, w, row.K,
					window, keys, exactSum(w, row.K))
			}
			keys[row.K] = true
			checked.Add(1)
		})
	}
}
