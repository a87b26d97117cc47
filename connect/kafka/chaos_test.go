//go:build unix

package kafka

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/velo-engine/velo/connect/kafka/internal/broker"
)

// soakVariable says how long TestChaos goes on: a duration. The test is skipped without it.
const soakVariable = "VELO_KAFKA_SOAK"

// chaosListener is the listener that the job uses: through proxies.
const chaosListener = "CHAOS"

// chaosProperties make brokers notice soon that one of them is gone.
const chaosProperties = `broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
replica.lag.time.max.ms=3000
leader.imbalance.check.interval.seconds=3600
`

// settled bounds how long brokers may take until all replicas are in sync again.
const settled = time.Minute

// chaos is a cluster of three brokers that is disturbed, and the job.
type chaos struct {
	t       *testing.T
	random  *rand.Rand
	brokers []*broker.Broker
	proxies []*broker.Proxy
	adm     *kadm.Client
	dir     string // the folder of the job's state

	job   *exec.Cmd
	ended chan error
	// faults are the ends of the job that nobody caused.
	faults int
	done   map[string]int // what was done how often
}

// Goal: from topic to topic over three brokers, each window is written exactly once, whole, in
// order and with exact sums, whatever happens to brokers, connections and the job. Method: at
// random, a broker is killed and started again on its data, or stopped for a while (SIGSTOP);
// leaders change; connections are cut; answers to the requests of transactions are lost, by
// closing the connection or in silence; the job is killed with SIGKILL. Topics have three replicas,
// of which two must be in sync, and one broker is disturbed at a time. Java's console consumer with
// read_committed sees the output while that happens, and each prefix of it is checked. The job has
// a group, so offsets are committed for tools, and these answers are lost, too (OffsetCommit, not
// TxnOffsetCommit: offsets are no part of velo's transactions).
func TestChaos(t *testing.T) {
	text := os.Getenv(soakVariable)
	if text == "" {
		t.Skip("it takes a minute or more: make soak, or " + soakVariable + "=5m, runs it")
	}
	length, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	c := newChaos(t)
	f := &fake{t: t, addresses: c.addresses(), adm: c.adm}
	for topic, partitions := range map[string]int32{"chaos-in": exactPartitions, "chaos-out": 1} {
		_, err := c.adm.CreateTopic(t.Context(), partitions, 3, nil, topic)
		if err != nil {
			t.Fatal(err)
		}
	}
	c.known("chaos-in", "chaos-out")
	begin := time.Now().Truncate(time.Second)
	check := &exactChecker{t: t, begin: begin}
	c.consumer(check)

	until := time.Now().Add(length)
	var producing sync.WaitGroup
	var windows int
	producing.Go(func() {
		windows = produceExact(t, f, "chaos-in", begin, 100*time.Millisecond, func(int) bool {
			return time.Now().Before(until) && !t.Failed()
		})
	})
	c.lose(0.2)
	c.start("no")
	for round := 0; time.Now().Before(until) && !t.Failed(); round++ {
		c.disturb(round)
	}
	producing.Wait()
	c.kill()
	c.lose(0)
	c.start("end")
	select {
	case err := <-c.ended:
		if err != nil {
			t.Fatalf("the last start of the job: %v", err)
		}
	case <-time.After(2 * time.Minute):
		t.Fatal("the job has not come to its end within two minutes of quiet")
	}
	check.wait(windows)
	lost := map[string]int{}
	for _, p := range c.proxies {
		for key, n := range p.Lost() {
			lost[kmsg.NameForKey(key)] += n
		}
	}
	t.Logf("%d windows; done: %v; answers lost: %v; the job ended by itself %d times", windows, c.done, lost, c.faults)
}

