package kafka

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/velo-engine/velo/connect"
)

// diagnose looks at a cluster and returns the findings as lines.
func diagnose(t *testing.T, cfg DoctorConfig) (lines []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	found, err := Diagnose(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		lines = append(lines, fmt.Sprintf("%s %s: %s %s", f.Grade, f.Check, f.Found, f.Advice))
	}
	return lines
}

// has says whether a line has all these texts.
func has(lines []string, texts ...string) bool {
	return slices.ContainsFunc(lines, func(line string) bool {
		for _, text := range texts {
			if !strings.Contains(line, text) {
				return false
			}
		}
		return true
	})
}

// Goal: a cluster that is well gets no failure, its guarantees are those of docs/connectors.md, and
// nothing is left behind: no topic, and no record that a consumer sees.
func TestDoctor(t *testing.T) { onEach(t, testDoctor) }

func testDoctor(t *testing.T, cluster func(testing.TB, int32, ...string) *fake) {
	f := cluster(t, 2, "well")
	cursors := fmt.Sprint("doctor-cursors-", time.Now().UnixNano())
	lines := diagnose(t, DoctorConfig{Client: ClientConfig{Brokers: f.addresses}, Topic: "well", CursorTopic: cursors})
	for _, want := range [][]string{
		{"ok brokers: 1 of 1 answer"},
		{"ok version: "},
		{"ok transaction.max.timeout.ms: 15m0s, and a sink asks for 1m0s"},
		{"ok topic well: 2 partitions with 1 replicas, id "},
		{"warning min.insync.replicas of well: 1 of 1 replicas what is written is lost with the disk"},
		{"ok retention.ms of well: 168h0m0s"},
		{"ok cursor topic " + cursors + ": it is not there yet, and a sink can make it"},
		{"ok transactions: begun and aborted within"},
		{"ok fencing: a producer from before cannot write any more"},
		{"holds source: with --state no record is lost and none is counted twice"},
		{"holds sink: with --state each row exactly once", "the brokers may lose what they have acknowledged"},
	} {
		if !has(lines, want...) {
			t.Errorf("%q is missing", want)
		}
	}
	if has(lines, "failed ") || t.Failed() {
		t.Errorf("the findings are\n%s", strings.Join(lines, "\n"))
	}
	got := f.committed("well")
	if len(got) > 0 {
		t.Errorf("%d records were written", len(got))
	}
	topics, err := f.adm.ListTopics(context.Background())
	if err != nil || topics.Has(cursors) {
		t.Errorf("%v: the cursor topic was made", err)
	}
	// What a sink makes is good for the next look.
	s := f.sink(SinkConfig{Topic: "well", CursorTopic: cursors})
	defer s.Close()
	_, err = s.Recover(context.Background(), cursors, nil)
	if err != nil {
		t.Fatal(err)
	}
	lines = diagnose(t, DoctorConfig{Client: ClientConfig{Brokers: f.addresses}, CursorTopic: cursors})
	if !has(lines, "ok cursor topic", "one partition, compacted") || has(lines, "failed ") {
		t.Errorf("after a sink has run the findings are\n%s", strings.Join(lines, "\n"))
	}
}

