package kafka_test

import (
	"context"
	"log"

	"github.com/velo-engine/velo"
	"github.com/velo-engine/velo/connect/kafka"
	"github.com/velo-engine/velo/record"
)

// A service sums trades of a topic in windows of a minute and writes each window to another topic,
// exactly once, whatever happens to it.
func Example() {
	ctx := context.Background()
	client := kafka.ClientConfig{Brokers: []string{"localhost:9092"}}
	schema, err := record.NewSchema("trades",
		record.Field{Name: "symbol", Type: record.String}, record.Field{Name: "size", Type: record.Int64},
		record.Field{Name: "at", Type: record.Timestamp})
	if err != nil {
		log.Fatal(err)
	}
	plan, err := velo.Compile(`SELECT window_start, symbol, sum(size) AS volume FROM trades
		GROUP BY symbol, tumble(at, INTERVAL '1 minute')`, schema)
	if err != nil {
		log.Fatal(err)
	}
	written, err := plan.Written()
	if err != nil {
		log.Fatal(err)
	}
	src, err := kafka.NewSource(ctx, kafka.SourceConfig{Client: client, Topic: "trades", Schema: schema, Say: say})
	if err != nil {
		log.Fatal(err)
	}
	sink, err := kafka.NewSink(ctx, kafka.SinkConfig{
		Client: client, Topic: "volumes", Name: "volumes", Schema: written, Mode: kafka.Upsert, Keys: plan.WrittenKeys(),
	})
	if err != nil {
		log.Fatal(err)
	}
	readers, err := src.Readers(0)
	if err != nil {
		log.Fatal(err)
	}
	eng, err := velo.Start(ctx, velo.Config{Plan: plan, Readers: readers, Writer: sink, State: velo.Dir("state")})
	if err != nil {
		log.Fatal(err)
	}
	go src.Grow(ctx, readers[0], func(ctx context.Context, r velo.Reader) error {
		_, err := eng.AddReader(ctx, r)
		return err
	})
	log.Fatal(eng.Wait())
}

func say(text string) { log.Print(text) }
