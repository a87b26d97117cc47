// Package kafka reads topics of Kafka into velo, and writes results to them.
//
// Import it for a program that has velo's commands (see package velocli), and jobs may say
// connector = 'kafka'; docs/connectors.md has the options. A service makes a Source and gives its
// readers to an engine:
//
//	src, err := kafka.NewSource(ctx, kafka.SourceConfig{
//		Client: kafka.ClientConfig{Brokers: []string{"localhost:9092"}},
//		Topic:  "trades", Schema: schema,
//	})
//	rs, err := src.Readers(0)
//	eng, err := velo.Start(ctx, velo.Config{Plan: plan, Readers: rs, State: velo.Dir("state")})
//	go src.Grow(ctx, rs[0], func(ctx context.Context, r velo.Reader) error {
//		_, err := eng.AddReader(ctx, r)
//		return err
//	})
//
// # Who reads what
//
//	brokers            goroutine for each leader          runner's thread
//	partition 0 --\    fetch: whole batches, as they lie
//	partition 1 ----> in the log ----------------------> queue 0 -> Reader 0: columns
//	partition 2 --/    (one request at a time)            queue 1 -> Reader 1: columns
//
// All partitions of the topic are assigned directly; there is no consumer group and no rebalance. A
// Kafka partition has a reader of its own, so watermarks, idleness and order are those of the
// partition. If there are more partitions than SourceConfig.Readers, they are dealt, and then the
// watermark is that of the reader.
//
// A source has one client for each query, which all of its readers share. Two queries that read one
// topic at different places cannot share a fetch request, and on one connection one would wait for
// the other.
//
// The client of franz-go makes the connections, authenticates and speaks the protocol. The fetching
// is done here, with requests of the protocol, and not with PollFetches: velo needs the batches as
// they are, and must see what a consumer hides, such as a position that is gone, another topic of
// the same name, or a log that was cut off. Nothing is reset: see SourceConfig.SkipGaps.
//
// Large responses are in memory that is used again, which the client does not offer: see the top of
// responses.go.
//
// Values in Avro and Protobuf wait for the schema that they were written with: see the tops of
// avro.go and protobuf.go.
//
// # Back-pressure
//
// A partition whose queue is full is left out of the next request, and comes back when half of it
// has been read. Nothing that was fetched is dropped, and no partition waits for another one.
//
// # Where a reader stands
//
// A position is the next offset with the topic's id and the leader epoch; it belongs to each batch
// (record.Batch.SetPosition). An engine with a state goes on there. Offsets of a consumer group are
// committed after that, for tools that show lag (SourceConfig.Group), and never read.
//
// # Results
//
// A Sink writes each window, or the rows between two generations of a state, in one transaction,
// together with a note of which it is: see Sink, and the top of commit.go.
package kafka
