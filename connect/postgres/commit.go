package postgres

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"iter"
	"strconv"
	"time"

	"github.com/velo-engine/velo/internal/cursors"
	"github.com/velo-engine/velo/record"
)

// # How a window is written exactly once
//
// The rows of a window are kept until it has ended. Then they are written in one transaction,
// together with the sink's row of the cursor table, whose key is the job and the name of the sink:
//
//	begin | lock the cursor's row | rows of window 12 | cursor: window 12 | commit
//
// Rows that belong to no window that could tell them apart (changes, records that pass through)
// come from the engine in numbered transactions, and the cursor has the number.
//
// # What the lock is for
//
// A transaction locks the cursor's row before anything else, and looks what it says. So all
// transactions of a sink come one after the other, also those of connections that have broken and
// of which the server does not know yet. That decides three questions at once:
//
//   - The answer to a COMMIT was lost, or the connection broke. The transaction is tried again on a
//     new connection. The lock is granted when the one before has come to its end, whichever it is.
//     If the cursor says window 12 then, it is there; otherwise its rows are written again.
//   - Another process has taken over. Each start has an incarnation, a random number, which it puts
//     into the cursor's row. A transaction that finds another one there ends, and so does its job.
//     The process of before cannot commit anything after that: it would have to have the lock.
//   - The database was put back to an earlier state, by a restore or a failover to a standby that
//     lacked something. The cursor then says less than what was committed, which is an error.
//
// A process that hangs in the middle of a transaction would hold the lock. A start that does not get
// it within takeOverWait has the server end the connections whose transaction has the
// application_name of this job and sink. It also ends by itself after SinkConfig.TransactionTimeout
// (idle_in_transaction_session_timeout).
//
// A commit that the server has confirmed is on its disk, whatever synchronous_commit the database
// prefers: the rows of a window that was confirmed are not kept.

// note is what the cursor's row says, and what a state keeps of it.
type note struct {
	cursors.Note
	// These are not in a state.
	incarnation, target string
}

var errGone = errors.New("the row of the sink in the cursor table is gone")

// takeOverWait is how long a start waits for the lock before it ends who has it.
const takeOverWait = 2 * time.Second

// The delays between the attempts of Recover.
const (
	recoverMin = 100 * time.Millisecond
	recoverMax = 2 * time.Second
)

// Recover begins transactions, and returns the end of the last window that was written: see
// record.Committer.
func (s *Sink) Recover(ctx context.Context, job string, saved []byte) (window int64, err error) {
	at, err := s.recover(ctx, job, func(at note, found bool) error {
		return cursors.Check(saved, at.Note, found, "table "+s.cfg.CursorTable)
	})
	return at.Window, err
}

// RecoverOutput begins transactions, and returns the number of the last one: see
// record.Transactional.
func (s *Sink) RecoverOutput(ctx context.Context, job string) (number uint64, err error) {
	at, err := s.recover(ctx, job, func(note, bool) error { return nil })
	return at.Number, err
}

// recover takes over the cursor of a job. Check is asked before that, so that a start that is
// refused disturbs nobody.
func (s *Sink) recover(ctx context.Context, job string, check func(at note, found bool) error) (at note, err error) {
	s.job = job
	s.incarnation = cursors.Incarnation()
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	for delay := recoverMin; ; delay = min(2*delay, recoverMax) {
		at, err = s.takeOver(ctx, check)
		if err == nil {
			s.set(at)
			return at, nil
		}
		s.disconnect()
		if code(err) == codeLockTimeout {
			err = cmp.Or(s.terminate(ctx), err)
		}
		if isFinal(err) {
			return note{}, s.failed(described(err))
		}
		select {
		case <-time.After(delay):
		case <-ctx.Done():
			return note{}, s.failed(fmt.Errorf("the cursor could not be taken over within %v; the transaction of "+
				"another process may hold its row: %w", openTimeout, described(err)))
		}
	}
}

