package kafka

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/velo-engine/velo/connect"
)

func init() {
	options := slices.Clone(clientOptions)
	for i := range options {
		if options[i].Name == "topic" {
			options[i].Required = false
		}
	}
	connect.RegisterProbe("kafka", connect.Probe{
		Options: append(options, connect.Option{Name: "cursor.topic"},
			connect.Option{Name: "transaction.timeout", Kind: connect.Duration}),
		Run: func(ctx context.Context, o *connect.Options) ([]connect.Finding, error) {
			client, err := clientConfig(o)
			if err != nil {
				return nil, err
			}
			return Diagnose(ctx, DoctorConfig{
				Client: client, Topic: o.Text("topic"), CursorTopic: o.Text("cursor.topic"),
				TransactionTimeout: o.Duration("transaction.timeout"),
			})
		},
	})
}

// DoctorConfig says what Diagnose looks at.
type DoctorConfig struct {
	Client ClientConfig
	// Topic is a topic that a job will read or write; "" looks at the cluster alone.
	Topic string
	// CursorTopic and TransactionTimeout are what a sink would have: see SinkConfig.
	CursorTopic        string
	TransactionTimeout time.Duration
}

// Limits of what Diagnose finds good.
const (
	// firstTopicIDs is the version of Metadata that has the ids of topics: Kafka 2.8.
	firstTopicIDs = 10

	// firstFencing is the version of InitProducerID from which on a producer that has an old epoch
	// is told that it was fenced: Kafka 2.7.
	firstFencing = 4

	// shortRetention is a retention that a job which stands still over a weekend does not survive.
	shortRetention = 72 * time.Hour

	// probeTimeout bounds one step, so that a step that hangs does not take the time of others.
	probeTimeout = 10 * time.Second
)

// Diagnose looks at a cluster and says what a job can rely on. It writes no record. It begins
// transactions of an id of its own, which the cluster forgets by itself
// (transactional.id.expiration.ms). If there is a topic, it adds a partition to a transaction and
// aborts it, which leaves a control record there that no consumer sees. The error says that the
// configuration is wrong; what is wrong with the cluster is in the findings.
func Diagnose(ctx context.Context, cfg DoctorConfig) ([]connect.Finding, error) {
	opts, err := cfg.Client.options()
	if err != nil {
		return nil, err
	}
	// A broker that does not answer is a finding, and not something to wait for.
	client, err := kgo.NewClient(append(opts, kgo.RetryTimeout(probeTimeout), kgo.DialTimeout(probeTimeout/2))...)
	if err != nil {
		return nil, fmt.Errorf("kafka: %w", err)
	}
	defer client.Close()
	cfg.CursorTopic = cmp.Or(cfg.CursorTopic, DefaultCursorTopic)
	cfg.TransactionTimeout = cmp.Or(cfg.TransactionTimeout, DefaultTransactionTimeout)
	d := &doctor{cfg: cfg, client: client, adm: kadm.NewClient(client)}
	if d.brokers(ctx) {
		d.limits(ctx)
		if cfg.Topic != "" {
			d.topic(ctx)
		}
		d.cursorTopic(ctx)
		d.transactions(ctx)
	}
	d.guarantees()
	return d.found, nil
}

// doctor is one look at a cluster.
type doctor struct {
	cfg    DoctorConfig
	client *kgo.Client
	adm    *kadm.Client
	found  []connect.Finding

	nodes int // brokers of the cluster
	// What the guarantees depend on.
	reachable, noIDs, noTopic, noTransactions, noFencing, noCursor, lossy bool
}

func (d *doctor) add(grade connect.Grade, check, found, advice string) {
	d.found = append(d.found, connect.Finding{Grade: grade, Check: check, Found: found, Advice: advice})
}

