package kafka

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/velo-engine/velo/internal/cursors"
	"github.com/velo-engine/velo/record"
)

// # How a window is written exactly once
//
// The rows of a window are kept until it has ended. Then they are written in one transaction,
// together with a record of the cursor topic whose key is the transactional id and whose value says
// which window it was:
//
//	begin | rows of window 12 ... | cursor: window 12, incarnation A | commit
//
// A reader with read_committed sees all of it or nothing, so whoever asks for the cursor knows
// which windows are there. The transactional id is made of the state's id and the sink's name, so
// it is the same after a restart. To get a producer id for it fences the producer before, and
// ends its open transaction: nothing that it still tries is committed.
//
// Rows that belong to no window that could tell them apart (changes, records that pass through)
// come from the engine in numbered transactions, and the cursor has the number.
//
// If anything fails, the outcome is not known: the commit may have been carried out although its
// answer was lost. So the sink gets a new producer id, which waits for or ends the transaction, and
// then asks the cursor. If that says window 12, it is there; otherwise the window is written again.
//
// Each start has an incarnation, a random number, and writes it into the cursor first. A sink
// that was fenced finds by it whether another process has taken over (then it ends) or a
// transaction has only run out (then it goes on). If two processes fence each other in turn, the
// one whose incarnation is in the cursor wins.

// cursorTimeout bounds how long the cursor is waited for. The transactions of other producers hold
// back what can be read of the topic until they end or run out.
const cursorTimeout = 2 * time.Minute

// recoverTimeout bounds Recover and RecoverOutput, which try again what has failed for a reason
// that may pass. The cursor can be waited for once.
const recoverTimeout = cursorTimeout + 30*time.Second

// note is the value of a cursor record.
type note struct {
	cursors.Note

	Job         string `json:"job"`
	Incarnation string `json:"incarnation"`
	// Start counts the clients of the incarnation: see takeOver.
	Start uint64 `json:"start"`
}

var errOtherJob = errors.New("the cursor is of another job")

// Recover begins transactions, and returns the end of the last window that was written: see
// record.Committer.
func (s *Sink) Recover(ctx context.Context, job string, saved []byte) (window int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, recoverTimeout)
	defer cancel()
	at, found, err := s.recover(ctx, job)
	if err == nil {
		err = cursors.Check(saved, at.Note, found, fmt.Sprintf("topic %q", s.cfg.CursorTopic))
	}
	if err == nil {
		err = patiently(ctx, func() error { return s.takeOver(ctx, at) })
	}
	if err != nil {
		return 0, s.failed(err)
	}
	return at.Window, nil
}

// RecoverOutput begins transactions, and returns the number of the last one: see
// record.Transactional.
func (s *Sink) RecoverOutput(ctx context.Context, job string) (number uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, recoverTimeout)
	defer cancel()
	at, _, err := s.recover(ctx, job)
	if err == nil {
		err = patiently(ctx, func() error { return s.takeOver(ctx, at) })
	}
	if err != nil {
		return 0, s.failed(err)
	}
	return at.Number, nil
}

// failed says which sink has failed.
func (s *Sink) failed(err error) error {
	return fmt.Errorf("kafka: topic %q, transactional id %q: %w", s.cfg.Topic, s.id, advised(err))
}

// recover fences the process before and asks for the cursor of a job.
func (s *Sink) recover(ctx context.Context, job string) (at note, found bool, err error) {
	s.job, s.id = job, "velo-"+job+"-"+s.cfg.Name
	s.incarnation = cursors.Incarnation()
	err = patiently(ctx, func() error { return s.makeCursorTopic(ctx) })
	if err != nil {
		return at, false, fmt.Errorf("topic %q for cursors: %w", s.cfg.CursorTopic, err)
	}
	err = patiently(ctx, func() error {
		at, found, err = s.open(ctx)
		return err
	})
	if err == nil && found && at.Job != job {
		err = errOtherJob
	}
	if !found {
		at = note{Note: cursors.Note{Window: cursors.None}}
	}
	return at, found, err
}

