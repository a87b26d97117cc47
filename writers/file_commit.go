package writers

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"path/filepath"
	"time"

	"github.com/velo-engine/velo/record"
)

// # A File with transactions
//
// With an engine that keeps its state, a File takes what is not told apart by windows in numbered
// transactions (record.Transactional). The note beside the files is what makes one whole: it has
// the number, the unfinished file and how long that is, and it is replaced by a rename. Before that
// the rows are synced.
//
//	rows --> x.csv.….unfinished, synced --> x.csv.velo: number 7, 4,096 bytes
//
// After a restart the unfinished file is cut off at the length of the note. If the note says that
// the file is complete, it gets its name. A file is completed only between two transactions, so one
// of them is never in two files.

// transacting is what a File knows if it takes transactions.
type transacting struct {
	// takes says that RecoverOutput was called.
	takes bool
	// number is the number of the last transaction. committing is the number of the transaction
	// that is being written; it is equal to number if none is.
	number, committing uint64
}

// RecoverOutput takes back what was written after the last transaction that is there for good: see
// record.Transactional.
func (f *File) RecoverOutput(_ context.Context, job string) (number uint64, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.part != nil || f.count > 0 {
		return 0, fmt.Errorf("writers: file %q: RecoverOutput after Write", f.cfg.Path)
	}
	f.resuming, f.transacting = resuming{job: job, ended: noWindow}, transacting{takes: true}
	err = f.sealedNames()
	if err == nil {
		err = f.recoverOutput()
	}
	if err != nil {
		return 0, fmt.Errorf("writers: file %q: %w", f.cfg.Path, err)
	}
	return f.number, nil
}

func (f *File) recoverOutput() error {
	n, err := f.readNote()
	if err != nil {
		return err
	}
	if n == nil || n.Job != f.job {
		if err := f.removeNote(); err != nil {
			return err
		}
		return f.removeRest("")
	}
	f.number, f.committing = n.Number, n.Number
	f.resumed = n.Unfinished != ""
	keep := ""
	switch {
	case n.Unfinished == "":
	case n.Open:
		if err := f.reopen(fileState{Unfinished: n.Unfinished, Name: n.Name, Bytes: n.Bytes}); err != nil {
			return err
		}
		keep = n.Unfinished
	default:
		if err := f.finishNoted(n); err != nil {
			return err
		}
	}
	return f.removeRest(keep)
}

// Commit writes a transaction: see record.Transactional.
func (f *File) Commit(ctx context.Context, number uint64, rows iter.Seq[*record.Batch], complete bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.failed != nil:
		return f.failed
	case !f.takes || f.closed:
		return f.fail("commit", errors.New("before RecoverOutput, or after Close"))
	}
	if err := f.finishCommitted(); err != nil || number <= f.number {
		return err
	}
	if err := f.takeBack(); err != nil {
		return err
	}
	for b := range rows {
		if err := f.add(ctx, b); err != nil {
			return err
		}
	}
	f.committing, f.complete = number, complete
	p := f.part
	if p == nil { // there are no rows, and no file is begun
		if err := f.writeNote(&part{}, false); err != nil {
			return f.fault("note", err)
		}
		return nil
	}
	if err := f.flush(); err != nil {
		return err
	}
	if p.torn {
		if err := p.file.Truncate(p.written); err != nil {
			return f.fault("truncate", err)
		}
		p.torn = false
	}
	if complete || f.due(p) {
		p.full = true
		return f.finishCommitted()
	}
	if err := p.file.Sync(); err != nil {
		return f.fail("sync", err)
	}
	if err := f.files.syncDir(filepath.Dir(p.unfinished)); err != nil {
		return f.fail("sync of the folder", err)
	}
	if err := f.writeNote(p, true); err != nil {
		return f.fault("note", err)
	}
	f.bytes = p.written
	f.arm()
	return nil
}

// due says whether the next file is to be begun.
func (f *File) due(p *part) bool {
	return f.seals() || f.cfg.RotateBytes > 0 && p.size() >= f.cfg.RotateBytes ||
		f.cfg.RotateEvery > 0 && time.Since(p.begun) >= f.cfg.RotateEvery
}

// finishCommitted goes on with completing a file, if that was begun.
func (f *File) finishCommitted() error {
	if f.part == nil || !f.part.full {
		return nil
	}
	return f.finish()
}

// takeBack removes what an attempt has left that failed.
func (f *File) takeBack() error {
	p := f.part
	if p == nil || p.size() == f.bytes && !p.torn {
		return nil
	}
	if err := p.file.Truncate(f.bytes); err != nil {
		return f.fault("truncate", err)
	}
	p.pending.Reset()
	p.written, p.torn, p.ended = f.bytes, false, false
	p.encode = f.encoder(&p.pending)
	if c, ok := p.encode.(*CSV); ok {
		c.begun = f.bytes > 0 // the line of names is there
	}
	return nil
}

// add adds the rows of a batch to the unfinished file, which it begins if there is none. A batch
// without rows begins the first file.
func (f *File) add(ctx context.Context, b *record.Batch) error {
	if b.Len() == 0 && (f.part != nil || f.count > 0 || f.resumed) {
		return nil
	}
	if f.part == nil {
		if err := f.begin(); err != nil {
			return err
		}
	}
	p := f.part
	p.taken = true
	if err := errors.Join(p.encode.Write(ctx, b), p.encode.Flush()); err != nil {
		return f.fail("write", err) // a fault of the batch, not of the file
	}
	if p.pending.Len() >= bufferBytes {
		return f.flush()
	}
	return nil
}