// brokers asks all brokers for their versions. It returns false if there is nobody to ask anything
// else.
func (d *doctor) brokers(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, 2*probeTimeout)
	defer cancel()
	began := time.Now()
	meta, err := d.adm.BrokerMetadata(ctx)
	if err != nil {
		d.add(connect.Failed, "brokers", fmt.Sprintf("none of %s answers: %v", strings.Join(d.cfg.Client.Brokers, ", "),
			err), "check the addresses, TLS (tls) and authentication (sasl)")
		return false
	}
	d.reachable, d.nodes = true, len(meta.Brokers)
	took := time.Since(began).Round(time.Millisecond)
	versions, err := d.adm.ApiVersions(ctx)
	if err != nil {
		d.add(connect.Failed, "brokers", err.Error(), "")
		return false
	}
	at := map[int32]string{}
	for _, b := range meta.Brokers {
		at[b.NodeID] = fmt.Sprintf("%s:%d", b.Host, b.Port)
	}
	answered, guesses := 0, []string{}
	noIDs, noFencing := false, false
	for _, v := range versions.Sorted() {
		if v.Err != nil {
			d.reachable = false
			d.add(connect.Failed, fmt.Sprintf("broker %d", v.NodeID), fmt.Sprintf("%s does not answer: %v",
				at[v.NodeID],
				v.Err),
				"this is the address that the brokers tell clients (advertised.listeners): it must be one that "+
					"this machine can reach")
			continue
		}
		answered++
		guess := v.VersionGuess()
		if !slices.Contains(guesses, guess) {
			guesses = append(guesses, guess)
		}
		ids, _ := v.KeyMaxVersion(kmsg.Metadata.Int16())
		fences, ok := v.KeyMaxVersion(kmsg.InitProducerID.Int16())
		noIDs, noFencing = noIDs || ids < firstTopicIDs, noFencing || !ok || fences < firstFencing
	}
	d.noIDs, d.noFencing = noIDs, noFencing
	if answered == d.nodes {
		d.add(connect.Fine, "brokers", fmt.Sprintf("%d of %d answer, the first after %v", answered, d.nodes, took), "")
	}
	if answered == 0 {
		return false
	}
	d.versions(guesses)
	return true
}

// versions says what follows from the versions of the brokers.
func (d *doctor) versions(guesses []string) {
	all := strings.Join(guesses, "; ")
	switch {
	case d.noIDs:
		d.add(connect.Warning, "version", all+": there are no topic ids",
			"a topic that is deleted and made again while "+
				"a job stands still is not noticed: brokers from 2.8 on have ids")
	case d.noFencing:
		d.add(connect.Warning, "version", all, "brokers from 2.7 on tell a producer that was fenced why it was")
	case len(guesses) > 1:
		d.add(connect.Warning, "version", all, "the brokers differ: the oldest decides what a job can use")
	default:
		d.add(connect.Fine, "version", all, "")
	}
}

// configOf is a configuration of a broker or a topic; "" if it is not known.
func configOf(configs kadm.ResourceConfigs, name string) string {
	for _, r := range configs {
		for _, c := range r.Configs {
			if c.Key == name && r.Err == nil {
				return c.MaybeValue()
			}
		}
	}
	return ""
}

// numberOf is a configuration that is a number.
func numberOf(configs kadm.ResourceConfigs, name string) (int64, bool) {
	n, err := strconv.ParseInt(configOf(configs, name), 10, 64)
	return n, err == nil
}

// limits looks at the configuration of a broker.
func (d *doctor) limits(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	brokers, err := d.adm.ListBrokers(ctx)
	var configs kadm.ResourceConfigs
	if err == nil && len(brokers) > 0 {
		configs, err = d.adm.DescribeBrokerConfigs(ctx, brokers[0].NodeID)
	}
	if err == nil && len(configs) > 0 {
		err = configs[0].Err
	}
	if err != nil || len(configs) == 0 {
		d.add(connect.Warning, "limits", fmt.Sprintf("the configuration of the brokers cannot be read: %v", err),
			"nothing depends on it but this report: DescribeConfigs on the cluster allows it")
		return
	}
	most, ok := numberOf(configs, "transaction.max.timeout.ms")
	if ok {
		limit := time.Duration(most) * time.Millisecond
		if d.cfg.TransactionTimeout > limit {
			d.add(connect.Failed, "transaction.max.timeout.ms", limit.String(),
				fmt.Sprintf("transaction.timeout = '%v' "+
					"of the sink is more: no transaction can be begun", d.cfg.TransactionTimeout))
		} else {
			d.add(connect.Fine, "transaction.max.timeout.ms", fmt.Sprintf("%v, and a sink asks for %v", limit,
				d.cfg.TransactionTimeout), "")
		}
	}
	for _, name := range []string{"transaction.state.log.replication.factor", "offsets.topic.replication.factor"} {
		n, ok := numberOf(configs, name)
		if ok && n < 2 && d.nodes > 1 {
			d.add(connect.Warning, name, fmt.Sprint(n),
				"if that one broker is lost, transactions and groups stop: 3 is "+
					"usual")
		}
	}
	n, ok := numberOf(configs, "offsets.retention.minutes")
	if ok {
		d.add(connect.Fine, "offsets.retention.minutes", (time.Duration(n)*time.Minute).String()+": offsets of a "+
			"group are for tools that show lag; a job goes on from its state, however old that is", "")
	}
	n, ok = numberOf(configs, "transactional.id.expiration.ms")
	if ok {
		d.add(connect.Fine, "transactional.id.expiration.ms", (time.Duration(n)*time.Millisecond).String()+": a job "+
			"that stands still for longer goes on nevertheless, by its cursor", "")
	}
}

