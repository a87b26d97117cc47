package writers

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/velo-engine/velo/internal/rowbytes"
	"github.com/velo-engine/velo/record"
)

// # Files that have an end
//
// A file of CSV is a file after every row. A file of Parquet is one only when its footer has been
// written, and what comes before the footer is not written on after a restart. So with an engine
// that keeps its state, a File with an Encoder completes a file at each save and in each
// transaction:
//
//	rows of a window --EndWindow--> encoder --Save--> footer, sync, note, name
//	rows of a transaction --------> encoder --Commit--> footer, sync, note, name
//
// A save may come in the middle of a window. The rows of a window wait in memory until it has
// ended, so that the file at hand never has a part of one. What lies in a file that was not
// completed is written again after a restart.

// DefaultWindowBytes is FileConfig.WindowBytes unless something else is said.
const DefaultWindowBytes = 256 << 20

// An Encoder writes the rows of one file in a format that has an end. It is used by one goroutine.
// An error says that a batch cannot be written in this format, and is final.
type Encoder interface {
	// Write takes a batch. What it writes goes to the io.Writer, which never fails.
	record.Writer

	// Close, of record.Writer, writes the rest and the end of the file. If there was no batch, the
	// file is not kept.

	// Flush need not do anything: rows may be kept until there are enough of them.
	Flush() error

	// Buffered is about how many bytes the rows will have that have not been written.
	Buffered() int64
}

// sealed is what a File with an Encoder knows if an engine keeps its state.
type sealed struct {
	// held has the rows of the window that has not ended, and schema is theirs. It is nil if there
	// are none.
	held   []byte
	schema *record.Schema
}

// seals says whether files have an end.
func (f *File) seals() bool { return f.cfg.Encode != nil }

// sealedNames refuses a name that only one file can have, if each save completes one.
func (f *File) sealedNames() error {
	if f.seals() && !strings.Contains(filepath.Base(f.cfg.Path), placeNumber) {
		return fmt.Errorf("a file of this format is completed at each save of the state, expected %s in the name",
			placeNumber)
	}
	return nil
}

// holds says whether the rows of a window wait until it has ended.
func (f *File) holds() bool { return f.seals() && f.job != "" && !f.takes }

// hold keeps the rows of a window that has not ended.
func (f *File) hold(b *record.Batch) error {
	most := f.cfg.WindowBytes
	if most == 0 {
		most = DefaultWindowBytes
	}
	f.schema = b.Schema()
	f.held = rowbytes.Append(f.held, b)
	if len(f.held) > most {
		return f.fail("write", fmt.Errorf("a window has more than %d bytes of rows, which are in memory until it has "+
			"ended", most))
	}
	return nil
}

// writeHeld writes the rows of a window that has ended: all of them, or none if there is an error
// after which it is called again.
func (f *File) writeHeld(ctx context.Context) error {
	if len(f.held) == 0 {
		return nil
	}
	if p := f.part; p != nil && p.pending.Len() > bufferBytes && !p.full {
		if err := f.flush(); err != nil {
			return err
		}
	}
	for len(f.held) > 0 {
		b, rest, err := rowbytes.Read(f.schema, f.held)
		if err != nil {
			return f.fail("write", err)
		}
		if err := f.write(ctx, b); err != nil {
			return err // the batch was not taken, and comes again
		}
		f.held = rest
	}
	f.held = nil
	return nil
}

// seal has the encoder write the end of a file.
func (f *File) seal(p *part) error {
	if !f.seals() || p.ended {
		return nil
	}
	if err := p.encode.Close(); err != nil {
		return f.fail("write", err)
	}
	p.ended = true
	return nil
}

// errSealed says that a file of such a format cannot be written on.
var errSealed = errors.New("a file of this format cannot be written on: --fresh begins anew")