// Goal: each thing that is wrong with a cluster is found, and the guarantee says what follows.
// Method: fake clusters with one fault each.
func TestDoctorFaults(t *testing.T) {
	const never = "a job with --state does not start"
	for name, c := range map[string]struct {
		opts []kfake.Opt
		make func(f *fake) // makes what is wrong
		cfg  DoctorConfig
		want [][]string
	}{
		"no topic": {
			cfg: DoctorConfig{Topic: "none"},
			want: [][]string{
				{"failed topic none: it is not there"}, {"holds source: nothing"}, {"holds sink: nothing"},
			},
		},
		"a timeout that is too long": {
			cfg: DoctorConfig{TransactionTimeout: time.Hour},
			want: [][]string{
				{"failed transaction.max.timeout.ms: 15m0s transaction.timeout = '1h0m0s'"},
				{
					"failed transactions: INVALID_TRANSACTION_TIMEOUT",
					"transaction.max.timeout.ms of the brokers at most",
				},
				{"holds sink: " + never},
			},
		},
		"a cursor topic with retention": {
			make: func(f *fake) { f.create(DefaultCursorTopic, 1, nil) },
			want: [][]string{
				{"failed cursor topic velo-cursors: cleanup.policy is \"delete\""}, {"holds sink: " + never},
			},
		},
		"a cursor topic with partitions": {
			make: func(f *fake) {
				f.create(DefaultCursorTopic, 3, map[string]*string{"cleanup.policy": kadm.StringPtr("compact")})
			},
			want: [][]string{{"failed cursor topic velo-cursors: it has 3 partitions"}, {"holds sink: " + never}},
		},
		"old brokers": {
			opts: []kfake.Opt{kfake.MaxVersions(kversion.V2_6_0())},
			want: [][]string{
				{"warning version: ", "there are no topic ids"}, {
					"holds source: ",
					"except for a topic that was made anew",
				},
			},
		},
		"a short retention, and leaders that lack records": {
			make: func(f *fake) {
				f.create("brief", 1, map[string]*string{
					"retention.ms": kadm.StringPtr("3600000"), "unclean.leader.election.enable": kadm.StringPtr("true"),
				})
			},
			cfg: DoctorConfig{Topic: "brief"},
			want: [][]string{
				{"warning retention.ms of brief: 1h0m0s"},
				{"warning unclean.leader.election.enable of brief: true"},
				{"holds sink: ", "may lose what they have acknowledged"},
			},
		},
		"no fencing": {
			make: func(f *fake) {
				f.control.ControlKey(kmsg.EndTxn.Int16(), func(r kmsg.Request) (kmsg.Response, error, bool) {
					f.control.KeepControl()
					return r.ResponseKind(), nil, true
				})
			},
			want: [][]string{
				{"failed fencing: a producer with epoch", "could both write"},
				{"holds sink: ", "as long as no two processes have the state"},
			},
		},
		"no right to begin transactions": {
			make: func(f *fake) {
				f.control.ControlKey(kmsg.InitProducerID.Int16(), func(r kmsg.Request) (kmsg.Response, error, bool) {
					f.control.KeepControl()
					resp := r.ResponseKind().(*kmsg.InitProducerIDResponse)
					resp.ErrorCode = 53 // TRANSACTIONAL_ID_AUTHORIZATION_FAILED
					return resp, nil, true
				})
			},
			want: [][]string{
				{"failed transactions: TRANSACTIONAL_ID_AUTHORIZATION_FAILED", "velo-*"}, {"holds sink: " + never},
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFakeWith(t, append(c.opts, kfake.NumBrokers(1))...)
			if c.make != nil {
				c.make(f)
			}
			c.cfg.Client.Brokers = f.addresses
			lines := diagnose(t, c.cfg)
			for _, want := range c.want {
				if !has(lines, want...) {
					t.Errorf("%q is missing in\n%s", want, strings.Join(lines, "\n"))
				}
			}
		})
	}
}

// newFakeWith is newFake with options of the cluster.
func newFakeWith(t *testing.T, opts ...kfake.Opt) *fake {
	c, err := kfake.NewCluster(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	client, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return &fake{t, c.ListenAddrs(), client, kadm.NewClient(client), c}
}

// Goal: a broker whose address this machine cannot reach is named, and a cluster that nobody
// reaches is one failure. Method: two brokers, and a dialer that does not reach the second; then
// none.
func TestDoctorUnreachable(t *testing.T) {
	f := newFakeWith(t, kfake.NumBrokers(2))
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		if address == f.addresses[1] {
			return nil, errors.New("no route to host")
		}
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}
	lines := diagnose(t, DoctorConfig{Client: ClientConfig{
		Brokers: f.addresses[:1], Options: []kgo.Opt{kgo.Dialer(dial)},
	}})
	if !has(lines, "failed broker 1: "+f.addresses[1]+" does not answer", "advertised.listeners") ||
		has(lines, "broker 0") {
		t.Errorf("the findings are\n%s", strings.Join(lines, "\n"))
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := l.Addr().String()
	_ = l.Close()
	lines = diagnose(t, DoctorConfig{Client: ClientConfig{Brokers: []string{closed}}})
	if len(lines) != 1 || !has(lines, "failed brokers: none of "+closed+" answers") {
		t.Errorf("the findings are\n%s", strings.Join(lines, "\n"))
	}
	_, err = Diagnose(context.Background(), DoctorConfig{})
	if err == nil || !strings.Contains(err.Error(), "no brokers") {
		t.Errorf("%v", err)
	}
}

// Goal: the probe is registered, with options called like those of the source.
func TestDoctorOptions(t *testing.T) {
	p, ok := connect.Default.Probe("kafka")
	if !ok {
		t.Fatal("there is no probe")
	}
	f := newFake(t, 1, "o")
	o, err := connect.NewOptions(p.Options, map[string]string{
		"brokers": strings.Join(f.addresses, ","), "topic": "o", "transaction.timeout": "1 hour",
	})
	if err != nil {
		t.Fatal(err)
	}
	found, err := p.Run(context.Background(), o)
	if err != nil || !slices.ContainsFunc(found, func(f connect.Finding) bool {
		return f.Grade == connect.Failed && f.Check == "transaction.max.timeout.ms"
	}) {
		t.Errorf("%v, %v", found, err)
	}
}
