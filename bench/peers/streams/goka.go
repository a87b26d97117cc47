package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log"
	"strconv"
	"sync"
	"time"

	"github.com/lovoo/goka"
	"github.com/lovoo/goka/storage"
	"github.com/lovoo/goka/tester"
)

// valueCodec is the shortest codec for a value; the key is the key of the message.
type valueCodec struct{}

func (valueCodec) Encode(v any) ([]byte, error) {
	return binary.LittleEndian.AppendUint64(nil, uint64(v.(int64))), nil
}

func (valueCodec) Decode(data []byte) (any, error) {
	return int64(binary.LittleEndian.Uint64(data)), nil
}

// stateCodec writes a state as four words.
type stateCodec struct{}

func (stateCodec) Encode(v any) ([]byte, error) {
	s := v.(*state)
	data := make([]byte, 0, 32)
	for _, w := range [...]int64{s.Count, s.Sum, s.Min, s.Max} {
		data = binary.LittleEndian.AppendUint64(data, uint64(w))
	}
	return data, nil
}

func (stateCodec) Decode(data []byte) (any, error) {
	word := func(i int) int64 { return int64(binary.LittleEndian.Uint64(data[8*i:])) }
	return &state{Count: word(0), Sum: word(1), Min: word(2), Max: word(3)}, nil
}

// table is a group table in a Go map, because goka's own table in memory sorts all keys for each
// new one. The rest, which is offsets, is goka's.
type table struct {
	storage.Storage
	mu     sync.RWMutex
	groups map[string][]byte
}

func (t *table) Has(key string) (bool, error) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.groups[key] != nil, nil
}

func (t *table) Get(key string) ([]byte, error) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.groups[key], nil
}

func (t *table) Set(key string, value []byte) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.groups[key] = value
	return nil
}

// panics takes the place of the test for the tester: a failure is a fault of this program.
type panics struct{}

func (panics) Errorf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }
func (panics) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }
func (panics) Fatal(args ...any)                 { panic(fmt.Sprint(args...)) }

// gokaTable is a processor with a group table on goka's tester. Messages are emitted without
// waiting for each one, as to Kafka; a pass ends when all are folded. The tester keeps every
// message of both topics for ever.
func gokaTable(in input, d time.Duration) (o outcome, err error) {
	kafka := tester.New(panics{})
	groups := &table{Storage: storage.NewMemory(), groups: map[string][]byte{}}
	graph := goka.DefineGroup("velo",
		goka.Input("events", valueCodec{}, func(ctx goka.Context, message any) {
			s, ok := ctx.Value().(*state)
			if !ok {
				s = &state{}
			}
			touch(s, message.(int64))
			ctx.SetValue(s)
		}),
		goka.Persist(stateCodec{}),
	)
	processor, err := goka.NewProcessor(nil, graph,
		goka.WithTester(kafka),
		goka.WithPartitionChannelSize(1024), // the tester's own size is 0
		goka.WithStorageBuilder(func(string, int32) (storage.Storage, error) { return groups, nil }),
		goka.WithLogger(log.New(io.Discard, "", 0)))
	if err != nil {
		return o, err
	}
	emitter, err := goka.NewEmitter(nil, "events", valueCodec{},
		goka.WithEmitterTester(kafka),
		// the tester's own producer waits for each message
		goka.WithEmitterProducerBuilder(kafka.ProducerBuilder()))
	if err != nil {
		return o, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- processor.Run(ctx) }()
	o, err = passes(in.events, d, func() error {
		for _, e := range in.events {
			if _, err := emitter.Emit(strconv.FormatInt(e.Key, 10), e.Value); err != nil {
				return err
			}
		}
		kafka.Catchup()
		return nil
	})
	cancel()
	if ran := <-ended; err == nil {
		err = ran
	}
	o.groups = make(map[int64]state, len(groups.groups))
	for text, data := range groups.groups {
		key, e := strconv.ParseInt(text, 10, 64)
		if e != nil {
			return o, e
		}
		s, _ := stateCodec{}.Decode(data)
		o.groups[key] = *s.(*state)
	}
	return o, err
}
