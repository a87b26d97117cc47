package try

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/velo-engine/velo/query"
)

const job = `CREATE SOURCE trades (symbol text, size bigint, at timestamp, WATERMARK FOR at AS at - INTERVAL '5 s')
  WITH (connector = 'nowhere', time.unit = 's');
CREATE SINK volumes WITH (connector = 'nowhere');
INSERT INTO volumes SELECT window_start, symbol, sum(size) AS v FROM trades WHERE size > 0
  GROUP BY symbol, tumble(at, INTERVAL '1 minute');
SELECT symbol, size * 2 AS double FROM trades;`

// Goal: pasted records go through every query of a job, in either format; what cannot be read is
// said with its line, and nothing of the job is opened (its connector does not exist). Method: a
// table of what is pasted.
func TestRun(t *testing.T) {
	for _, c := range []struct {
		name, records string
		format        string
		read          uint64
		windows, pass string
		rejects       string
	}{
		{
			"JSON", `{"symbol":"A","size":5,"at":0}` + "\n" + `{"symbol":"A","size":7,"at":30}`, "ndjson", 2,
			"[[1970-01-01T00:00:00Z A 12]]", "[[A 10] [A 14]]", "",
		},
		{
			"one line of CSV, and an empty one", "A,5,2026-03-02T09:30:00Z\n\n", "csv", 1,
			"[[2026-03-02T09:30:00Z A 5]]", "[[A 10]]", "",
		},
		{
			"what is filtered, late and wrong", "A,0,100\nA,1,200\nA,2,100\nA,x,200", "csv", 4,
			"[[1970-01-01T00:03:00Z A 1]]", "[[A 0] [A 2] [A 4]]", "4",
		},
		{"nothing", "", "csv", 0, "[]", "[]", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := Run(t.Context(), nil, job, "", []byte(c.records))
			if err != nil {
				t.Fatal(err)
			}
			w, p := r.Outputs[0], r.Outputs[1]
			if r.Source != "trades" || r.Format != c.format || r.Records != c.read || w.Name != "volumes" ||
				w.Error+p.Error != "" {
				t.Errorf("%+v", r)
			}
			if got := fmt.Sprint(w.Rows); got != c.windows || len(w.Columns) != 3 || w.Columns[2].Type != "bigint" {
				t.Errorf("windows %s, expected %s; columns %v", got, c.windows, w.Columns)
			}
			if got := fmt.Sprint(p.Rows); got != c.pass {
				t.Errorf("passed %s, expected %s", got, c.pass)
			}
			lines := ""
			for _, x := range r.Rejects {
				lines += fmt.Sprint(x.Line)
			}
			if lines != c.rejects {
				t.Errorf("rejects %+v, expected of the lines %s", r.Rejects, c.rejects)
			}
			if c.rejects != "" && (w.Late != 1 || w.Filtered != 1 || w.Counted != 1) {
				t.Errorf("%+v", w)
			}
		})
	}
}

// Goal: what cannot be tried is refused with the reason; results are bounded.
func TestRefused(t *testing.T) {
	two := `CREATE SOURCE other (x bigint) WITH (connector = 'nowhere');` + job
	for _, c := range []struct{ text, source, records, want string }{
		{"SELECT FROM", "", "", "line 1"},
		{two, "", "", "expected the name of one: other, trades"},
		{two, "third", "", `no source "third"`},
		{two, "other", "", `no query reads the source "other"`},
		{job, "", strings.Repeat("x", MaxBytes+1), "at most"},
	} {
		_, err := Run(t.Context(), nil, c.text, c.source, []byte(c.records))
		if err == nil || !strings.Contains(err.Error(), c.want) || errors.Is(err, ErrInput) == strings.Contains(
			c.want, "line") {
			t.Errorf("%v, expected %q", err, c.want)
		}
	}
	r, err := Run(t.Context(), nil, job, "trades", []byte(strings.Repeat("A,1,100\n", MaxRows+1)))
	if err != nil || len(r.Outputs[1].Rows) != MaxRows || !r.Outputs[1].More || r.Outputs[0].More {
		t.Errorf("%v: %d rows", err, len(r.Outputs[1].Rows))
	}
	if _, err := query.CompileJob(job, nil); err != nil {
		t.Error(err)
	}
}
