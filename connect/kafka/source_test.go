package kafka

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/velo-engine/velo/record"
)

// fake is a cluster to test with, in this process unless newReal has made it.
type fake struct {
	t         testing.TB
	addresses []string
	client    *kgo.Client
	adm       *kadm.Client
	control   *kfake.Cluster // nil for a real one
}

func newFake(t testing.TB, partitions int32, topics ...string) *fake {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	client, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	f := &fake{t, c.ListenAddrs(), client, kadm.NewClient(client), c}
	for _, topic := range topics {
		f.create(topic, partitions, nil)
	}
	return f
}

// create makes a topic, anew if there was one.
func (f *fake) create(topic string, partitions int32, configs map[string]*string) {
	f.t.Helper()
	f.remove(topic)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for {
		_, err := f.adm.CreateTopic(ctx, partitions, 1, configs, topic)
		if err == nil {
			return
		}
		if !errors.Is(err, kerr.TopicAlreadyExists) { // it is being removed
			f.t.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// remove removes a topic.
func (f *fake) remove(topic string) {
	f.t.Helper()
	_, err := f.adm.DeleteTopic(context.Background(), topic)
	if err != nil && !errors.Is(err, kerr.UnknownTopicOrPartition) {
		f.t.Fatal(err)
	}
}

// produce writes records, and waits for them.
func (f *fake) produce(records ...*kgo.Record) {
	f.t.Helper()
	// A client of its own knows the topic as it is now.
	client, err := kgo.NewClient(kgo.SeedBrokers(f.addresses...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		f.t.Fatal(err)
	}
	defer client.Close()
	if err := client.ProduceSync(context.Background(), records...).FirstErr(); err != nil {
		f.t.Fatal(err)
	}
}

// source makes a source of the cluster.
func (f *fake) source(cfg SourceConfig) (*Source, error) {
	cfg.Client.Brokers = f.addresses
	return NewSource(context.Background(), cfg)
}

func schemaOf(t testing.TB, fields ...record.Field) *record.Schema {
	t.Helper()
	s, err := record.NewSchema("s", fields...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// rows reads readers to their end and returns their rows as text, and what was set aside.
func rows(t testing.TB, schema *record.Schema, rs []record.Reader) (all, rejects []string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for _, r := range rs {
		b := record.NewBatch(schema, 0)
		var failed error
		for failed == nil {
			b.Reset()
			failed = r.Read(ctx, b)
			if check := b.Check(); check != nil {
				t.Fatal(check)
			}
			all = append(all, rowTexts(b)...)
			for _, x := range b.Rejects() {
				rejects = append(rejects, x.Reason.Error())
			}
		}
		if !errors.Is(failed, io.EOF) {
			err = errors.Join(err, failed)
		}
		if failed := r.Close(); failed != nil {
			t.Error(failed)
		}
	}
	return all, rejects, err
}

// rowTexts are the rows of a batch.
func rowTexts(b *record.Batch) (all []string) {
	for row := range b.Len() {
		var values []string
		for i := range b.Schema().Len() {
			c := b.Column(i)
			switch {
			case c.Null(row):
				values = append(values, "NULL")
			case c.Views != nil:
				values = append(values, string(c.View(row)))
			case c.Float64s != nil:
				values = append(values, fmt.Sprint(c.Float64s[row]))
			default:
				values = append(values, fmt.Sprint(c.Int64s[row]))
			}
		}
		all = append(all, strings.Join(values, "|"))
	}
	return all
}

// Goal: every part of a record comes into its column, for each format of values, and what does not
// fit is set aside with its place.
func TestSourceColumns(t *testing.T) {
	onEach(t, testSourceColumns)
}

func testSourceColumns(t *testing.T, cluster func(testing.TB, int32, ...string) *fake) {
	f := cluster(t, 1, "t")
	at := time.UnixMilli(time.Now().UnixMilli()) // retention would remove older ones
	long := func(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }
	texts := func(value string) []*kgo.Record {
		return []*kgo.Record{
			{Topic: "t", Key: []byte("k0"), Value: []byte(value), Timestamp: at, Headers: []kgo.RecordHeader{
				{Key: "h", Value: []byte("old")}, {Key: "h", Value: []byte("new")},
			}},
			{Topic: "t", Value: []byte("?"), Timestamp: at},
			{Topic: "t", Key: []byte("k2"), Timestamp: at},
			{Topic: "t", Value: []byte(value), Timestamp: at},
		}
	}
	meta := []record.Field{
		{Name: "key", Type: record.String, Nullable: true},
		{Name: "p", Type: record.Int64},
		{Name: "o", Type: record.Int64},
		{Name: "at", Type: record.Timestamp},
		{Name: "h", Type: record.String, Nullable: true},
	}
	values := []record.Field{
		{Name: "a", Type: record.Int64, Nullable: true}, {Name: "b", Type: record.String, Nullable: true},
	}
	for i, c := range []struct {
		cfg    SourceConfig
		fields []record.Field
		value  string
		want   string
		aside  string
	}{
		{
			SourceConfig{Format: JSON},
			values, `{"b":"x","a":7}`,
			"7|x|k0|0|0|A|new, 7|x|NULL|0|3|A|NULL", "t/0, offset 1: ",
		},
		{
			SourceConfig{Format: CSV, Tombstones: RejectTombstones},
			values, "7,x",
			"7|x|k0|0|0|A|new, 7|x|NULL|0|3|A|NULL", "t/0, offset 2: the record has no value, t/0, offset 1: 1 field,",
		},
		{
			SourceConfig{Format: JSON, Tombstones: TombstoneRows},
			values, `{"b":"x","a":7}`,
			"7|x|k0|0|0|A|new, NULL|NULL|k2|0|2|A|NULL, 7|x|NULL|0|3|A|NULL", "t/0, offset 1: ",
		},
		{
			SourceConfig{Format: Raw, Tombstones: TombstoneRows},
			[]record.Field{{Name: "v", Type: record.String, Nullable: true}},
			"abc",
			"abc|k0|0|0|A|new, ?|NULL|0|1|A|NULL, NULL|k2|0|2|A|NULL, abc|NULL|0|3|A|NULL", "",
		},
		{
			SourceConfig{Format: Raw},
			[]record.Field{{Name: "v", Type: record.Int64}},
			string(long(1 << 40)),
			"1099511627776|k0|0|0|A|new, 1099511627776|NULL|0|3|A|NULL",
			"t/0, offset 1: column \"v\": 1 bytes, expected the 8 of a number",
		},
	} {
		topic := fmt.Sprint("t", i)
		f.create(topic, 1, nil)
		for _, r := range texts(c.value) {
			r.Topic = topic
			f.produce(r)
		}
		cfg := c.cfg
		cfg.Topic, cfg.Schema, cfg.UntilEnd = topic, schemaOf(t, append(c.fields, meta...)...), true
		cfg.Key, cfg.Partition, cfg.Offset, cfg.Timestamp, cfg.Headers = "key", "p", "o", "at",
			map[string]string{"h": "h"}
		s, err := f.source(cfg)
		if err != nil {
			t.Fatal(err)
		}
		rs, err := s.Readers(1)
		if err != nil {
			t.Fatal(err)
		}
		got, rejects, err := rows(t, cfg.Schema, rs)
		want := strings.ReplaceAll(c.want, "|A|", fmt.Sprintf("|%d|", at.UnixNano()))
		if strings.Join(got, ", ") != want || err != nil {
			t.Errorf("%s, tombstones %s: %s, %v, expected %s", cfg.Format, cfg.Tombstones, strings.Join(got, ", "),
				err, want)
		}
		aside := strings.ReplaceAll(c.aside, "t/0", topic+"/0")
		if said := strings.Join(rejects, ", "); !strings.HasPrefix(said, aside) || (aside == "") != (said == "") {
			t.Errorf("%s: set aside: %s, expected %s", cfg.Format, said, aside)
		}
	}
}

// Goal: whatever the batches, codecs and partitions, all records come once and in the order of
// their partitions. Method: PollFetches of franz-go over the same topic is the twin.
func TestSourceTwin(t *testing.T) {
	onEach(t, testSourceTwin)
}

func testSourceTwin(t *testing.T, cluster func(testing.TB, int32, ...string) *fake) {
	const partitions, records = 5, 20_000
	f := cluster(t, partitions, "t")
	for i, codec := range []kgo.CompressionCodec{
		kgo.NoCompression(), kgo.GzipCompression(), kgo.SnappyCompression(), kgo.Lz4Compression(),
		kgo.ZstdCompression(),
	} {
		p, err := kgo.NewClient(kgo.SeedBrokers(f.addresses...), kgo.ProducerBatchCompression(codec),
			kgo.ProducerBatchMaxBytes(int32(4<<10<<i)), kgo.RecordPartitioner(kgo.ManualPartitioner()))
		if err != nil {
			t.Fatal(err)
		}
		for n := range records / 5 {
			value := fmt.Sprintf(`{"n":%d,"s":"%s"}`, n+i*records/5, strings.Repeat("x", n%50))
			p.Produce(context.Background(), &kgo.Record{
				Topic: "t", Partition: int32(n % partitions),
				Value: []byte(value),
			}, nil)
		}
		if err := p.Flush(context.Background()); err != nil {
			t.Fatal(err)
		}
		p.Close()
	}
	schema := schemaOf(t, record.Field{Name: "n", Type: record.Int64}, record.Field{Name: "s", Type: record.String},
		record.Field{Name: "p", Type: record.Int64}, record.Field{Name: "o", Type: record.Int64})
	twin, err := kgo.NewClient(kgo.SeedBrokers(f.addresses...), kgo.ConsumeTopics("t"))
	if err != nil {
		t.Fatal(err)
	}
	defer twin.Close()
	want := make([][]string, partitions)
	for n := 0; n < records; {
		twin.PollFetches(context.Background()).EachRecord(func(r *kgo.Record) {
			var v struct {
				N int
				S string
			}
			if _, err := fmt.Sscanf(strings.NewReplacer(`"`, " ", "{", "", "}", "", ",", " ").Replace(string(r.Value)),
				" n :%d  s : %s", &v.N, &v.S); err != nil && v.N%50 != 0 {
				t.Fatalf("%s: %v", r.Value, err)
			}
			want[r.Partition] = append(want[r.Partition], fmt.Sprintf("%d|%s|%d|%d", v.N, v.S, r.Partition, r.Offset))
			n++
		})
	}
	for _, most := range []int{1, 2, 64} {
		s, err := f.source(SourceConfig{
			Topic: "t", Schema: schema, Partition: "p", Offset: "o", UntilEnd: true, Readers: most, BufferBytes: 1,
			FetchBytes: 10_000,
		})
		if err != nil {
			t.Fatal(err)
		}
		rs, err := s.Readers(0)
		if err != nil || len(rs) != min(most, partitions) {
			t.Fatalf("%d readers, %v", len(rs), err)
		}
		got, rejects, err := rows(t, schema, rs)
		if err != nil || len(rejects) > 0 {
			t.Fatalf("%v, %v", rejects, err)
		}
		by := make([][]string, partitions)
		for _, row := range got {
			p := strings.Split(row, "|")[2][0] - '0'
			by[p] = append(by[p], row)
		}
		for p := range by {
			if !slices.Equal(by[p], want[p]) {
				t.Errorf("%d readers: partition %d has %d rows, expected %d", most, p, len(by[p]), len(want[p]))
			}
		}
	}
}

// Goal: a batch that is damaged ends its partition: what comes before it is given out, nothing
// after it is, and the error says where it is. Method: a partition whose queue is filled by hand.
func TestDamagedBatch(t *testing.T) {
	cfg := SourceConfig{Topic: "t", Schema: schemaOf(t, record.Field{Name: "v", Type: record.Int64}), Format: Raw}
	cfg.fill()
	c := &consumer{cfg: &cfg}
	r, err := c.newReader()
	if err != nil {
		t.Fatal(err)
	}
	p := &partition{id: 3, split: "s", end: -1, cursor: cursor{committed: true}}
	r.own(p)
	r.begun = true
	for i := range 4 {
		b := testBatch{base: int64(i * 10), last: int64(i*10 + 9), producer: -1}
		for k := range 10 {
			n := b.base + int64(k)
			b.records = append(b.records, testRecord{offset: n, value: binary.BigEndian.AppendUint64(nil, uint64(n))})
		}
		text := b.encode(t)
		if i == 2 {
			text[len(text)-1] ^= 1
		}
		p.queue = append(p.queue, chunk{batches: text})
	}
	var got []string
	b := record.NewBatch(cfg.Schema, 0)
	for err = nil; err == nil; {
		b.Reset()
		err = r.Poll(b)
		got = append(got, rowTexts(b)...)
	}
	if len(got) != 20 || !strings.Contains(err.Error(), "t/3: the batch at offset 20 is damaged") {
		t.Errorf("%d rows, %v", len(got), err)
	}
}

// Goal: a record costs no allocation: what is allocated is the response that it came in. Method: batches
// in memory, read again and again.
func TestNoAllocations(t *testing.T) {
	for _, c := range benchCases {
		for _, codec := range []kgo.CompressionCodecType{kgo.CodecNone, kgo.CodecLz4, kgo.CodecZstd, kgo.CodecSnappy} {
			cfg := c.cfg
			cfg.Schema = schemaOf(t, c.fields...)
			cfg.fill()
			r, err := (&consumer{cfg: &cfg}).newReader()
			if err != nil {
				t.Fatal(err)
			}
			p := &partition{end: -1, split: "s", cursor: cursor{committed: true}}
			r.own(p)
			r.begun = true
			const records = 2000
			batch := testBatch{last: records - 1, producer: -1, codec: codec}
			for n := range records {
				batch.records = append(batch.records, testRecord{offset: int64(n), value: c.value(nil, n)})
			}
			log, b := batch.encode(t), record.NewBatch(cfg.Schema, 0)
			work := func() {
				p.cursor.next, p.queue = 0, append(p.queue[:0], chunk{batches: log})
				for got := 0; got < records; got += b.Len() {
					b.Reset()
					if err := r.Poll(b); err != nil {
						t.Fatal(err)
					}
				}
			}
			work()
			if n := testing.AllocsPerRun(10, work); n > records/100 {
				t.Errorf("%s, codec %d: %v allocations for %d records", c.name, codec, n, records)
			}
		}
	}
}
