package query_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/velo-engine/velo/core"
	"github.com/velo-engine/velo/core/expr"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/query"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/result"
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
func (x table) query(t *testing.T, text string) (rows, reasons []string, counters result.Counters) {
	t.Helper()
	b := x.batch(t)
	pl, err := query.Compile(text, b.Schema())
	if err != nil {
		t.Fatalf("%s\n%v", text, err)
	}
	if pl.Window != nil {
		pl.Window.Retain = plan.MaxRetain
	}
	const partitions = 2
	cuts := core.NewCuts(pl, plan.Route{}, 1, partitions, 0, nil, func() {})
	var agents []core.Agent
	var out []*ring.Producer[core.Chunk]
	for p := range partitions {
		in, o := ring.New[core.Chunk](4)
		out = append(out, in)
		part, err := core.NewPartition(plan.PartitionID(p), pl, []*ring.Consumer[core.Chunk]{o}, []core.Bell{quiet{}},
			nil, cuts)
		if err != nil {
			t.Fatal(err)
		}
		agents = append(agents, part)
	}
	source := &rejecting{given: given{[]*record.Batch{b}}}
	router, err := core.NewRouter(0, pl, source, plan.Route{}, core.Fold{}, out, []core.Bell{quiet{}, quiet{}}, nil,
		nil, cuts)
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
		if sum := counters.Counted + counters.Filtered + counters.Late + counters.Quarantined; counters.In != sum ||
			counters.In != uint64(len(x.rows)) {
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
		{
			`SELECT window_start, count(*) AS n FROM t GROUP BY tumble(to_timestamp(sec), INTERVAL '1 minute') ORDER BY 1`,
			two,
			[]string{"is NULL"},
		},
		{`SELECT window_start, count(*) AS n FROM t GROUP BY tumble(to_timestamp(sec * 1000 / 1000.0), '1 minute') ORDER BY 1`, two, []string{"is NULL"}},
		{`SELECT window_start, count(*) AS n FROM t WHERE f > 0 GROUP BY tumble(to_timestamp(f), INTERVAL '1 minute') ORDER BY 1`, two, nil},
		{
			`SELECT window_start, count(*) AS n FROM t GROUP BY tumble(to_timestamp(d), INTERVAL '1 minute') ORDER BY 1`,
			two,
			[]string{"is NULL"},
		},
		{
			`SELECT window_start, count(*) AS n FROM t GROUP BY tumble(s::timestamp, INTERVAL '1 minute') ORDER BY 1`,
			[]string{"2023-11-14T22:13:00Z 1", "2023-11-14T22:14:00Z 1"},
			[]string{"is NULL", "never"},
		},
		{
			`SELECT window_start, count(*) AS n FROM t GROUP BY tumble(to_timestamp(s, '%Y-%m-%d %H:%M:%S'), INTERVAL '1 minute') ORDER BY 1`,
			[]string{"2023-11-14T22:13:00Z 1"},
			[]string{"2023-11-14T22:14:21Z", "is NULL", "never"},
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

// Goal: windows are days, weeks and months as people have them. Method: times around the days at which clocks are set.
func TestCalendarWindows(t *testing.T) {
	table{"at timestamp, v bigint", []string{
		"2024-03-10 04:59:59|1", "2024-03-10 05:00:00|2", "2024-03-11 03:59:59|4", "2024-03-11 04:00:00|8", "NULL|16",
		"2024-12-31 23:59:59|32",
	}}.check(t, []userCase{
		{
			`SELECT window_start, window_end, sum(v) AS v FROM t WHERE at < TIMESTAMP '2024-04-01' GROUP BY tumble(at, INTERVAL '1 day', 'America/New_York') ORDER BY 1`,
			[]string{
				"2024-03-09T05:00:00Z 2024-03-10T05:00:00Z 1", "2024-03-10T05:00:00Z 2024-03-11T04:00:00Z 6",
				"2024-03-11T04:00:00Z 2024-03-12T04:00:00Z 8",
			},
			nil,
		},
		{
			`SELECT window_start, sum(v) AS v FROM TUMBLE(t, at, INTERVAL '1 month') GROUP BY window_start, window_end ORDER BY 1`,
			[]string{"2024-03-01T00:00:00Z 15", "2024-12-01T00:00:00Z 32"},
			[]string{"is NULL"},
		},
		{
			`SELECT window_start, window_end, sum(v) AS v FROM t GROUP BY tumble(at, '1 year', 'Europe/Berlin') ORDER BY 1`,
			[]string{"2023-12-31T23:00:00Z 2024-12-31T23:00:00Z 15", "2024-12-31T23:00:00Z 2025-12-31T23:00:00Z 32"},
			[]string{"is NULL"},
		},
		{
			`SELECT window_start, sum(v) AS v FROM t WHERE v < 16 GROUP BY tumble(at, INTERVAL '1 week') ORDER BY 1`,
			[]string{"2024-03-04T00:00:00Z 3", "2024-03-11T00:00:00Z 12"},
			nil,
		},
	})
}

// Goal: the functions of times and texts that people expect give what PostgreSQL gives. Method: one row, each expression for itself; NULL gives NULL.
func TestFunctions(t *testing.T) {
	x := table{
		"at timestamp, s text, n text, i bigint, js text",
		[]string{`2024-07-04 15:06:07.089|Hello wörld|NULL|-7|{"a": {"b": "x", "c": [1, 2, null]}, "d": 2.5}`},
	}
	for text, want := range map[string]string{
		`left(s, 3)`: "Hel", `left(s, -6)`: "Hello", `right(s, 4)`: "örld", `right(s, -6)`: "wörld", `left(s, 0)`: "",
		`left(n, 1)`:        "NULL",
		`lpad(s, 13, 'ab')`: "abHello wörld", `rpad('x', 4)||'|'`: "x   |", `lpad(s, 2)`: "He",
		`repeat('ab', 3)`: "ababab", `repeat('ab', -1)`: "", `reverse('añb')`: "bña",
		`starts_with(s, 'Hell')`: "TRUE", `strpos(s, 'w')`: "7", `position('zz' IN s)`: "0", `ascii('ö')`: "246",
		`ascii('')`: "0", `chr(246)`: "ö", `md5('abc')`: "900150983cd24fb0d6963f7d28e17f72",
		`split_part('a,b,c', ',', 2)`: "b", `octet_length('ö')`: "2", `sign(i)`: "-1", `mod(i, 3)`: "-1",
		`s ~ '^hello'`: "FALSE", `s ~* '^hello'`: "TRUE", `s !~ 'w.r'`: "FALSE", `n ~ 'a'`: "NULL",
		`regexp_replace(s, 'l+', '<\&>')`: "He<ll>o wörld", `regexp_replace(s, '(.)l', '[\1]', 'g')`: "H[e]lo wö[r]d",
		`regexp_count(s, 'l')`: "3", `regexp_substr(s, 'w\w*')`: "w", `regexp_substr(s, 'z')`: "NULL",
		`regexp_like(s, 'HELLO', 'i')`:            "TRUE",
		`to_char(at, 'YYYY-MM-DD HH24:MI:SS.MS')`: "2024-07-04 15:06:07.089",
		`to_char(at, 'FMMonth FMDD, HH12:MI AM')`: "July 4, 03:06 PM", `to_char(at, 'IYYY-"W"IW')`: "2024-W27",
		`to_char(at, 'Dy D DDD Q')`:  "Thu 5 186 3",
		`date_bin('15 minutes', at)`: "2024-07-04T15:00:00Z",
		`date_bin(INTERVAL '15 minutes', at, TIMESTAMP '2024-01-01 00:02:30')`:      "2024-07-04T15:02:30Z",
		`date_trunc('day', at, 'America/New_York')`:                                 "2024-07-04T04:00:00Z",
		`at AT TIME ZONE 'America/New_York'`:                                        "2024-07-04T11:06:07.089Z",
		`TIMESTAMP '2024-07-04 12:00:00' AT TIME ZONE 'Europe/Berlin'`:              "2024-07-04T10:00:00Z",
		`extract(hour FROM at AT TIME ZONE 'Asia/Kathmandu')`:                       "20",
		`date_trunc('month', at AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'`:             "2024-07-01T00:00:00Z",
		`to_timestamp('31/12/2024 23:59', '%d/%m/%Y %H:%M')`:                        "2024-12-31T23:59:00Z",
		`to_timestamp('31-12-2024', 'DD-MM-YYYY')`:                                  "2024-12-31T00:00:00Z",
		`to_timestamp(n, '%F')`:                                                     "NULL",
		`to_timestamp(to_char(at, 'DD/MM/YYYY HH24:MI'), 'DD/MM/YYYY HH24:MI')`:     "2024-07-04T15:06:00Z",
		`to_timestamp('04/07/2024 12', '%d/%m/%Y %H') AT TIME ZONE 'Europe/Berlin'`: "2024-07-04T10:00:00Z",
		`to_timestamp('04/07/2024 12 +02', '%d/%m/%Y %H %z')`:                       "2024-07-04T10:00:00Z",
		`to_timestamp(1720105567.5)`:                                                "2024-07-04T15:06:07.5Z",
		`at + INTERVAL '1 month'`:                                                   "2024-08-04T15:06:07.089Z",
		`TIMESTAMP '2024-01-31' + INTERVAL '1 month'`:                               "2024-02-29T00:00:00Z",
		`at - INTERVAL '1 year 1 day'`:                                              "2023-07-03T15:06:07.089Z",
		`js->'a'->>'b'`:                                                             "x", `js->'a'->'b'`: `"x"`,
		`js->'a'->'c'->1`: "2", `js->'a'->'c'->>-1`: "NULL", `(js->>'d')::double precision`: "2.5", `js->>'zz'`: "NULL",
		`js->'a'->'b'->'c'`: "NULL",
	} {
		rows, reasons, _ := x.query(t, `SELECT first(`+text+`, at) AS x FROM t`)
		if len(rows) != 1 || rows[0] != want || len(reasons) != 0 {
			t.Errorf("%s: %q, set aside %q, expected %q", text, rows, reasons, want)
		}
	}
}

// Goal: a nested field is a column of that name, however it is written, and * leaves out what is within another column.
func TestPaths(t *testing.T) {
	schema, err := query.Columns("t", `a text, "a.b" text, "a.b.c" bigint, "t.x" bigint, y bigint`)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		`a.b.c`, `"a"."b"."c"`, `t.a.b.c`, `a->'b'->'c'`, `(a->'b'->>'c')::bigint`, `"a.b.c"`,
		`a.b->'c'`,
	} {
		p, err := query.Compile(`SELECT sum(`+text+`) AS s FROM t`, schema)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if c := p.Aggregates[0].Column; c != "a.b.c" {
			t.Errorf("%s: sums %q", text, c)
		}
	}
	p, err := query.Compile(`SELECT * FROM t`, schema)
	if err != nil {
		t.Fatal(err)
	}
	if s, err := p.Result(); err != nil || s.Len() != 3 {
		t.Errorf("* gives %v, %v", s, err)
	}
	if _, err := query.Compile(`SELECT sum(q.z) FROM t`, schema); err == nil ||
		!strings.Contains(err.Error(), `no column "q.z"`) {
		t.Errorf("an unknown path: %v", err)
	}
}

// Goal: a constant beside a decimal is compared with all of its digits, also as a text, and a NULL beside decimals of different digits is taken. Method: every construct that
// brings values to one type.
func TestConstantsBesideDecimals(t *testing.T) {
	x := table{"v bigint, d decimal(5,1), e decimal(18,2)", []string{"1|1.0|1.00", "2|2.5|1234567890123456.25"}}
	for text, want := range map[string]string{
		`d = '2.54'`: "0", `d <> '2.54'`: "2", `d > '2.45'`: "1", `d >= '2.54'`: "0", `d < '2.54'`: "2",
		`'2.54' > d`: "2", `'2.5' = d`: "1", `d = '2.50'`: "1", `d = ' +2.5 '`: "1",
		`d = 2.54`: "0", `d <= 2.54`: "2", `2.49 < d`: "1", `e = '1.001'`: "0", `e > 1.001`: "1",
		`e < '-0.000001'`: "0", `d > '-2.45'`: "2", `d < '-2.45'`: "0", `d = '25e-1'`: "1",
		`d IN ('2.54', '1')`: "1", `d IN (1, '2.5')`: "2", `d IN (2.5, NULL)`: "1", `d NOT IN (v, NULL)`: "0",
		`(NULL IN (3, 0.5)) IS NULL`: "2", `d BETWEEN '0.99' AND '2.49'`: "1", `d BETWEEN NULL AND 2`: "0",
		`nullif(d, '2.54') = 2.5`: "1", `nullif(d, '2.5') IS NULL`: "1", `coalesce(d, NULL, 0) = 2.5`: "1",
		`coalesce(NULL, d, '0.25') > 1`: "1", `greatest(d, '2.54') = '2.54'`: "2",
		`least(d, NULL, '1.05', 7) = 1.05`:                                "1",
		`CASE d WHEN '2.54' THEN true WHEN NULL THEN true ELSE false END`: "0",
		`CASE WHEN v = 1 THEN NULL WHEN v = 3 THEN 1 ELSE d END = 2.5`:    "1", `d + '0.04' = 2.54`: "1",
		`d IS DISTINCT FROM '2.54'`:   "2",
		`d IS NOT DISTINCT FROM NULL`: "0", `v + d = '4.5'`: "1", `v < '3'`: "2",
	} {
		rows, reasons, _ := x.query(t, `SELECT count(*) FILTER (WHERE `+text+`) AS n FROM t`)
		if len(rows) != 1 || rows[0] != want || len(reasons) != 0 {
			t.Errorf("%s: %q, set aside %q, expected %q", text, rows, reasons, want)
		}
	}
}
