package kafka

import (
	"fmt"
	"os"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/velo-engine/velo/connect/kafka/internal/broker"
)

// theBroker is the real broker of this run, started by the first test that wants it.
var theBroker struct {
	sync.Once
	*broker.Broker
	dir string
	err error
}

func TestMain(m *testing.M) {
	if args := os.Getenv(jobVariable); args != "" {
		if err := runJob(args); err != nil {
			fmt.Fprintln(os.Stderr, "job:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if os.Getenv(brokerVariable) != "" {
		err := runFake()
		if err != nil {
			fmt.Fprintln(os.Stderr, "fake broker:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	status := m.Run()
	if theBroker.Broker != nil {
		theBroker.Kill()
	}
	if theBroker.dir != "" {
		_ = os.RemoveAll(theBroker.dir)
	}
	os.Exit(status)
}

// newReal is newFake with a real broker. The test is skipped if none was asked for. Topics of other
// tests may be there.
func newReal(t testing.TB, partitions int32, topics ...string) *fake {
	t.Helper()
	theBroker.Do(func() {
		theBroker.dir, theBroker.err = os.MkdirTemp("", "velo-kafka-*")
		if theBroker.err == nil {
			theBroker.Broker, theBroker.err = newSecured(theBroker.dir)
		}
	})
	if theBroker.err == broker.ErrNotWanted {
		t.Skip(theBroker.err)
	}
	if theBroker.err != nil {
		t.Fatal(theBroker.err)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(theBroker.Address), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	f := &fake{t: t, addresses: []string{theBroker.Address}, client: client, adm: kadm.NewClient(client)}
	for _, topic := range topics {
		f.create(topic, partitions, nil)
	}
	return f
}

// clusters are the clusters to test with: the fake one, and the real one if it was asked for.
var clusters = map[string]func(t testing.TB, partitions int32, topics ...string) *fake{
	"fake": newFake, "real": newReal,
}

// onEach runs a test with each of them.
func onEach(t *testing.T, test func(*testing.T, func(testing.TB, int32, ...string) *fake)) {
	for name, cluster := range clusters {
		t.Run(name, func(t *testing.T) { test(t, cluster) })
	}
}