// topic looks at the topic of a job.
func (d *doctor) topic(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	check := "topic " + d.cfg.Topic
	topics, err := d.adm.ListTopics(ctx, d.cfg.Topic)
	if err == nil {
		err = topics[d.cfg.Topic].Err
	}
	t := topics[d.cfg.Topic]
	if err != nil || len(t.Partitions) == 0 {
		d.noTopic = true
		d.add(connect.Failed, check, fmt.Sprintf("it is not there, or the user may not see it: %v", err),
			"make it, or "+
				"grant Describe and Read (a source) or Write (a sink)")
		return
	}
	offline, lacking := 0, 0
	for _, p := range t.Partitions {
		switch {
		case p.Leader < 0 || p.Err != nil && !errors.Is(p.Err, kerr.ReplicaNotAvailable):
			offline++
		case len(p.ISR) < len(p.Replicas):
			lacking++
		}
	}
	is := fmt.Sprintf("%d partitions with %d replicas, id %s", len(t.Partitions), t.Partitions.NumReplicas(),
		idText(t.ID))
	switch {
	case offline > 0:
		d.add(connect.Failed, check, fmt.Sprintf("%s; %d of them have no leader", is, offline),
			"neither a source nor a "+
				"sink can go on without them")
	case lacking > 0:
		d.add(connect.Warning, check, fmt.Sprintf("%s; %d of them lack a replica that is in sync", is, lacking), "")
	default:
		d.add(connect.Fine, check, is, "")
	}
	ends, err := d.adm.ListCommittedOffsets(ctx, d.cfg.Topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil && offline == 0 {
		d.add(connect.Failed, check, fmt.Sprintf("where it ends cannot be asked: %v", err), "")
	}
	d.topicLimits(ctx, d.cfg.Topic, t.Partitions.NumReplicas())
}

// topicLimits looks at the configuration of a topic.
func (d *doctor) topicLimits(ctx context.Context, topic string, replicas int) {
	of := func(name string) string { return name + " of " + topic }
	configs, err := d.adm.DescribeTopicConfigs(ctx, topic)
	if err == nil && len(configs) > 0 {
		err = configs[0].Err
	}
	if err != nil || len(configs) == 0 {
		d.add(connect.Warning, of("limits"), fmt.Sprintf("its configuration cannot be read: %v", err),
			"DescribeConfigs on the topic allows it")
		return
	}
	least, ok := numberOf(configs, "min.insync.replicas")
	check, is := of("min.insync.replicas"), fmt.Sprintf("%d of %d replicas", least, replicas)
	switch {
	case !ok:
	case replicas == 1:
		d.lossy = true
		d.add(connect.Warning, check, is,
			"what is written is lost with the disk of one broker, and the cursor may still "+
				"say that it is there")
	case least < 2:
		d.lossy = true
		d.add(connect.Warning, check, is,
			"the leader alone may acknowledge a write, so it is lost with it: 2 of 3 is usual")
	case int(least) >= replicas:
		d.add(connect.Warning, check, is, "one broker that is down stops all writes")
	default:
		d.add(connect.Fine, check, is, "")
	}
	if configOf(configs, "unclean.leader.election.enable") == "true" {
		d.lossy = true
		d.add(connect.Warning, of("unclean.leader.election.enable"), "true", "a replica that lacks records may become "+
			"leader: a source that has read them ends with an error (the log was cut off), and what a sink "+
			"wrote is lost")
	}
	policy := configOf(configs, "cleanup.policy")
	ms, ok := numberOf(configs, "retention.ms")
	retention := time.Duration(ms) * time.Millisecond
	switch {
	case !strings.Contains(policy, "delete") || !ok:
	case ms < 0:
		d.add(connect.Fine, of("retention.ms"), "records are kept for ever", "")
	case retention < shortRetention:
		d.add(connect.Warning, of("retention.ms"), retention.String(),
			"a source that stands still for longer finds that "+
				"records are gone, and ends (--skip-gaps goes on without them)")
	default:
		d.add(connect.Fine, of("retention.ms"), retention.String(), "")
	}
	longest, ok := numberOf(configs, "max.message.bytes")
	if ok {
		d.add(connect.Fine, of("max.message.bytes"), fmt.Sprintf("%d: a row that is longer as JSON is refused by the "+
			"brokers", longest), "")
	}
}

// cursorTopic looks whether a sink has, or can make, its cursor topic.
func (d *doctor) cursorTopic(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	name := d.cfg.CursorTopic
	check := "cursor topic " + name
	topics, err := d.adm.ListTopics(ctx, name)
	t := topics[name]
	if err == nil && t.Err == nil {
		policy := "compact"
		configs, failed := d.adm.DescribeTopicConfigs(ctx, name)
		if failed == nil {
			policy = cmp.Or(configOf(configs, "cleanup.policy"), policy)
		}
		switch {
		case len(t.Partitions) != 1:
			d.noCursor = true
			d.add(connect.Failed, check, fmt.Sprintf("it has %d partitions, expected 1", len(t.Partitions)),
				"name another one: cursor.topic")
		case policy != "compact":
			d.noCursor = true
			d.add(connect.Failed, check, fmt.Sprintf("cleanup.policy is %q, expected compact", policy),
				"retention would remove the cursor: set cleanup.policy to compact")
		default:
			d.add(connect.Fine, check, "one partition, compacted", "")
		}
		return
	}
	made, err := d.adm.ValidateCreateTopics(ctx, 1, -1, map[string]*string{"cleanup.policy": kadm.StringPtr("compact")},
		name)
	if err == nil {
		err = made[name].Err
	}
	if err != nil {
		d.noCursor = true
		d.add(connect.Failed, check, fmt.Sprintf("it is not there, and cannot be made: %v", err), "have it made: one "+
			"partition, cleanup.policy=compact, replicated; or grant Create on the cluster")
		return
	}
	d.add(connect.Fine, check, "it is not there yet, and a sink can make it", "")
}

// transactions begins transactions, and looks whether an earlier producer is fenced.
func (d *doctor) transactions(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 3*probeTimeout)
	defer cancel()
	random := make([]byte, 8)
	_, _ = rand.Read(random) // it never fails
	id := "velo-doctor-" + hex.EncodeToString(random)
	began := time.Now()
	first, err := d.initProducer(ctx, id)
	if err == nil && d.cfg.Topic != "" && !d.noTopic {
		err = d.abortOne(ctx, id, first)
	}
	if err != nil {
		d.noTransactions = true
		advice := "a sink needs Write and Describe on the transactional ids velo-*, Write on its topic, and " +
			"IdempotentWrite on the cluster (before Kafka 2.8)"
		switch {
		case errors.Is(err, kerr.InvalidTransactionTimeout):
			advice = "transaction.timeout of the sink must be transaction.max.timeout.ms of the brokers at most"
		case errors.Is(err, kerr.CoordinatorNotAvailable), errors.Is(err, context.DeadlineExceeded):
			advice = "the brokers have no coordinator: __transaction_state cannot be made or has no leader; look at " +
				"transaction.state.log.replication.factor and transaction.state.log.min.isr"
		}
		d.add(connect.Failed, "transactions", err.Error(), advice)
		return
	}
	d.add(connect.Fine, "transactions", fmt.Sprintf("begun and aborted within %v",
		time.Since(began).Round(time.Millisecond)), "")
	// Brokers from 4.0 on take the last epoch but one for the repetition of a request whose answer
	// was lost. So the producer that must be fenced is two starts old.
	old, err := d.initProducer(ctx, id)
	newest := old
	for range 2 {
		if err == nil {
			newest, err = d.initProducer(ctx, id)
		}
	}
	if err == nil {
		err = d.end(ctx, id, old)
	}
	switch {
	case err == nil:
		d.noFencing = true
		d.add(connect.Failed, "fencing", fmt.Sprintf("a producer with epoch %d ends a transaction after another one "+
			"with epoch %d has begun", old.ProducerEpoch, newest.ProducerEpoch), "two processes with one state could "+
			"both write")
	case errors.Is(err, kerr.InvalidProducerEpoch), errors.Is(err, kerr.ProducerFenced),
		errors.Is(err, kerr.InvalidProducerIDMapping):
		d.noFencing = false
		d.add(connect.Fine, "fencing", "a producer from before cannot write any more: "+kerrName(err), "")
	default:
		d.noFencing = true
		d.add(connect.Failed, "fencing", fmt.Sprintf("it is not known: %v", err), "")
	}
}

