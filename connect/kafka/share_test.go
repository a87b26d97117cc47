package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/velo-engine/velo/record"
)

// Goal: the partition of a key is the one that Kafka's Java client gives. Method: the hashes are
// those of Kafka's own test of its murmur2.
func TestKeyCheck(t *testing.T) {
	for key, hash := range map[string]int32{
		"21": -973932308, "foobar": -790332482, "a-little-bit-long-string": -985981536,
		"a-little-bit-longer-string": -1486304829, "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
	} {
		for _, total := range []int{1, 2, 6, 50} {
			want := int32(int(uint32(hash)&0x7fffffff) % total)
			k := newKeyCheck("t", total)
			for p := range int32(total) {
				err := k.check(p, []byte(key))
				if (err == nil) != (p == want) || err != nil && !strings.Contains(err.Error(),
					fmt.Sprintf("belongs to partition %d", want)) {
					t.Errorf("%s in partition %d of %d: %v, expected %d", key, p, total, err, want)
				}
			}
		}
	}
	k, key := newKeyCheck("t", 1), []byte("NVDA")
	if n := testing.AllocsPerRun(100, func() { _ = k.check(0, key) }); n > 0 {
		t.Errorf("a check allocates %v times", n)
	}
	if err := newKeyCheck("t", 1).check(0, nil); err == nil {
		t.Error("a record without a key is taken")
	}
}

func TestParseShare(t *testing.T) {
	for text, want := range map[string]Share{
		"1/1": {1, 1}, "2/5": {2, 5}, "1024/1024": {1024, 1024}, "": {}, "2": {}, "0/5": {}, "6/5": {}, "1/0": {},
		"-1/2": {}, "1/1025": {}, "0/0": {}, "a/b": {}, "1/2/3": {},
	} {
		got, err := ParseShare(text)
		if got != want || (err == nil) != (want != Share{}) {
			t.Errorf("%q: %v, %v, expected %v", text, got, err, want)
		}
	}
}

// Goal: the shares of a topic together have each record once, and no two have the same key. They go
// on after a restart, but not as another share. A record that another partitioner has placed, and
// one without a key, end the source, also after a restart, and so does a topic that grows.
func TestShare(t *testing.T) { onEach(t, testShare) }

func testShare(t *testing.T, cluster func(testing.TB, int32, ...string) *fake) {
	f := cluster(t, 6, "shared")
	client, err := kgo.NewClient(kgo.SeedBrokers(f.addresses...)) // Kafka's own partitioner
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	const keys = 200
	for n := range 2 * keys {
		r := &kgo.Record{
			Topic: "shared", Key: fmt.Appendf(nil, "k%d", n%keys), Value: fmt.Appendf(nil, `{"n":%d}`, n),
		}
		client.Produce(context.Background(), r, func(_ *kgo.Record, err error) {
			if err != nil {
				t.Error(err)
			}
		})
	}
	if err := client.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	cfg := numbers(t, "shared")
	cfg.Schema = schemaOf(t, record.Field{Name: "n", Type: record.Int64}, record.Field{Name: "k", Type: record.String})
	cfg.Partition, cfg.Key = "", "k"
	owner, seen := map[string]int{}, 0
	var positions []record.Position
	for number := 1; number <= 4; number++ {
		cfg.Share = Share{number, 4}
		_, rs, err := f.readersOf(cfg, nil)
		if err != nil {
			t.Fatal(err)
		}
		if number == 1 {
			var first []string
			first, positions = someOf(t, cfg.Schema, rs, 7)
			closeReaders(t, rs)
			_, rs, err = f.readersOf(cfg, positions)
			if err != nil {
				t.Fatal(err)
			}
			rest, _, err := rows(t, cfg.Schema, rs)
			if err != nil {
				t.Fatal(err)
			}
			seen += noteOwners(t, owner, number, slices.Concat(first, rest))
			continue
		}
		all, _, err := rows(t, cfg.Schema, rs)
		if err != nil {
			t.Fatal(err)
		}
		seen += noteOwners(t, owner, number, all)
	}
	if seen != 2*keys || len(owner) != keys {
		t.Errorf("%d records of %d keys, expected %d of %d", seen, len(owner), 2*keys, keys)
	}
	for _, p := range positions {
		if !strings.Contains(p.Split, " of 6, share 1 of 4") {
			t.Errorf("a split is called %q", p.Split)
		}
	}
	cfg.Share = Share{7, 8}
	if _, err := f.source(cfg); err == nil || !strings.Contains(err.Error(), "nothing for share 7 of 8") {
		t.Errorf("a share without a partition: %v", err)
	}
	for name, key := range map[string][]byte{"belongs to partition": []byte("k1"), "has no key": nil} {
		f.create("odd", 2, nil)
		wrong := int32(0)
		if key != nil && newKeyCheck("odd", 2).check(0, key) == nil {
			wrong = 1
		}
		f.produce(&kgo.Record{Topic: "odd", Partition: wrong, Key: key, Value: []byte(`{"n":1}`)})
		cfg.Topic, cfg.Share = "odd", Share{int(wrong) + 1, 2}
		var saved []record.Position
		for range 2 {
			_, rs, err := f.readersOf(cfg, saved)
			if err != nil {
				t.Fatal(err)
			}
			b := record.NewBatch(cfg.Schema, 0)
			err = rs[0].Read(t.Context(), b)
			if err == nil || !strings.Contains(err.Error(), name) || b.Len() > 0 {
				t.Errorf("%s: %v", name, err)
			}
			_, saved, err = rs[0].(*Reader).ResumeFrom(nil)
			if err != nil {
				t.Fatal(err)
			}
			closeReaders(t, rs)
		}
	}
	cfg.Topic, cfg.Share, cfg.UntilEnd = "shared", Share{1, 2}, false
	_, rs, err := f.readersOf(cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer closeReaders(t, rs)
	if _, err := f.adm.CreatePartitions(context.Background(), 2, "shared"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for err == nil {
		err = rs[0].Read(ctx, record.NewBatch(cfg.Schema, 0))
	}
	if !errors.Is(err, errGrown) {
		t.Errorf("the topic has grown: %v", err)
	}
}

// noteOwners notes which share has a key.
func noteOwners(t *testing.T, owner map[string]int, number int, rows []string) int {
	for _, row := range rows {
		_, key, _ := strings.Cut(row, "|")
		if before, ok := owner[key]; ok && before != number {
			t.Errorf("key %s is in shares %d and %d", key, before, number)
		}
		owner[key] = number
	}
	return len(rows)
}