// takeOver writes this start's incarnation into the cursor, in the first transaction of a client,
// and asks for it.
//
// A commit of a client that has just learned of the partitions it has written to may do nothing
// and say that it was carried out: franz-go 1.22.3 looks which partitions belong to the
// transaction before it has published them to itself, finds none, and aborts. Once the cursor's
// partition has been seen in a commit that was really carried out, that cannot happen any more,
// because the cursor is in every transaction. So no window is written before that.
func (s *Sink) takeOver(ctx context.Context, at note) error {
	var failed error
	for try := range takeOverTries {
		if try > 0 {
			if err := s.begin(ctx); err != nil {
				return err
			}
		}
		s.starts++
		at.Start = s.starts
		failed = s.transact(ctx, at, nil)
		if failed != nil && (isFinal(failed) || ctx.Err() != nil) {
			break
		}
		is, found, err := s.cursor(ctx)
		switch {
		case err != nil:
			return err
		case failed == nil && found && is.Incarnation == s.incarnation && is.Start == at.Start:
			s.set(is)
			return nil
		case found && is.Incarnation != s.incarnation && is.Incarnation != at.Incarnation:
			return cursors.ErrReplaced
		}
	}
	if failed == nil {
		failed = errors.New("the client says that it was committed, and it is not there")
	}
	return fmt.Errorf("the first transaction: %w", failed)
}

// takeOverTries is how many clients are tried for the first transaction.
const takeOverTries = 5

// set notes what is written for good.
func (s *Sink) set(at note) {
	s.mu.Lock()
	s.done = at
	s.mu.Unlock()
}

// Save returns which windows are written: they are durable when EndWindow returns. See
// record.Committer.
func (s *Sink) Save(context.Context) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return json.Marshal(s.done)
}

// EndWindow writes the rows since the last window, exactly once: see record.Committer.
func (s *Sink) EndWindow(ctx context.Context, window int64) error {
	err := s.refresh(ctx)
	if err == nil && window > s.done.Window { // only this goroutine changes it
		at := note{Note: cursors.Note{Window: window, Number: s.done.Number}, Start: s.starts}
		err = s.write(ctx, at, func(ctx context.Context, o *outgoing) error {
			o.add(ctx, s.rows.records())
			return nil
		})
	}
	if err == nil {
		s.rows.clear()
	}
	return s.judged(ctx, err)
}

// Commit writes a transaction, exactly once: see record.Transactional.
func (s *Sink) Commit(ctx context.Context, number uint64, rows iter.Seq[*record.Batch], _ bool) error {
	err := s.refresh(ctx)
	if err == nil && number > s.done.Number {
		at := note{Note: cursors.Note{Window: s.done.Window, Number: number}, Start: s.starts}
		err = s.write(ctx, at, func(ctx context.Context, o *outgoing) error {
			for b := range rows {
				// The client has the bytes until they are acknowledged, so each batch has its own.
				s.rows.forget()
				if err := s.rows.add(b); err != nil {
					return err
				}
				o.add(ctx, s.rows.records())
			}
			return nil
		})
	}
	return s.judged(ctx, err)
}

// judged says whether an error is worth another try.
func (s *Sink) judged(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case isFinal(err):
		return s.failed(err)
	}
	return record.Transient(s.failed(err))
}

// refresh finds out what is written for good, if the last transaction had an unknown outcome.
func (s *Sink) refresh(ctx context.Context) error {
	if !s.stale {
		return nil
	}
	at, found, err := s.open(ctx)
	switch {
	case err != nil:
		return err
	case !found || at.Incarnation != s.incarnation:
		return cursors.ErrReplaced
	}
	if err := s.takeOver(ctx, at); err != nil {
		return err
	}
	s.stale = false
	return nil
}

// write writes records and notes it.
func (s *Sink) write(ctx context.Context, at note, rows func(context.Context, *outgoing) error) error {
	if err := s.transact(ctx, at, rows); err != nil {
		s.stale = true
		return err
	}
	s.set(at)
	return nil
}

// transact writes records and the cursor in one transaction. After an error the outcome is not
// known.
func (s *Sink) transact(ctx context.Context, at note, rows func(context.Context, *outgoing) error) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.TransactionTimeout)
	defer cancel()
	at.Job, at.Incarnation = s.job, s.incarnation
	value, err := json.Marshal(at)
	if err != nil {
		return err
	}
	if err := s.client.BeginTransaction(); err != nil {
		return err
	}
	o := &outgoing{client: s.client}
	if rows != nil {
		err = rows(ctx, o)
	}
	if err == nil {
		o.add(ctx, []kgo.Record{{Topic: s.cfg.CursorTopic, Key: []byte(s.id), Value: value}})
	}
	if err := errors.Join(err, o.wait(ctx)); err != nil {
		return err
	}
	return s.client.EndTransaction(ctx, kgo.TryCommit)
}

