package velocli

import (
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/velo-engine/velo/readers"
	"github.com/velo-engine/velo/readers/compressed"
	"github.com/velo-engine/velo/record"
)

// misbehaving gives some lines and then does what bad says.
type misbehaving struct {
	given bool
	bad   func(b []byte) (int, error)
}

func (m *misbehaving) Read(b []byte) (int, error) {
	if m.given {
		return m.bad(b)
	}
	m.given = true
	return copy(b, "1\n2\n3\n4\n5\n6\n"), nil
}

// Goal: an io.Reader that misbehaves under a decompressor ends its stream and not the process, and the records before it are
// there. Method: what is not compressed goes through too.
func TestUnpackedContains(t *testing.T) {
	schema, err := record.NewSchema("s", record.Field{Name: "k", Type: record.Int64})
	if err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct {
		bad  func(b []byte) (int, error)
		says string
		lost bool // the records of the same stretch are dropped
	}{
		"panics":   {bad: func([]byte) (int, error) { panic("by the user") }, says: ": by the user\n"},
		"too many": {bad: func(b []byte) (int, error) { return len(b) + 1, nil }, says: "bytes into"},
		"too few":  {bad: func([]byte) (int, error) { return -1, nil }, says: "read -1 bytes"},
		"ends its goroutine": {bad: func([]byte) (int, error) {
			runtime.Goexit()
			return 0, nil
		}, says: "Goexit", lost: true},
	} {
		t.Run(what, func(t *testing.T) {
			in, _, err := compressed.NewReader(&misbehaving{bad: c.bad})
			if err != nil {
				t.Fatal(err)
			}
			s, err := readers.NewDelimitedStream("user", in, readers.DelimitedConfig{Schema: schema})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			b, rows := record.NewBatch(schema, 0), 0
			for err == nil {
				b.Reset()
				err = s.Read(t.Context(), b)
				rows += b.Len()
			}
			if errors.Is(err, io.EOF) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v, expected %q", err, c.says)
			}
			if rows != 6 && !c.lost {
				t.Errorf("%d rows, expected 6", rows)
			}
		})
	}
}