// newChaos starts the brokers and their proxies.
func newChaos(t *testing.T) *chaos {
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("VELO_SEED"); text != "" {
		_, err := fmt.Sscan(text, &seed)
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("VELO_SEED=%d", seed)
	c := &chaos{t: t, random: rand.New(rand.NewPCG(seed, 0)), dir: t.TempDir(), done: map[string]int{}}
	var advertised []string
	for i := range 3 {
		p, err := broker.NewProxy(seed + uint64(i))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(p.Close)
		c.proxies, advertised = append(c.proxies, p), append(advertised, p.Address)
	}
	var err error
	c.brokers, err = broker.NewCluster(t.Context(), t.TempDir(), broker.Config{
		Nodes:      3,
		Listeners:  []broker.Listener{{Name: chaosListener, Protocol: "PLAINTEXT", Advertised: advertised}},
		Properties: chaosProperties,
	})
	if err == broker.ErrNotWanted {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, b := range c.brokers {
			b.Kill()
		}
	})
	for i, b := range c.brokers {
		c.proxies[i].Forward(b.Listeners[chaosListener])
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(c.addresses()...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	c.adm = kadm.NewClient(client)
	c.settle()
	return c
}

// addresses are those of the brokers, without proxies.
func (c *chaos) addresses() (all []string) {
	for _, b := range c.brokers {
		all = append(all, b.Address)
	}
	return all
}

// lose has the proxies lose a share of the answers.
func (c *chaos) lose(share float64) {
	for _, p := range c.proxies {
		p.Lose(share, 0.1, kmsg.EndTxn.Int16(), kmsg.InitProducerID.Int16(), kmsg.AddPartitionsToTxn.Int16(),
			kmsg.TxnOffsetCommit.Int16(), kmsg.OffsetCommit.Int16(), kmsg.Produce.Int16())
	}
}

// start starts the job, through the proxies.
func (c *chaos) start(until string) {
	var through []string
	for _, p := range c.proxies {
		through = append(through, p.Address)
	}
	c.job, c.ended = startExact(c.t, through, "chaos", c.dir, until), make(chan error, 1)
	go func(job *exec.Cmd, ended chan error) { ended <- job.Wait() }(c.job, c.ended)
}

// kill kills the job, as kill -9 does. A job that ended by itself is an error.
func (c *chaos) kill() {
	select {
	case err := <-c.ended:
		c.faults++
		c.t.Errorf("the job ended by itself: %v", err)
		return
	default:
	}
	_ = c.job.Process.Kill()
	<-c.ended
}

// disturb does one thing. The first rounds do each thing once.
func (c *chaos) disturb(round int) {
	i := c.random.IntN(len(c.brokers))
	things := []struct {
		name string
		do   func()
	}{
		{"broker killed", func() {
			c.brokers[i].Kill()
			c.sleep(0, 3*time.Second)
			err := c.brokers[i].Start(c.t.Context())
			if err != nil {
				c.t.Fatalf("broker %d: %v", i+1, err)
			}
		}},
		{"connections cut", func() { c.proxies[i].Cut() }},
		{"leaders changed", c.elect},
		{"broker stopped", func() {
			pid := c.brokers[i].PID()
			_ = syscall.Kill(pid, syscall.SIGSTOP)
			c.sleep(time.Second, 6*time.Second)
			_ = syscall.Kill(pid, syscall.SIGCONT)
		}},
		{"job killed", func() {
			c.kill()
			c.start("no")
		}},
	}
	which := round
	if round >= len(things) {
		which = c.random.IntN(len(things))
	}
	c.done[things[which].name]++
	things[which].do()
	c.sleep(100*time.Millisecond, 1500*time.Millisecond)
	c.settle()
}

// sleep sleeps between two times.
func (c *chaos) sleep(least, most time.Duration) {
	time.Sleep(least + time.Duration(c.random.Int64N(int64(most-least))))
}

// settle waits until all replicas of all topics are in sync.
func (c *chaos) settle() {
	c.t.Helper()
	var last string
	for began := time.Now(); time.Since(began) < settled; time.Sleep(100 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(c.t.Context(), 5*time.Second)
		all, err := c.adm.ListTopicsWithInternal(ctx)
		brokers, failed := c.adm.ListBrokers(ctx)
		cancel()
		last = fmt.Sprint(err, failed)
		lacking := len(c.brokers) - len(brokers)
		for _, topic := range all {
			for _, p := range topic.Partitions {
				if len(p.ISR) < len(p.Replicas) || p.Leader < 0 {
					lacking++
					last = fmt.Sprintf("%s/%d: leader %d, in sync %v of %v", topic.Topic, p.Partition, p.Leader, p.ISR,
						p.Replicas)
				}
			}
		}
		if err == nil && failed == nil && lacking == 0 {
			return
		}
	}
	c.t.Fatalf("the brokers are not in sync after %v: %s", settled, last)
}

// known waits until every broker knows topics that were just made. A job that starts asks any.
func (c *chaos) known(topics ...string) {
	c.t.Helper()
	for _, b := range c.brokers {
		client, err := kgo.NewClient(kgo.SeedBrokers(b.Address))
		if err != nil {
			c.t.Fatal(err)
		}
		for began := time.Now(); !knows(c.t.Context(), client, topics); time.Sleep(50 * time.Millisecond) {
			if time.Since(began) > settled {
				c.t.Fatalf("broker %d does not know %v", b.ID, topics)
			}
		}
		client.Close()
	}
}

// knows asks the broker that a client was given, and no other.
func knows(ctx context.Context, client *kgo.Client, topics []string) bool {
	req := kmsg.NewPtrMetadataRequest()
	for _, name := range topics {
		topic := kmsg.NewMetadataRequestTopic()
		topic.Topic = kmsg.StringPtr(name)
		req.Topics = append(req.Topics, topic)
	}
	answer, err := client.SeedBrokers()[0].Request(ctx, req)
	if err != nil {
		return false
	}
	for _, topic := range answer.(*kmsg.MetadataResponse).Topics {
		if topic.ErrorCode != 0 {
			return false
		}
	}
	return true
}

// elect makes other brokers leaders of everything: the order of the replicas is turned, and the
// first of them elected.
func (c *chaos) elect() {
	ctx, cancel := context.WithTimeout(c.t.Context(), 30*time.Second)
	defer cancel()
	all, err := c.adm.ListTopicsWithInternal(ctx)
	if err != nil {
		c.t.Logf("leaders stay: %v", err)
		return
	}
	var req kadm.AlterPartitionAssignmentsReq
	set := kadm.TopicsSet{}
	for _, topic := range all {
		for _, p := range topic.Partitions {
			turned := append(p.Replicas[1:len(p.Replicas):len(p.Replicas)], p.Replicas[0])
			req.Assign(topic.Topic, p.Partition, turned)
			set.Add(topic.Topic, p.Partition)
		}
	}
	_, err = c.adm.AlterPartitionAssignments(ctx, req)
	if err == nil {
		_, err = c.adm.ElectLeaders(ctx, kadm.ElectPreferredReplica, set)
	}
	if err != nil {
		c.t.Logf("leaders stay: %v", err)
	}
}

// consumer has Java's console consumer read the output, and checks it as it comes.
func (c *chaos) consumer(check *exactChecker) {
	tools, err := broker.Tools(c.t.Context())
	if err != nil {
		c.t.Skip(err)
	}
	jars, err := broker.Jars(c.t.Context())
	if err != nil {
		c.t.Fatal(err)
	}
	run := broker.Java(context.Background(), jars+string(filepath.ListSeparator)+tools,
		"org.apache.kafka.tools.consumer.ConsoleConsumer", "--bootstrap-server", strings.Join(c.addresses(), ","),
		"--topic", "chaos-out", "--partition", "0", "--offset", "earliest", "--isolation-level", "read_committed",
		"--property", "print.offset=true")
	var faults bytes.Buffer
	run.Stderr = &faults
	out, err := run.StdoutPipe()
	if err == nil {
		err = run.Start()
	}
	if err != nil {
		c.t.Fatal(err)
	}
	var closing atomic.Bool
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		err := readPrinted(out, check)
		if !closing.Load() {
			c.t.Errorf("Java's consumer has ended: %v", err)
		}
	}()
	c.t.Cleanup(func() {
		closing.Store(true)
		_ = run.Process.Kill()
		<-ended
		_ = run.Wait()
		if c.t.Failed() {
			c.t.Logf("Java's consumer: %s", faults.Bytes())
		}
	})
}

// readPrinted reads what the console consumer prints: Offset:12, a tab, and the value.
func readPrinted(from io.Reader, check *exactChecker) error {
	lines := bufio.NewScanner(from)
	for lines.Scan() {
		head, value, ok := strings.Cut(lines.Text(), "\t")
		var offset int64
		_, err := fmt.Sscanf(head, "Offset:%d", &offset)
		if !ok || err != nil {
			check.t.Errorf("Java's consumer prints %q", lines.Text())
			continue
		}
		check.row([]byte(value), offset)
	}
	return lines.Err()
}
