package query_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/velo-engine/velo/core"
	"github.com/velo-engine/velo/core/expr"
	"github.com/velo-engine/velo/query"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/ring"
)

// table is a stream "t" with some rows, for queries as users write them.
type table struct {
	columns string   // as CREATE SOURCE has them
	rows    []string // values with | between them, as a cast of a text reads them
}

// rejecting is a source that keeps why records were set aside.
type rejecting struct {
	given
	reasons []string
}

func (s *rejecting) Quarantine(r record.Reject) bool {
	s.reasons = append(s.reasons, r.Reason.Error())
	return true
}

// batch has the rows of the table.
func (x table) batch(t *testing.T) *record.Batch {
	t.Helper()
	schema, err := query.Columns("t", x.columns)
	if err != nil {
		t.Fatal(err)
	}
	b := record.NewBatch(schema, len(x.rows)+1000) // with room for their texts
	for _, row := range x.rows {
		if !b.Add(len(row)) {
			t.Fatal("the batch is too small")
		}
		for c, text := range strings.Split(row, "|") {
			if text == "NULL" {
				b.SetNull(c)
				continue
			}
			typ := schema.Field(c).Type
			e, err := expr.Cast(expr.Text(text), typ)
			if err != nil {
				t.Fatal(err)
			}
			v, ok := e.Const()
			if !ok {
				t.Fatalf("%q is no %v", text, typ)
			}
			if typ == record.String {
				b.SetString(c, v.Text)
			} else {
				b.Column(c).Words()[b.Len()-1] = v.Bits
			}
		}
	}
	return b
}

// query runs a query over the table with one reader and two partitions. It gives the rows of the result as they
// come, the reasons of what was set aside, and the counters.
func (x table) query(t *testing.T, text string) (rows, reasons []string, counters core.Counters) {
	t.Helper()
	b := x.batch(t)
	plan, err := query.Compile(text, b.Schema())
	if err != nil {
		t.Fatalf("%s\n%v", text, err)
	}
	if plan.Window != nil {
		plan.Window.Retain = core.MaxRetain
	}
	const partitions = 2
	cuts := core.NewCuts(plan, core.Route{}, 1, partitions, 0, nil, func() {})
	var agents []core.Agent
	var out []*ring.Producer[core.Chunk]
	for p := range partitions {
		in, o := ring.New[core.Chunk](4)
		out = append(out, in)
		part, err := core.NewPartition(core.PartitionID(p), plan, []*ring.Consumer[core.Chunk]{o}, []core.Bell{quiet{}}, nil, cuts)
		if err != nil {
			t.Fatal(err)
		}
		agents = append(agents, part)
	}
	source := &rejecting{given: given{[]*record.Batch{b}}}
	router, err := core.NewRouter(0, plan, source, core.Route{}, core.Fold{}, out, []core.Bell{quiet{}, quiet{}}, nil, nil, cuts)
	if err != nil {
		t.Fatal(err)
	}
	agents = append(agents, router)
	for !cuts.Ended() {
		for _, a := range agents {
			if a.Step(0); a.Err() != nil {
				t.Fatal(a.Err())
			}
		}
	}
	cut, _ := cuts.Pin()
	for b := range cut.Batches(3) {
		for i := range b.Len() {
			var row []string
			for c := range b.Schema().Len() {
				row = append(row, format(b, c, i))
			}
			rows = append(rows, strings.Join(row, " "))
		}
	}
	return rows, source.reasons, router.Counters()
}

// userCase is a query over a table with what comes of it.
type userCase struct {
	text    string
	want    []string
	reasons []string // what each reject says in part
}

