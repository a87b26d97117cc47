package kafka

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Goal: who reads an error of the sink at night learns the topic, the partition, and what to look
// at. Method: a broker refuses what is produced, in each of some ways; with a cursor and without.
func TestSinkErrorsSayWhere(t *testing.T) {
	for _, c := range []struct {
		refuses error
		says    string
	}{
		{kerr.MessageTooLarge, "max.message.bytes"},
		{kerr.TopicAuthorizationFailed, "to WRITE it"},
		{kerr.InvalidRecord, "cleanup.policy = compact without a key"},
		{kerr.PolicyViolation, "a setting of the topic or the brokers"},
	} {
		for _, windows := range []bool{false, true} {
			cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "out"))
			if err != nil {
				t.Fatal(err)
			}
			defer cluster.Close()
			cfg := SinkConfig{
				Topic: "out", Name: "out", Keys: []string{"k"}, Schema: sinkSchema(t),
				Client: ClientConfig{Brokers: cluster.ListenAddrs()},
			}
			if windows {
				cfg.CursorTopic = "cursors"
			}
			s, err := NewSink(t.Context(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if windows {
				_, err := s.Recover(t.Context(), "job", nil)
				if err != nil {
					t.Fatal(err)
				}
			}
			refuse(cluster, c.refuses)
			err = s.Write(context.Background(), rowsOf(s.cfg.Schema, 1, 0, 1))
			if windows && err == nil {
				err = s.EndWindow(context.Background(), 1)
			}
			if !errors.Is(err, c.refuses) {
				t.Fatalf("%v, expected %v", err, c.refuses)
			}
			for _, part := range []string{`topic "out"`, "partition 0: ", c.says} {
				if strings.Count(err.Error(), part) != 1 {
					t.Errorf("windows=%v: %v\nexpected once: %s", windows, err, part)
				}
			}
		}
	}
}

// refuse has a cluster refuse all records of the topic out.
func refuse(cluster *kfake.Cluster, why error) {
	var ke *kerr.Error
	errors.As(why, &ke)
	cluster.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		p := req.(*kmsg.ProduceRequest)
		resp := p.ResponseKind().(*kmsg.ProduceResponse)
		for _, topic := range p.Topics {
			rt := kmsg.NewProduceResponseTopic()
			rt.Topic, rt.TopicID = topic.Topic, topic.TopicID
			for _, partition := range topic.Partitions {
				rp := kmsg.NewProduceResponseTopicPartition()
				rp.Partition, rp.ErrorCode = partition.Partition, ke.Code
				rt.Partitions = append(rt.Partitions, rp)
			}
			resp.Topics = append(resp.Topics, rt)
		}
		return resp, nil, true
	})
}
