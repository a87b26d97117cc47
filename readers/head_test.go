package readers

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/velo-engine/velo/record"
)

// Goal: what stands before the first record is no record, and the header says which field is which column. Method: the same bytes as a file of
// small and large blocks and as a stream.
func TestHead(t *testing.T) {
	s := schemaOf(t, record.Field{Name: "name", Type: record.String, Nullable: true}, record.Field{Name: "value", Type: record.Int64, Nullable: true})
	named := DelimitedConfig{Schema: s, Quote: '"', Header: true, ByName: true}
	plain := DelimitedConfig{Schema: s, Quote: '"'}
	comments := DelimitedConfig{Schema: s, Quote: '"', Comment: '#', SkipLines: 1}
	nulls := plain
	nulls.Nulls = []string{"NA"}
	for _, c := range []struct {
		cfg  DelimitedConfig
		data string
		want string // rows in order, or the error
	}{
		{plain, "\ufeffa,1\nb,2\n", "a|1 b|2"},
		{plain, "\ufeff\"a\",1\n", "a|1"},
		{named, "\ufeff\"name\",value\na,1\n", "a|1"},
		{named, "value,name\n1,a\n2,b\n", "a|1 b|2"},
		{named, "Value,other,NAME\n1,x,a\n", "a|1"},
		{named, "name\na\nb\n", "a|NULL b|NULL"},
		{named, "name,value\n", ""},
		{named, "", ""},
		{named, "a,1\nb,2\n", `the header has no column "name", "value"; it has "a", "1"`},
		{named, strings.Repeat("x", DefaultMaxRecordBytes+2) + "\na,1\n", "the first line has more than"},
		{comments, "export of today\n# by name\na,1\n#\nb,2\n", "a|1 b|2"},
		{nulls, "NA,NA\n\"NA\",3\n", "NULL|3 NULL|NULL"},
	} {
		for _, from := range []string{"blocks of 1", "blocks of 5", "one block", "stream"} {
			cfg := c.cfg
			cfg.BlockBytes = map[string]int{"blocks of 1": 1, "blocks of 5": 5}[from]
			var rs []record.Reader
			var err error
			if from == "stream" {
				var r *Stream
				r, err = newDelimitedStream("stream", bytes.NewReader([]byte(c.data)), cfg, true)
				rs = []record.Reader{r}
			} else {
				var d *Delimited
				if d, err = OpenDelimited(write(t, []byte(c.data)), cfg); err == nil {
					rs = d.Readers(2)
				}
			}
			if from != "stream" && err != nil {
				if c.want == "" || !strings.Contains(err.Error(), c.want) {
					t.Errorf("%.40q, %s: %v, expected %s", c.data, from, err, c.want)
				}
				continue
			} else if err != nil {
				t.Fatal(err)
			}
			var rows []string
			for _, r := range rs {
				b := record.NewBatch(s, 0)
				for err = nil; err == nil; {
					b.Reset()
					err = r.(record.Poller).Poll(b)
					for i := range b.Len() {
						rows = append(rows, text(s.Field(0), b.Column(0), i)+"|"+text(s.Field(1), b.Column(1), i))
					}
					for _, rj := range b.Rejects() {
						rows = append(rows, fmt.Sprint("!", rj.Reason))
					}
				}
				if err := r.Close(); err != nil {
					t.Error(err)
				}
			}
			slices.Sort(rows)
			if got := strings.Join(rows, " "); got != c.want && (!strings.HasPrefix(got, "!") || c.want == "" || !strings.Contains(got, c.want)) {
				t.Errorf("%.40q, %s: %s, expected %s", c.data, from, got, c.want)
			}
		}
	}
}

// Goal: columns have names that are all different.
func TestColumnNames(t *testing.T) {
	got := ColumnNames([]string{" A ", "a", "", "a_1", "a"})
	if want := []string{"a", "a_2", "c3", "a_1", "a_3"}; !slices.Equal(got, want) {
		t.Errorf("%q, expected %q", got, want)
	}
}