func (x table) check(t *testing.T, cases []userCase) {
	t.Helper()
	for _, c := range cases {
		rows, reasons, counters := x.query(t, c.text)
		if !slices.Equal(rows, c.want) {
			t.Errorf("%s\n%s\nexpected\n%s", c.text, strings.Join(rows, "\n"), strings.Join(c.want, "\n"))
		}
		if len(reasons) != len(c.reasons) || counters.Quarantined != uint64(len(c.reasons)) {
			t.Errorf("%s\nset aside %d: %q, expected %q", c.text, counters.Quarantined, reasons, c.reasons)
			continue
		}
		for i, want := range c.reasons {
			if !strings.Contains(reasons[i], want) {
				t.Errorf("%s\nset aside as %q, expected %q", c.text, reasons[i], want)
			}
		}
		if sum := counters.Counted + counters.Filtered + counters.Late + counters.Quarantined; counters.In != sum || counters.In != uint64(len(x.rows)) {
			t.Errorf("%s\n%+v of %d records", c.text, counters, len(x.rows))
		}
	}
}

// Goal: a window over a time that may be NULL loses the records that have none and no others, says why, and loses
// none where WHERE leaves them out. Method: a table with NULL times, each kind of window.
func TestWindowOfNullableTime(t *testing.T) {
	null := []string{`the time of the window, at, is NULL`, `at, is NULL`}
	table{"at timestamp, k text, v bigint", []string{
		"2024-01-01 00:00:10|a|1", "NULL|a|2", "2024-01-01 00:00:50|b|4", "NULL|b|8", "2024-01-01 00:01:10|a|16",
	}}.check(t, []userCase{
		{
			`SELECT window_start, sum(v) AS v FROM t GROUP BY tumble(at, INTERVAL '1 minute') ORDER BY 1`,
			[]string{"2024-01-01T00:00:00Z 5", "2024-01-01T00:01:00Z 16"},
			null,
		},
		{
			`SELECT window_start, sum(v) AS v FROM t WHERE at IS NOT NULL GROUP BY tumble(at, INTERVAL '1 minute') ORDER BY 1`,
			[]string{"2024-01-01T00:00:00Z 5", "2024-01-01T00:01:00Z 16"},
			nil,
		},
		{
			`SELECT window_start, sum(v) AS v FROM t WHERE k = 'b' GROUP BY tumble(at, INTERVAL '1 minute') ORDER BY 1`,
			[]string{"2024-01-01T00:00:00Z 4"},
			null[:1],
		},
		{
			`SELECT window_end, count(*) AS n FROM t GROUP BY hop(at, INTERVAL '1 minute', INTERVAL '2 minutes') ORDER BY 1`,
			[]string{"2024-01-01T00:01:00Z 2", "2024-01-01T00:02:00Z 3", "2024-01-01T00:03:00Z 1"},
			null,
		},
		{
			`SELECT window_end, count(*) AS n FROM t GROUP BY cumulate(at, INTERVAL '1 minute', INTERVAL '2 minutes') ORDER BY 1`,
			[]string{"2024-01-01T00:01:00Z 2", "2024-01-01T00:02:00Z 3"},
			null,
		},
		{
			`SELECT window_start, window_end, count(*) AS n FROM t GROUP BY session(at, INTERVAL '30 s') ORDER BY 1`,
			[]string{"2024-01-01T00:00:10Z 2024-01-01T00:00:40Z 1", "2024-01-01T00:00:50Z 2024-01-01T00:01:40Z 2"},
			null,
		},
		{
			`SELECT at, max(at) AS m, count(DISTINCT k) AS d FROM t WHERE v < 4 GROUP BY at, tumble(at, INTERVAL '1 minute')`,
			[]string{"2024-01-01T00:00:10Z 2024-01-01T00:00:10Z 1"},
			null[:1],
		},
	})
}

