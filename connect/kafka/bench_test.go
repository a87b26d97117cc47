package kafka

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"math/rand/v2"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/avro"
	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/velo-engine/velo/record"
)

// benchRecords are the records of a topic of a benchmark.
const benchRecords = 1_000_000

// benchCase is a format with the values that it reads.
type benchCase struct {
	name   string
	cfg    SourceConfig
	fields []record.Field
	value  func(to []byte, n int) []byte
	// parse is what an ordinary loop does with a value.
	parse func(value []byte) (int, error)
}

var benchCases = []benchCase{
	{"raw", SourceConfig{Format: Raw}, []record.Field{{Name: "v", Type: record.String}}, func(to []byte, n int) []byte {
		return fmt.Appendf(to, "%0100d", n)
	}, func(value []byte) (int, error) { return len(value), nil }},
	{"int64", SourceConfig{Format: Raw}, []record.Field{{Name: "v", Type: record.Int64}}, func(to []byte,
		n int,
	) []byte {
		return binary.BigEndian.AppendUint64(to, uint64(n))
	}, func(value []byte) (int, error) { return int(binary.BigEndian.Uint64(value)), nil }},
	{
		"csv100",
		SourceConfig{Format: CSV},
		[]record.Field{{Name: "k", Type: record.Int64}, {Name: "v", Type: record.Int64}, {
			Name: "s",
			Type: record.String,
		}},
		func(to []byte, n int) []byte { return fmt.Appendf(to, "%d,%d,%080d", n%1000, n, n) },
		func(value []byte) (int, error) {
			k, rest, _ := bytes.Cut(value, []byte{','})
			v, _, _ := bytes.Cut(rest, []byte{','})
			key, errK := strconv.Atoi(string(k))
			n, errV := strconv.Atoi(string(v))
			return key + n, errors.Join(errK, errV)
		},
	},
	{
		"json200",
		SourceConfig{Format: JSON},
		[]record.Field{{Name: "k", Type: record.Int64}, {Name: "v", Type: record.Int64}, {
			Name: "s",
			Type: record.String,
		}},
		func(to []byte, n int) []byte {
			return fmt.Appendf(to, `{"k":%d,"v":%d,"s":"%080d","pad":"%060d"}`, n%1000, n, n, n)
		},
		func(value []byte) (int, error) {
			var row struct {
				K, V int
				S    string
			}
			err := json.Unmarshal(value, &row)
			return row.K + row.V, err
		},
	},
}

// fill writes the records of a case to a topic with one partition.
func (f *fake) fill(topic string, c *benchCase, codec kgo.CompressionCodec) {
	f.create(topic, 1, nil)
	f.produceCase(topic, c, codec)
}

// produceCase adds the records of a case to a topic.
func (f *fake) produceCase(topic string, c *benchCase, codec kgo.CompressionCodec) {
	p, err := kgo.NewClient(kgo.SeedBrokers(f.addresses...), kgo.ProducerBatchCompression(codec),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.MaxBufferedRecords(50_000))
	if err != nil {
		f.t.Fatal(err)
	}
	defer p.Close()
	var failed error
	for n := range benchRecords {
		p.Produce(context.Background(), &kgo.Record{Topic: topic, Value: c.value(nil, n)}, func(_ *kgo.Record,
			err error,
		) {
			failed = errors.Join(failed, err)
		})
	}
	if err := errors.Join(p.Flush(context.Background()), failed); err != nil {
		f.t.Fatal(err)
	}
}

// BenchmarkSource reads a topic, as an engine does, beside the ordinary loop over PollFetches,
// which makes an object of each record and parses the values with the standard library. The figure
// is CPU time of this process for each record, which is the client's alone: the broker, fake or
// real, is another process.
func BenchmarkSource(b *testing.B) {
	for name, cluster := range map[string]func(testing.TB, int32, ...string) *fake{
		"fake": newFakeProcess, "real": newReal,
	} {
		for _, codec := range []struct {
			name string
			kgo.CompressionCodec
		}{{"none", kgo.NoCompression()}, {"lz4", kgo.Lz4Compression()}} {
			for _, c := range benchCases {
				b.Run(fmt.Sprintf("broker=%s/codec=%s/values=%s", name, codec.name, c.name), func(b *testing.B) {
					f := cluster(b, 1)
					topic := "bench-" + codec.name + "-" + c.name
					f.fill(topic, &c, codec.CompressionCodec)
					cfg := c.cfg
					cfg.Topic, cfg.Schema, cfg.UntilEnd = topic, schemaOf(b, c.fields...), true
					b.Run("impl=velo", func(b *testing.B) { perRecord(b, func() { readRecords(b, f, cfg, benchRecords) }) })
					b.Run("impl=PollFetches", func(b *testing.B) {
						perRecord(b, func() {
							pollTopic(b, f, topic, c.parse, benchRecords)
						})
					})
				})
			}
		}
	}
}