// kerrName is the name of an error of Kafka.
func kerrName(err error) string {
	var e *kerr.Error
	if errors.As(err, &e) {
		return e.Message
	}
	return err.Error()
}

// initProducer gets a producer id, as a sink does at its start.
func (d *doctor) initProducer(ctx context.Context, id string) (*kmsg.InitProducerIDResponse, error) {
	req := kmsg.NewPtrInitProducerIDRequest()
	req.TransactionalID = &id
	req.TransactionTimeoutMillis = int32(d.cfg.TransactionTimeout.Milliseconds())
	req.ProducerID, req.ProducerEpoch = -1, -1
	for {
		resp, err := req.RequestWith(ctx, d.client)
		if err == nil {
			err = kerr.ErrorForCode(resp.ErrorCode)
		}
		if err == nil || !kerr.IsRetriable(err) && !errors.Is(err, kerr.ConcurrentTransactions) || ctx.Err() != nil {
			return resp, err
		}
		select { // the transaction before may still be ending
		case <-time.After(backoffMin):
		case <-ctx.Done():
			return resp, err
		}
	}
}

// abortOne adds a partition of the topic to a transaction, and aborts it.
func (d *doctor) abortOne(ctx context.Context, id string, p *kmsg.InitProducerIDResponse) error {
	req := kmsg.NewPtrAddPartitionsToTxnRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch = id, p.ProducerID, p.ProducerEpoch
	topic := kmsg.NewAddPartitionsToTxnRequestTopic()
	topic.Topic, topic.Partitions = d.cfg.Topic, []int32{0}
	req.Topics = append(req.Topics, topic)
	resp, err := req.RequestWith(ctx, d.client)
	if err != nil {
		return err
	}
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			err = cmp.Or(err, kerr.ErrorForCode(p.ErrorCode))
		}
	}
	if err != nil {
		return fmt.Errorf("topic %q: %w", d.cfg.Topic, err)
	}
	return d.end(ctx, id, p)
}