// Goal: the time of a window may be any expression that is a timestamp, and a record for which it cannot be
// computed is set aside. Method: times as numbers and texts.
func TestWindowOfExpression(t *testing.T) {
	x := table{"sec bigint, f double precision, d decimal(15,3), s text, at timestamp", []string{
		"1700000000|1700000000.25|1700000000.5|2023-11-14 22:13:20|2023-11-14 22:13:20",
		"1700000061|1700000061.5|1700000061.75|2023-11-14T22:14:21Z|2023-11-14 22:14:21",
		"NULL|NULL|NULL|NULL|NULL",
		"1700000062|1700000062|1700000062|never|2023-11-14 22:14:22",
	}}
	two := []string{"2023-11-14T22:13:00Z 1", "2023-11-14T22:14:00Z 2"}
	x.check(t, []userCase{
		{`SELECT window_start, count(*) AS n FROM t GROUP BY tumble(to_timestamp(sec), INTERVAL '1 minute') ORDER BY 1`, two, []string{"is NULL"}},
		{`SELECT window_start, count(*) AS n FROM t GROUP BY tumble(to_timestamp(sec * 1000 / 1000.0), '1 minute') ORDER BY 1`, two, []string{"is NULL"}},
		{`SELECT window_start, count(*) AS n FROM t WHERE f > 0 GROUP BY tumble(to_timestamp(f), INTERVAL '1 minute') ORDER BY 1`, two, nil},
		{`SELECT window_start, count(*) AS n FROM t GROUP BY tumble(to_timestamp(d), INTERVAL '1 minute') ORDER BY 1`, two, []string{"is NULL"}},
		{
			`SELECT window_start, count(*) AS n FROM t GROUP BY tumble(s::timestamp, INTERVAL '1 minute') ORDER BY 1`,
			[]string{"2023-11-14T22:13:00Z 1", "2023-11-14T22:14:00Z 1"},
			[]string{"is NULL", "never"},
		},
		{
			`SELECT window_start, count(*) AS n FROM TUMBLE(t, at + INTERVAL '1 hour', INTERVAL '1 minute') GROUP BY window_start, window_end ORDER BY 1`,
			[]string{"2023-11-14T23:13:00Z 1", "2023-11-14T23:14:00Z 2"},
			[]string{"is NULL"},
		},
		{
			`SELECT window_start, max(to_timestamp(sec)) AS m FROM t WHERE sec IS NOT NULL GROUP BY tumble(to_timestamp(sec), INTERVAL '1 hour')`,
			[]string{"2023-11-14T22:00:00Z 2023-11-14T22:14:22Z"},
			nil,
		},
	})
}

// Goal: a watermark is for a column that may be NULL, and for one of another type that the window makes its time of.
func TestWatermarkAsUsersWriteIt(t *testing.T) {
	for _, text := range []string{
		`CREATE SOURCE s (at TIMESTAMP, v int, WATERMARK FOR at AS at - INTERVAL '5 s'); SELECT count(*) FROM s GROUP BY tumble(at, INTERVAL '1 s')`,
		`CREATE SOURCE s (ts bigint, WATERMARK FOR ts AS ts - INTERVAL '5 s'); SELECT count(*) FROM s GROUP BY tumble(to_timestamp(ts), INTERVAL '1 s')`,
		`CREATE SOURCE s (ts bigint, WATERMARK FOR ts AS to_timestamp(ts / 1000.0) - INTERVAL '5 s'); SELECT count(*) FROM s GROUP BY tumble(to_timestamp(ts / 1000.0), INTERVAL '1 s')`,
		`CREATE SOURCE s (ts text, WATERMARK FOR ts AS ts::timestamp - INTERVAL '5' SECOND); SELECT count(*) FROM TUMBLE(s, ts::timestamp, INTERVAL '1 s') GROUP BY window_end`,
	} {
		job, err := query.CompileJob(text, nil)
		if err != nil {
			t.Errorf("%s\n%v", text, err)
			continue
		}
		if late := job.Outputs[0].Plan.Window.OutOfOrder; late != 5*time.Second {
			t.Errorf("%s\nrecords come %v later than others, expected 5 s", text, late)
		}
	}
}
