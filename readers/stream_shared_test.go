package readers

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/velo-engine/velo/record"
)

// drainAll reads all rows of some readers, each on a goroutine of its own that polls when woken.
func drainAll(t *testing.T, rs []record.Reader, s *record.Schema) (rows int, sum int64, ended []error) {
	t.Helper()
	ended = make([]error, len(rs))
	var all sync.WaitGroup
	var mu sync.Mutex
	for i, r := range rs {
		p := r.(*Stream)
		woken := make(chan struct{}, 1)
		p.Notify(func() {
			select {
			case woken <- struct{}{}:
			default:
			}
		})
		all.Go(func() {
			b := record.NewBatch(s, 0)
			for ended[i] == nil {
				b.Reset()
				ended[i] = p.Poll(b)
				mu.Lock()
				rows += b.Len()
				for _, v := range b.Column(1).Int64s[:b.Len()] {
					sum += v
				}
				mu.Unlock()
				if ended[i] == nil && b.Len() == 0 {
					<-woken
				}
			}
		})
	}
	all.Wait()
	return rows, sum, ended
}

// Goal: readers that share an io.Reader read each record once, and all end. Method: one to four
// readers, with quotes and a header, with an end and with an error; the io.Reader is closed with
// the last.
func TestSharedStreams(t *testing.T) {
	s := schemaOf(t, record.Field{Name: "a", Type: record.String}, record.Field{Name: "b", Type: record.Int64})
	const rows = 20_000
	var csv, lines strings.Builder
	csv.WriteString("b,x,a\n")
	for i := range rows {
		fmt.Fprintf(&csv, "%d,,\"te\nxt, %d\"\n", i, i)
		fmt.Fprintf(&lines, "{\"a\":\"text\",\"b\":%d}\n", i)
	}
	broken := errors.New("broken")
	for n := 1; n <= 4; n++ {
		for _, wrong := range []error{nil, broken} {
			for format, text := range map[string]string{"csv": csv.String(), "ndjson": lines.String()} {
				closed := 0
				in := &closing{Reader: strings.NewReader(text), closed: &closed}
				if wrong != nil {
					in.Reader = io.MultiReader(in.Reader, iotest.ErrReader(wrong))
				}
				rs, err := NewNDJSONStreams("in", in, NDJSONConfig{Schema: s, BlockBytes: 5000}, n)
				if format == "csv" {
					cfg := DelimitedConfig{Schema: s, Quote: '"', Header: true, ByName: true, BlockBytes: 5000}
					rs, err = NewDelimitedStreams("in", in, cfg, n)
				}
				if err != nil {
					t.Fatal(err)
				}
				got, sum, ended := drainAll(t, rs, s)
				if got != rows || sum != rows*(rows-1)/2 {
					t.Errorf("%s, %d readers: %d rows, sum %d", format, n, got, sum)
				}
				failed := 0
				for i, r := range rs {
					if !errors.Is(ended[i], io.EOF) {
						failed++
					}
					if closed != 0 {
						t.Errorf("%s: closed with reader %d of %d", format, i, n)
					}
					if err := r.Close(); err != nil {
						t.Error(err)
					}
				}
				want := 0
				if wrong != nil {
					want = 1
				}
				if failed != want || closed != 1 {
					t.Errorf("%s, %d readers: %v, closed %d times", format, n, ended, closed)
				}
			}
		}
	}
}

// closing counts its Closes.
type closing struct {
	io.Reader
	closed *int
}

func (c *closing) Close() error { *c.closed++; return nil }