// end aborts a transaction.
func (d *doctor) end(ctx context.Context, id string, p *kmsg.InitProducerIDResponse) error {
	req := kmsg.NewPtrEndTxnRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch = id, p.ProducerID, p.ProducerEpoch
	resp, err := req.RequestWith(ctx, d.client)
	if err != nil {
		return err
	}
	return kerr.ErrorForCode(resp.ErrorCode)
}

// guarantees says what follows.
func (d *doctor) guarantees() {
	if !d.reachable && d.nodes == 0 {
		return
	}
	source := "with --state no record is lost and none is counted twice; what cannot be gone on with is refused"
	if d.noIDs {
		source += ", except for a topic that was made anew while the job stood still"
	}
	if d.noTopic {
		source = "nothing: there is no topic to read"
	}
	sink := "with --state each row exactly once, for readers with read_committed; without it at least once"
	switch {
	case d.noTopic:
		sink = "nothing: there is no topic to write to"
	case d.noTransactions || d.noCursor:
		sink = "a job with --state does not start; without it each row is written at least once"
	case d.noFencing:
		sink = "with --state each row exactly once, as long as no two processes have the state"
	}
	if d.lossy && !d.noTopic {
		sink += "; and the brokers may lose what they have acknowledged, see above"
	}
	d.add(connect.Holds, "source", source, "")
	d.add(connect.Holds, "sink", sink, "")
}