// perRecord reports the CPU time and the allocations of a record.
func perRecord(b *testing.B, work func()) {
	var before, after runtime.MemStats
	work()
	runtime.ReadMemStats(&before)
	began := cpuTime()
	for b.Loop() {
		work()
	}
	spent := cpuTime() - began
	runtime.ReadMemStats(&after)
	n := float64(b.N) * benchRecords
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(spent.Nanoseconds())/n, "cpu-ns/record")
	b.ReportMetric(n/spent.Seconds()/1e6, "M-records/cpu-s")
	b.ReportMetric(float64(after.Mallocs-before.Mallocs)/n, "allocs/record")
	b.ReportMetric(float64(after.TotalAlloc-before.TotalAlloc)/n, "B/record")
}

// readRecords reads all records of a topic, as an engine does.
func readRecords(b *testing.B, f *fake, cfg SourceConfig, records int) {
	s, err := f.source(cfg)
	if err != nil {
		b.Fatal(err)
	}
	rs, err := s.Readers(1)
	if err != nil {
		b.Fatal(err)
	}
	batch := record.NewBatch(cfg.Schema, 0)
	n := 0
	for err == nil {
		batch.Reset()
		err = rs[0].(*Reader).Read(context.Background(), batch)
		n += batch.Len()
	}
	if !errors.Is(err, io.EOF) || n != records {
		b.Fatalf("%d records, %v", n, err)
	}
	if err := rs[0].Close(); err != nil {
		b.Fatal(err)
	}
}

// pollTopic reads them by the ordinary loop.
func pollTopic(b *testing.B, f *fake, topic string, parse func([]byte) (int, error), records int) {
	client, err := kgo.NewClient(kgo.SeedBrokers(f.addresses...), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().AtStart()}}))
	if err != nil {
		b.Fatal(err)
	}
	defer client.Close()
	sum := 0
	for n := 0; n < records; {
		fetches := client.PollFetches(context.Background())
		if err := fetches.Err(); err != nil {
			b.Fatal(err)
		}
		fetches.EachPartition(func(p kgo.FetchTopicPartition) {
			for _, r := range p.Records {
				v, err := parse(r.Value)
				if err != nil {
					b.Fatal(err)
				}
				sum += v
			}
			n += len(p.Records)
		})
	}
}

// BenchmarkDecode reads batches in memory, without a broker: what the engine's thread does for each
// record. It reports the CPU time of that thread, which other work on the machine changes less than
// the time on the clock.
func BenchmarkDecode(b *testing.B) {
	for _, c := range benchCases {
		b.Run("values="+c.name, func(b *testing.B) {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			var log []byte
			offset := int64(0)
			for range 16 {
				batch := testBatch{base: offset, timestamp: 1_700_000_000_000, producer: -1}
				for range 1000 {
					batch.records = append(batch.records, testRecord{
						offset: offset, timestamp: batch.timestamp,
						value: c.value(nil, int(offset)),
					})
					offset++
				}
				batch.last = offset - 1
				log = append(log, batch.encode(b)...)
			}
			cfg := c.cfg
			cfg.Schema = schemaOf(b, c.fields...)
			cfg.fill()
			k := &consumer{cfg: &cfg}
			r, err := k.newReader()
			if err != nil {
				b.Fatal(err)
			}
			p := &partition{end: -1, split: "s", cursor: cursor{committed: true}}
			r.own(p)
			r.begun = true
			batch := record.NewBatch(cfg.Schema, 0)
			b.ReportAllocs()
			n := 0
			began := threadTime()
			for b.Loop() {
				p.cursor.next, p.queue = 0, append(p.queue[:0], chunk{batches: log})
				for got := 0; got < int(offset); {
					batch.Reset()
					if err := r.Poll(batch); err != nil {
						b.Fatal(err)
					}
					got += batch.Len()
				}
				n += int(offset)
			}
			b.ReportMetric(float64((threadTime()-began).Nanoseconds())/float64(n), "cpu-ns/record")
		})
	}
}

