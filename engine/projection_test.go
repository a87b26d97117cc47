package engine_test

import (
	"context"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/query"
	"github.com/velo-engine/velo/record"
)

// toldReader keeps what the engine tells it to read. It ends at once.
type toldReader struct{ read []bool }

func (r *toldReader) Columns(read []bool)                       { r.read = read }
func (r *toldReader) Read(context.Context, *record.Batch) error { return io.EOF }
func (r *toldReader) Close() error                              { return nil }

// Goal: a reader is told exactly the columns that a plan reads, and is told nothing if late records
// or a route need them all. Method: queries of every kind, beside what EXPLAIN says, or what is
// expected if EXPLAIN says nothing.
func TestColumnsRead(t *testing.T) {
	schema, err := query.Columns("s", "a bigint not null, b text, c double precision, d decimal(9,2), at timestamp "+
		"not null, e boolean")
	if err != nil {
		t.Fatal(err)
	}
	explained := regexp.MustCompile(`(?m)^reads +(.*)$`)
	for sql, want := range map[string]string{
		"SELECT b, sum(a) AS n FROM s GROUP BY b":                                      "a, b",
		"SELECT count(*) AS n FROM s":                                                  "",
		"SELECT count(*) AS n FROM s WHERE c > 1":                                      "c",
		"SELECT upper(b) AS u, max(a + c) AS n FROM s WHERE e GROUP BY upper(b)":       "a, b, c, e",
		"SELECT count(DISTINCT b) AS n FROM s":                                         "b",
		"SELECT b, max_by(c, a) AS n FROM s GROUP BY b HAVING count(d) > 1 ORDER BY n": "a, b, c, d",
		"SELECT * FROM s": "a, b, c, d, at, e",
		"SELECT string_agg(b, '/' ORDER BY at) AS n FROM s":                                            "b, at",
		"SELECT count(DISTINCT a) FILTER (WHERE e) AS n FROM s":                                        "a, e",
		"SELECT a, lag(c) OVER (PARTITION BY b ORDER BY at) AS n FROM s":                               "a, b, c, at",
		"SELECT a FROM s QUALIFY rank() OVER (ORDER BY b) < rank() OVER (ORDER BY d)":                  "a, b, d",
		"SELECT a FROM s QUALIFY row_number() OVER (PARTITION BY b ORDER BY d, c) = 1":                 "a, b, c, d",
		"SELECT a + 1 AS x FROM s WHERE e ORDER BY d LIMIT 3":                                          "a, d, e",
		"SELECT a FROM s LIMIT 1":                                                                      "a",
		"SELECT window_end, count(*) AS n FROM TUMBLE(s, at, INTERVAL '1' SECOND) GROUP BY window_end": "at",
	} {
		p, err := query.Compile(sql, schema)
		if err != nil {
			t.Errorf("%s: %v", sql, err)
			continue
		}
		var names []string
		for i, is := range engine.ColumnsRead(p) {
			if is {
				names = append(names, schema.Field(i).Name)
			}
		}
		if got := strings.Join(names, ", "); got != want {
			t.Errorf("%s reads %s, expected %s", sql, got, want)
		}
		text, err := p.Explain()
		if err != nil {
			t.Fatal(err)
		}
		if m := explained.FindStringSubmatch(text); m != nil && m[1] != want {
			t.Errorf("%s reads %s, EXPLAIN says %s", sql, want, m[1])
		}
		for _, needs := range []string{"the plan", "late records", "a route"} {
			r := &toldReader{}
			cfg := engine.Config{Plan: p, Readers: []record.Reader{r}, Partitions: 1, Cores: 1, NoPin: true}
			switch needs {
			case "late records":
				cfg.OnLate = func(int, *record.Batch) {}
			case "a route":
				if p.PassesThrough() {
					continue
				}
				cfg.Route = plan.Route{Routing: plan.RouteCustom, Func: func(*plan.RouteContext) {}}
			}
			if p.PassesThrough() {
				cfg.Writer = nothing{}
			}
			e := start(t, cfg)
			if err := e.Wait(); err != nil {
				t.Error(err)
			}
			e.Close()
			told := needs == "the plan"
			if told == (r.read == nil) || told && !slices.Equal(r.read, engine.ColumnsRead(p)) {
				t.Errorf("%s, columns for %s: the reader was told %v", sql, needs, r.read)
			}
		}
	}
}

// nothing is a writer that drops everything.
type nothing struct{}

func (nothing) Write(context.Context, *record.Batch) error { return nil }
func (nothing) Close() error                               { return nil }
