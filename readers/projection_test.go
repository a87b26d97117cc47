package readers

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/velo-engine/velo/record"
)

// Goal: what is wrong in a column that nobody reads sets its record aside only if that is asked for;
// a missing value of a column that is not nullable, and a wrong number of fields, always do. Method:
// a line for each fault, of both formats, with Strict and without it, as a file and as a stream.
func TestProjection(t *testing.T) {
	s := schemaOf(t, record.Field{Name: "k", Type: record.String}, record.Field{Name: "n", Type: record.Int64},
		record.Field{Name: "m", Type: record.Int64, Nullable: true},
		record.Field{Name: "at", Type: record.Timestamp, Nullable: true},
		record.Field{Name: "t", Type: record.String})
	only := []bool{true, false, false, false, false}
	for _, c := range []struct {
		line         string
		loose, tight bool // accepted without Strict, and with it
	}{
		{`a,1,2,2026-01-01,t`, true, true},
		{`a,1,,,`, true, true},
		{`a,one,2,2026-01-01,t`, true, false},
		{`a,1,two,yesterday,t`, true, false},
		{`a,"one",2,"2026-13-01",t`, true, false},
		{`a,1,2,"2026-01-01"x,t`, true, false},
		{`a,,2,2026-01-01,t`, false, false},
		{`a," ",2,2026-01-01,t`, false, false},
		{`a,"",2,2026-01-01,t`, false, false},
		{`a, ,2,2026-01-01,t`, false, false},
		{`a,NA,2,2026-01-01,t`, false, false},
		{`a,1,NA,NA,NA`, true, true},
		{`a,1,2,2026-01-01`, false, false},
		{`a,1,2,2026-01-01,t,u`, false, false},
		{`{"k":"a","n":1,"m":2,"at":"2026-01-01","t":"t"}`, true, true},
		{`{"k":"a","n":1,"t":"t"}`, true, true},
		{`{"k":"a","n":"one","m":"two","at":3,"t":4}`, true, false},
		{`{"k":"a","n":1e99,"m":1.5,"at":"now","t":"t"}`, true, false},
		{`{"k":"a","n":null,"t":"t"}`, false, false},
		{`{"k":"a","n":1,"t":null}`, false, false},
		{`{"k":"a","t":"t"}`, false, false},
		{`{"k":"a","n":1}`, false, false},
		{`{"k":"a","n":1,"t":"t"`, false, false},
	} {
		// Alone, and among lines that are read together.
		good := `a,1,2,2026-01-01,t`
		json := c.line[0] == '{'
		if json {
			good = `{"k":"a","n":1,"m":2,"at":"2026-01-01","t":"t"}`
		}
		for _, around := range []int{0, 20} {
			lines := slices.Concat(slices.Repeat([]string{good}, around), []string{c.line},
				slices.Repeat([]string{good}, around))
			data := []byte(strings.Join(lines, "\n") + "\n")
			for _, strict := range []bool{false, true} {
				var ways []way
				o := ValueOptions{Strict: strict}
				if json {
					ways = jsonWays(NDJSONConfig{Schema: s, ValueOptions: o}, only, 1, 30, 2, 50)
				} else {
					o.Nulls = []string{"NA"}
					ways = delimitedWays(DelimitedConfig{Schema: s, Quote: '"', ValueOptions: o}, only, 1, 30, 2, 50)
				}
				want := 2 * around
				if strict && c.tight || !strict && c.loose {
					want++
				}
				path := write(t, data)
				for _, w := range ways {
					rows := 0
					for _, line := range told(t, w, s, data, path, 64, 0) {
						if !strings.HasPrefix(line, "row ") {
							continue
						}
						if rows++; !strict && line != `row "a","0","NULL","NULL",""` {
							t.Errorf("%s of %s: %s: a column that nobody reads has a value", w.name, c.line, line)
						}
					}
					if rows != want {
						t.Errorf("%s, strict %v, %s among %d: %d rows, expected %d", w.name, strict, c.line, 2*around,
							rows, want)
					}
				}
			}
		}
	}
}

// Goal: a batch that had values in a column does not show them if the next reader leaves it out, and
// shows those of a reader that does not. Method: one batch for two readers in turn.
func TestProjectionNotStale(t *testing.T) {
	s := tradeSchema(t)
	line := "1,2026-01-01,S,V,buy,1.5,7,A,0.5,note\n"
	b := record.NewBatch(s, 64)
	for i := range 6 {
		f, err := OpenDelimited(write(t, []byte(strings.Repeat(line, 10))), DelimitedConfig{Schema: s})
		if err != nil {
			t.Fatal(err)
		}
		rs := f.Readers(1)
		want := "[1 1767225600000000000 S V buy 4609434218613702656 7 A 5000 note]"
		if i%2 == 1 {
			projected(rs, make([]bool, s.Len()))
			want = "[0 0    0 0 NULL NULL NULL]"
		}
		b.Reset()
		if err := rs[0].(record.Poller).Poll(b); err != nil || b.Len() != 10 {
			t.Fatal(b.Len(), err)
		}
		var values []string
		for c := range s.Len() {
			values = append(values, text(s.Field(c), b.Column(c), 9))
		}
		if got := fmt.Sprint(values); got != want {
			t.Errorf("%s, expected %s", got, want)
		}
		rs[0].Close()
	}
}