// open begins a client, which fences the producer before, and asks for the cursor.
func (s *Sink) open(ctx context.Context) (at note, found bool, err error) {
	opening, cancel := context.WithTimeout(ctx, cursorTimeout)
	defer cancel()
	if err := s.begin(opening); err != nil {
		return at, false, err
	}
	at, found, err = s.cursor(opening)
	if err != nil && opening.Err() != nil && ctx.Err() == nil {
		err = fmt.Errorf("topic %q could not be read to its end within %v; the open transaction of another "+
			"producer holds it back: %w", s.cfg.CursorTopic, cursorTimeout, err)
	}
	return at, found, err
}

// begin replaces the client, and gets a producer id. That fences the producer before and ends its
// transaction.
func (s *Sink) begin(ctx context.Context) (err error) {
	s.client.Close()
	s.client, err = s.newClient(kgo.TransactionalID(s.id), kgo.TransactionTimeout(s.cfg.TransactionTimeout))
	if err != nil {
		return err
	}
	_, _, err = s.client.ProducerID(ctx)
	if errors.Is(err, kerr.InvalidTransactionTimeout) {
		err = fmt.Errorf("a transaction timeout of %v is more than the broker allows "+
			"(transaction.max.timeout.ms): %w", s.cfg.TransactionTimeout, err)
	}
	return err
}

// cursor reads the cursor topic to its end, as it is now, and returns what it says of the sink.
func (s *Sink) cursor(ctx context.Context) (at note, found bool, err error) {
	schema, err := record.NewSchema("cursors", record.Field{Name: "id", Type: record.String, Nullable: true},
		record.Field{Name: "note", Type: record.String})
	if err != nil {
		return at, false, err
	}
	src := &Source{cfg: SourceConfig{
		Client: s.cfg.Client, Topic: s.cfg.CursorTopic, Schema: schema, Format: Raw, Key: "id", UntilEnd: true,
		untilHigh: true,
	}}
	src.cfg.fill()
	rs, err := src.Readers(1)
	if err != nil {
		return at, false, err
	}
	defer func() {
		for _, r := range rs {
			_ = r.Close()
		}
	}()
	if len(rs) != 1 {
		return at, false, fmt.Errorf("topic %q has %d partitions, expected 1: cursor.topic names another topic for "+
			"cursors, which is made with the right settings", s.cfg.CursorTopic, len(rs))
	}
	b := record.NewBatch(schema, 0)
	for {
		b.Reset()
		err := rs[0].Read(ctx, b)
		for row := range b.Len() {
			if ids := b.Column(0); ids.Null(row) || string(ids.View(row)) != s.id {
				continue
			}
			at, found = note{}, true
			if err := json.Unmarshal(b.Column(1).View(row), &at); err != nil {
				return at, false, fmt.Errorf("the cursor in topic %q is damaged: %w", s.cfg.CursorTopic, err)
			}
		}
		if errors.Is(err, io.EOF) {
			return at, found, nil
		}
		if err != nil {
			return at, false, err
		}
	}
}

// makeCursorTopic makes the cursor topic if it is not there, and checks that it is compacted.
func (s *Sink) makeCursorTopic(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	adm := kadm.NewClient(s.client)
	_, made := adm.CreateTopic(ctx, 1, -1, map[string]*string{"cleanup.policy": kadm.StringPtr("compact")},
		s.cfg.CursorTopic)
	// Brokers may take a moment to know it. Who may not make topics may use one that is there.
	for delay := backoffMin; ; delay *= 2 {
		topics, err := adm.ListTopics(ctx, s.cfg.CursorTopic)
		if err == nil {
			err = topics[s.cfg.CursorTopic].Err
		}
		switch {
		case err == nil && made == nil:
			return nil
		case err == nil:
			return s.checkCursorTopic(ctx, adm)
		case made != nil && !errors.Is(made, kerr.TopicAlreadyExists):
			return made
		}
		select {
		case <-time.After(delay):
		case <-ctx.Done():
			return err
		}
	}
}

// checkCursorTopic checks that the cursor topic, which was there before, is compacted.
func (s *Sink) checkCursorTopic(ctx context.Context, adm *kadm.Client) error {
	configs, err := adm.DescribeTopicConfigs(ctx, s.cfg.CursorTopic)
	if err != nil {
		return nil //nolint:nilerr // who may write to it need not be allowed to look at its configuration
	}
	for _, c := range configs {
		for _, one := range c.Configs {
			if one.Key == "cleanup.policy" && one.Value != nil && *one.Value != "compact" {
				return fmt.Errorf("cleanup.policy is %q, expected compact: retention would remove the cursor",
					*one.Value)
			}
		}
	}
	return nil
}