// takeOver puts this start's incarnation into the cursor, which is made if there is none.
func (s *Sink) takeOver(ctx context.Context, check func(at note, found bool) error) (at note, err error) {
	if err := s.connect(ctx); err != nil {
		return at, err
	}
	if err := s.makeCursorTable(ctx); err != nil {
		return at, err
	}
	if s.unlogged {
		return at, final{fmt.Errorf("%s is no logged table: a crash of the server would empty it, and the cursor would "+
			"say that its rows are there: ALTER TABLE ... SET LOGGED", s.target)}
	}
	if err := s.begin(ctx, takeOverWait); err != nil {
		return at, err
	}
	// RETURNING has a row if it was not there.
	made, err := s.query(ctx, fmt.Sprintf("INSERT INTO %s (job, sink, target, incarnation, number, written_at) "+
		"VALUES ($1, $2, $3, '', 0, now()) ON CONFLICT (job, sink) DO NOTHING RETURNING 1", s.cursor.quoted()), s.job,
		s.cfg.Name, s.target)
	if err != nil {
		return at, err
	}
	at, found, err := s.ask(ctx)
	switch {
	case err != nil:
		return at, err
	case !found:
		return at, errGone
	case at.target != s.target:
		return at, final{fmt.Errorf("the cursor of sink %q in table %s is for table %s: give the sink another name, or "+
			"correct the row if the table was renamed", s.cfg.Name, s.cfg.CursorTable, at.target)}
	}
	if err := check(at, len(made) == 0); err != nil {
		return at, final{err}
	}
	return at, s.end(ctx, &at)
}

// makeCursorTable makes the cursor table if it is not there.
func (s *Sink) makeCursorTable(ctx context.Context) error {
	there, err := s.exists(ctx, s.cursor)
	if err != nil || there {
		return err
	}
	return s.makeTable(ctx, s.cursor, "job text NOT NULL, sink text NOT NULL, target text NOT NULL, "+
		"incarnation text NOT NULL, window_end bigint, number bigint NOT NULL, "+
		"written_at timestamp with time zone NOT NULL, PRIMARY KEY (job, sink)")
}

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
	if window > s.done.Window { // only this goroutine changes it
		err := s.transact(ctx, &note{Note: cursors.Note{Window: window, Number: s.done.Number}}, s.send)
		if err != nil {
			return s.judged(ctx, err)
		}
	}
	s.rows.clear()
	return nil
}

// Commit writes a transaction, exactly once: see record.Transactional.
func (s *Sink) Commit(ctx context.Context, number uint64, rows iter.Seq[*record.Batch], _ bool) error {
	if number <= s.done.Number {
		return nil
	}
	next := &note{Note: cursors.Note{Window: s.done.Window, Number: number}}
	return s.judged(ctx, s.transact(ctx, next, func(ctx context.Context) error { return s.sendAll(ctx, rows) }))
}

// sendAll writes batches.
func (s *Sink) sendAll(ctx context.Context, rows iter.Seq[*record.Batch]) error {
	defer s.rows.clear()
	s.rows.clear()
	for b := range rows {
		s.rows.text = s.rows.text[:0] // rows are counted on: the last one of a key counts
		if err := s.rows.add(b); err != nil {
			return final{err}
		}
		if err := s.copy(ctx); err != nil {
			return err
		}
	}
	if s.rows.rows == 0 {
		return nil
	}
	return s.merge(ctx)
}

// transact writes rows in one transaction. If next is not nil, they are written together with the
// cursor, and only if the cursor does not have them. After an error the outcome is not known.
func (s *Sink) transact(ctx context.Context, next *note, rows func(context.Context) error) (err error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.TransactionTimeout)
	defer cancel()
	defer func() {
		if err != nil {
			s.disconnect()
		}
	}()
	if err := s.connect(ctx); err != nil {
		return err
	}
	if err := s.begin(ctx, s.cfg.TransactionTimeout); err != nil {
		return err
	}
	if next != nil {
		there, err := s.isThere(ctx, next)
		if err != nil {
			return err
		}
		if there {
			return s.exec(ctx, "ROLLBACK")
		}
	}
	if err := rows(ctx); err != nil {
		return err
	}
	if err := s.end(ctx, next); err != nil {
		return err
	}
	if next != nil {
		s.set(*next)
	}
	return nil
}

// isThere locks the cursor and says whether a transaction was carried out whose answer was lost.
func (s *Sink) isThere(ctx context.Context, next *note) (bool, error) {
	at, found, err := s.ask(ctx)
	switch {
	case err != nil:
		return false, err
	case !found:
		return false, errGone
	case at.incarnation != s.incarnation:
		return false, cursors.ErrReplaced
	case at.Window < s.done.Window || at.Number < s.done.Number:
		return false, cursors.ErrBack
	case at.Window >= next.Window && at.Number >= next.Number:
		s.set(at)
		return true, nil
	}
	return false, nil
}

