package main

import (
	"context"
	"fmt"
	"time"

	_ "github.com/redpanda-data/benthos/v4/public/components/pure" // mapping, group_by_value, drop
	"github.com/redpanda-data/benthos/v4/public/service"
)

// Processors that may come before the one that folds.
const (
	benthosNothing = ""
	benthosMapping = `mapping: 'root = {"key": this.key, "value": this.value}'`
	benthosGroups  = `group_by_value: { value: '${! this.key }' }`
)

// fold is a processor that keeps groups. All threads of the pipeline call the same processor, so it
// has a map for each thread: a batch takes one and gives it back. It filters out all messages,
// which acknowledges them.
type fold struct{ free chan map[int64]*state }

func (f *fold) ProcessBatch(_ context.Context, batch service.MessageBatch) ([]service.MessageBatch, error) {
	groups := <-f.free
	defer func() { f.free <- groups }()
	for _, m := range batch {
		v, err := m.AsStructured()
		if err != nil {
			return nil, err
		}
		fields, _ := v.(map[string]any)
		key, ok1 := fields["key"].(int64)
		value, ok2 := fields["value"].(int64)
		if !ok1 || !ok2 {
			return nil, fmt.Errorf("a message %v", v)
		}
		update(groups, key, value)
	}
	return nil, nil
}

func (f *fold) Close(context.Context) error { return nil }

// benthos is a stream of batches of structured messages, which go through the processor before, and
// then to fold. A goroutine sends a batch when its previous one has been acknowledged, so there are
// as many goroutines as threads.
func benthos(in input, d time.Duration, threads int, before string) (o outcome, err error) {
	env := service.NewEnvironment()
	f := &fold{make(chan map[int64]*state, threads)}
	for range threads {
		f.free <- map[int64]*state{}
	}
	err = env.RegisterBatchProcessor("fold", service.NewConfigSpec(), func(*service.ParsedConfig, *service.Resources) (
		service.BatchProcessor, error,
	) {
		return f, nil
	})
	if err != nil {
		return o, err
	}
	b := env.NewStreamBuilder()
	b.SetThreads(threads)
	send, err := b.AddBatchProducerFunc()
	if err != nil {
		return o, err
	}
	for _, add := range []struct {
		to   func(string) error
		yaml string
	}{
		{b.SetLoggerYAML, "level: off"},
		{b.SetMetricsYAML, "none: {}"},
		{b.AddProcessorYAML, before},
		{b.AddProcessorYAML, "fold: {}"},
		{b.AddOutputYAML, "drop: {}"},
	} {
		if add.yaml == "" {
			continue
		}
		if err := add.to(add.yaml); err != nil {
			return o, fmt.Errorf("%s: %w", add.yaml, err)
		}
	}
	stream, err := b.Build()
	if err != nil {
		return o, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		err := stream.Run(ctx)
		cancel() // sends wait no longer
		ended <- err
	}()
	parts := in.split(threads)
	o, err = passes(in.events, d, func() error {
		errs := make(chan error, threads)
		for _, part := range parts {
			go func() {
				errs <- pieces(part.events, 1024, func(events []event) error {
					batch := make(service.MessageBatch, len(events))
					for i, e := range events {
						batch[i] = service.NewMessage(nil)
						batch[i].SetStructuredMut(map[string]any{"key": e.Key, "value": e.Value})
					}
					return send(ctx, batch)
				})
			}()
		}
		var first error
		for range threads {
			if err := <-errs; first == nil {
				first = err
			}
		}
		return first
	})
	if stopped := stream.StopWithin(10 * time.Second); err == nil {
		err = stopped
	}
	if ran := <-ended; err == nil {
		err = ran
	}
	for range threads {
		o.merge(<-f.free)
	}
	return o, err
}