// BenchmarkAvro reads values in Avro into columns, beside the library that makes a struct of each.
func BenchmarkAvro(b *testing.B) {
	const n = 1000
	parsed := avro.MustParse(tradeSchema)
	random := rand.New(rand.NewPCG(1, 2))
	var values [][]byte
	for range n {
		v, _ := randomTrade(random)
		values = append(values, encoded(b, 1, tradeSchema, v))
	}
	b.Run("impl=velo", func(b *testing.B) {
		types := avroTypes{named: map[string]*avroType{}}
		typ, err := types.of(parsed.Root(), "")
		if err != nil {
			b.Fatal(err)
		}
		schema := schemaOf(b, tradeFields...)
		d := newSchemaDecoder(&SourceConfig{}, schema, nil)
		p := &schemaPlan{}
		p.compile(d, &writtenSchema{avro: typ})
		d.plans[1] = p
		batch := record.NewBatch(schema, n)
		perValue(b, n, func() {
			batch.Reset()
			for _, v := range values {
				d.add(v)
			}
			if d.parse(batch) != n || batch.Len() != n {
				b.Fatalf("%d rows", batch.Len())
			}
		})
	})
	b.Run("impl=library", func(b *testing.B) {
		type user struct {
			ID   int64 `avro:"id"`
			Home *struct {
				City string `avro:"city"`
			} `avro:"home"`
			Tags []string `avro:"tags"`
		}
		var row struct {
			Who    user           `avro:"who"`
			Extra  map[string]any `avro:"extra"`
			Side   string         `avro:"side"`
			Price  *float64       `avro:"price"`
			Fee    *big.Rat       `avro:"fee"`
			At     time.Time      `avro:"at"`
			Paid   *bool          `avro:"paid"`
			Raw    [4]byte        `avro:"raw"`
			Friend *user          `avro:"friend"`
		}
		perValue(b, n, func() {
			for _, v := range values {
				_, err := parsed.Decode(v[schemaHeader:], &row)
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	})
}

// perValue reports the CPU time of the thread for each of n values.
func perValue(b *testing.B, n int, read func()) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	b.ReportAllocs()
	began := threadTime()
	for b.Loop() {
		read()
	}
	b.ReportMetric(float64((threadTime()-began).Nanoseconds())/float64(n*b.N), "cpu-ns/record")
}

// BenchmarkProtobuf reads values in Protobuf into columns, beside the library that makes a message
// of each. The library knows the schema at run time only, as we do; code that protoc has generated
// would be faster.
func BenchmarkProtobuf(b *testing.B) {
	const n = 1000
	file := compiled(b, orderProto)
	md := file.Messages().ByName("Order")
	random := rand.New(rand.NewPCG(1, 2))
	var values [][]byte
	for range n {
		m := dynamicpb.NewMessage(md)
		fillRandom(random, m, 2)
		text, err := proto.Marshal(m)
		if err != nil {
			b.Fatal(err)
		}
		values = append(values, text)
	}
	b.Run("impl=velo", func(b *testing.B) {
		d, _ := protoDecoder(b, file, orderFields)
		batch := record.NewBatch(d.schema, n)
		var framed [][]byte
		for _, v := range values {
			framed = append(framed, protoFrame(1, v, 1))
		}
		perValue(b, n, func() {
			for _, v := range framed {
				d.add(v)
			}
			for got := 0; got < n; got += batch.Len() {
				batch.Reset()
				d.parse(batch)
				if batch.Len() == 0 {
					b.Fatalf("%v are set aside", batch.Rejects())
				}
			}
		})
	})
	b.Run("impl=library", func(b *testing.B) {
		m := dynamicpb.NewMessage(md)
		perValue(b, n, func() {
			for _, v := range values {
				err := proto.Unmarshal(v, m)
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	})
}