// begin begins a transaction that waits that long for locks.
func (s *Sink) begin(ctx context.Context, wait time.Duration) error {
	idle := max(s.cfg.TransactionTimeout.Milliseconds(), 1) // 0 would be none
	return s.exec(ctx, fmt.Sprintf("BEGIN ISOLATION LEVEL READ COMMITTED; "+
		"SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off'; "+
		"SET LOCAL application_name = '%s'; SET LOCAL idle_in_transaction_session_timeout = %d; "+
		"SET LOCAL lock_timeout = %d; %s", s.application(), idle, max(wait.Milliseconds(), 1), s.stage.create))
}

// application is the application_name of the transactions of a job and sink.
func (s *Sink) application() string {
	if s.job == "" {
		return "velo"
	}
	digest := fnv.New64a()
	_, _ = fmt.Fprintf(digest, "%q %q", s.job, s.cfg.Name)
	return fmt.Sprintf("velo %016x", digest.Sum64())
}

// terminate ends the transactions of other processes with this job and sink. They would find that
// they were replaced.
func (s *Sink) terminate(ctx context.Context) error {
	if err := s.connect(ctx); err != nil {
		return err
	}
	_, err := s.query(ctx, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1 "+
		"AND usename = current_user AND pid <> pg_backend_pid()", s.application())
	if err != nil {
		s.disconnect()
	}
	return err
}

// ask locks the cursor's row and reads it.
func (s *Sink) ask(ctx context.Context) (at note, found bool, err error) {
	rows, err := s.query(ctx, fmt.Sprintf("SELECT incarnation, target, window_end, number FROM %s "+
		"WHERE job = $1 AND sink = $2 FOR UPDATE", s.cursor.quoted()), s.job, s.cfg.Name)
	if err != nil || len(rows) == 0 {
		return note{Note: cursors.Note{Window: cursors.None}}, false, err
	}
	at = note{Note: cursors.Note{Window: cursors.None}, incarnation: string(rows[0][0]), target: string(rows[0][1])}
	if rows[0][2] != nil {
		at.Window, err = strconv.ParseInt(string(rows[0][2]), 10, 64)
	}
	if err == nil {
		at.Number, err = strconv.ParseUint(string(rows[0][3]), 10, 64)
	}
	if err != nil {
		err = final{fmt.Errorf("the cursor in table %s is damaged: %w", s.cfg.CursorTable, err)}
	}
	return at, true, err
}

// end writes the cursor, unless next is nil, and commits.
func (s *Sink) end(ctx context.Context, next *note) error {
	if next != nil {
		window := ""
		if next.Window != cursors.None {
			window = strconv.FormatInt(next.Window, 10)
		}
		_, err := s.query(ctx, fmt.Sprintf("UPDATE %s SET incarnation = $3, window_end = nullif($4, '')::bigint, "+
			"number = $5::bigint, written_at = now() WHERE job = $1 AND sink = $2", s.cursor.quoted()), s.job, s.cfg.Name,
			s.incarnation, window, strconv.FormatUint(next.Number, 10))
		if err != nil {
			return err
		}
	}
	hook(beforeCommit)
	results, err := s.conn.Exec(ctx, "COMMIT").ReadAll()
	if err == nil && (len(results) != 1 || results[0].CommandTag.String() != "COMMIT") {
		err = errors.New("the database has rolled back the transaction")
	}
	hook(afterCommit)
	return err
}

// Places where tests kill the process.
const (
	beforeCommit = "before commit"
	afterCommit  = "after commit"
)

// hook is what tests do at such a place.
var hook = func(string) {}

// send writes the rows that are kept.
func (s *Sink) send(ctx context.Context) error {
	if len(s.rows.text) == 0 {
		return nil
	}
	if err := s.copy(ctx); err != nil {
		return err
	}
	return s.merge(ctx)
}

// copy sends the rows that are kept to the table, or to the temporary one.
func (s *Sink) copy(ctx context.Context) error {
	_, err := s.conn.CopyFrom(ctx, s.rows.copy(), s.stage.copy)
	return err
}

// merge has the rows of the temporary table replace those of the table.
func (s *Sink) merge(ctx context.Context) error {
	for _, sql := range s.stage.merge {
		if err := s.exec(ctx, sql); err != nil {
			return err
		}
	}
	return nil
}
