package query

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/velo-engine/velo/core"
)

var someConnectors = &Connectors{
	Sources: map[string]Connector{
		"file": {Options: []OptionSpec{
			{Name: "path", Required: true},
			{Name: "format", Values: []string{"csv", "ndjson"}},
			{Name: "header", Kind: OptionBool},
			{Name: "delimiter", Kind: OptionChar},
		}},
		"generator": {Options: []OptionSpec{{Name: "rows", Kind: OptionInt}}},
	},
	Sinks: map[string]Connector{
		"file": {Options: []OptionSpec{
			{Name: "path", Required: true},
			{Name: "rotate.bytes", Kind: OptionBytes},
			{Name: "rotate.every", Kind: OptionDuration},
		}},
		"stdout": {},
	},
}

const tradesSource = `CREATE SOURCE trades (symbol text NOT NULL, size bigint, at timestamp NOT NULL, other timestamp NOT NULL, WATERMARK FOR at AS at - INTERVAL '5 s')
	WITH (connector = 'file', path = 'trades.csv', header = false, delimiter = '\t');
`

// Goal: a job has the sources, sinks and plans that its text says, typed. Method: a text with every statement, in an odd order.
func TestCompileJob(t *testing.T) {
	job, err := CompileJob(`
		-- what is read twice
		INSERT INTO volumes SELECT window_start, sum(size) AS v FROM trades GROUP BY tumble(at, INTERVAL '1 minute');
		CREATE SINK volumes WITH (connector = 'file', path = 'v.csv', rotate.bytes = '1.5 MiB', rotate.every = '90 s');
		`+tradesSource+`
		CREATE SOURCE IF NOT EXISTS trades (x bigint) WITH (connector = 'nothing');
		CREATE SOURCE numbers (k bigint, at timestamp not null) WITH (connector = 'generator', rows = 10);
		CREATE SINK ks AS SELECT k, count(*) AS n FROM numbers GROUP BY k WITH (connector = 'stdout');
		;
		SELECT window_end, count(*) AS n FROM TUMBLE(numbers, at, INTERVAL '1 s') GROUP BY window_end`, someConnectors)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, o := range job.Outputs {
		sink := "printed"
		if o.Sink != nil {
			sink = o.Sink.Name
		}
		late := "no window"
		if w := o.Plan.Window; w != nil && w.OutOfOrder == core.AnyOrder {
			late = "in any order"
		} else if w != nil {
			late = w.OutOfOrder.String()
		}
		result, err := o.Plan.Result()
		if err != nil {
			t.Error(err)
		}
		got = append(got, fmt.Sprintf("%s: %v %v", sink, result, late))
	}
	want := []string{
		"volumes: trades(window_start timestamp, v bigint NULL) 5s", "ks: numbers(k bigint NULL, n bigint) no window", "printed: numbers(window_end timestamp, n bigint) in any order",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("\n%s\nexpected\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if len(job.Sources) != 2 || job.Outputs[0].Source != job.Sources[0] || job.Sources[0].Schema.String() != "trades(symbol text, size bigint NULL, at timestamp, other timestamp)" {
		t.Errorf("%v", job.Sources)
	}
	source, sink := job.Sources[0].Options, job.Outputs[0].Sink.Options
	if source.Connector() != "file" || source.Text("path") != "trades.csv" || source.Bool("header") || !source.Has("header") || source.Has("format") || source.Char("delimiter") != '\t' {
		t.Errorf("%+v", source)
	}
	if sink.Int("rotate.bytes") != 3<<19 || sink.Duration("rotate.every") != 90*time.Second || job.Sources[1].Options.Int("rows") != 10 {
		t.Errorf("%+v", sink)
	}
	if err := sink.Errorf("path", "no such folder"); err == nil || !strings.Contains(err.Error(), "line 4, column 49: no such folder\n") || !strings.HasSuffix(err.Error(), "^") {
		t.Errorf("%v", err)
	}
}

// Goal: all faults of a job are said at once, in their order, each with its place, and none that only follows from another.
func TestJobFaults(t *testing.T) {
	for _, c := range []struct {
		text string
		want []string // of each fault, in their order
	}{
		{``, []string{"line 1, column 1: the job does nothing"}},
		{tradesSource, []string{"the job does nothing"}},
		{tradesSource + `SELECT count(*) FROM trade`, []string{`line 3, column 22: there is no source "trade"; did you mean "trades"?`}},
		{tradesSource + `SELECT count(*) FROM trades; SELECT count(*) FROM trades`, []string{"a SELECT that is printed comes last", "a second SELECT"}},
		{tradesSource + `INSERT INTO out SELECT count(*) FROM trades`, []string{`there is no sink "out"`}},
		{tradesSource + `INSERT INTO trades SELECT count(*) FROM trades`, []string{`"trades" is a source, expected a sink`}},
		{tradesSource + `CREATE SINK a WITH (connector = 'stdout'); SELECT count(*) FROM trades`, []string{`sink "a" gets nothing: INSERT INTO a SELECT`}},
		{
			tradesSource + `CREATE SINK a AS SELECT count(*) FROM trades WITH (connector = 'stdout'); INSERT INTO a SELECT count(*) FROM trades`,
			[]string{`sink "a" gets two results`},
		},
		{tradesSource + `CREATE SINK trades AS SELECT count(*) FROM trades WITH (connector = 'stdout')`, []string{`"trades" is there already`}},
		{tradesSource + `EXPLAIN SELECT count(*) FROM trades`, []string{"EXPLAIN is no part of a job"}},
		{
			tradesSource + `SELECT count(*) FROM trades GROUP BY tumble(other, INTERVAL '1 s')`,
			[]string{`line 3, column 45: the window is over column "other", and the watermark of "trades" is for "at"`},
		},
		{tradesSource + `SELECT count(*) FROM TUMBLE(trades, other, INTERVAL '1 s') GROUP BY window_end`, []string{`line 3, column 37: the window is over column "other"`}},
		// Syntax of one statement, what is wrong in others, and nothing about what the first may have declared.
		{
			"CREATE SOURCE a (x bigint;\nSELECT count(y) FROM trades;\n" + tradesSource + "INSERT INTO b SELECT count(*) FROM a",
			[]string{"line 1, column 17: unclosed", "line 2, column 1: a SELECT that is printed comes last", `line 2, column 14: there is no column "y"`},
		},
		{
			`CREATE SOURCE s (a money, a bigint, WATERMARK FOR a AS a) WITH (connector = 'fil', path = 'x'); SELECT count(*) FROM s`,
			[]string{`column "a": there is no type "money"`, `column "a" is given twice`, `there is no connector "fil" for a source; did you mean "file"?`},
		},
		{
			`CREATE SOURCE s (a bigint) WITH (connector = 'file', pth = 'x', format = 'cvs', header = 'maybe', delimiter = ';;'); SELECT count(*) FROM s`,
			[]string{
				`the source has no path, which connector "file" needs`, `connector "file" has no option "pth" for a source; did you mean "path"?`, `option format: "cvs"; did you mean "csv"?`,
				`option header: "maybe", expected true or false`, `option delimiter: ";;", expected one character`,
			},
		},
		{
			`CREATE SOURCE s (a bigint) WITH (connector = 'generator', rows = -1); CREATE SINK o AS SELECT count(*) FROM s WITH (connector = 'file', path = 'x', rotate.bytes = '5 apples', rotate.every = 'soon')`,
			[]string{`option rows: "-1", expected a number`, `option rotate.bytes: "5 apples"`, `option rotate.every: "soon", expected a time`},
		},
		{`CREATE SOURCE s WITH (path = 'x'); SELECT count(*) FROM s`, []string{"the source has no connector: WITH (connector = 'file' or 'generator')", `source "s" has no columns`}},
		{`CREATE SOURCE s (a bigint, b timestamp, WATERMARK FOR zone AS zone) WITH (connector = 'generator'); SELECT count(*) FROM s`, []string{`there is no column "zone", expected one of a, b`}},
		{`CREATE SOURCE s (a boolean, WATERMARK FOR a AS a) WITH (connector = 'generator'); SELECT count(*) FROM s`, []string{`the watermark is for column "a", boolean, expected a timestamp`}},
		{`CREATE SOURCE s (b timestamp NOT NULL, WATERMARK FOR b AS b + INTERVAL '1 s') WITH (connector = 'generator'); SELECT count(*) FROM s`, []string{`expected b, or b - INTERVAL '5 s'`}},
		{`CREATE SOURCE s (b timestamp NOT NULL, WATERMARK FOR b AS b - INTERVAL '11 years') WITH (connector = 'generator'); SELECT count(*) FROM s`, []string{`years have no fixed length`}},
		{`CREATE SOURCE s (b timestamp NOT NULL, WATERMARK FOR b AS b - INTERVAL '4000 days') WITH (connector = 'generator'); SELECT count(*) FROM s`, []string{`records come 96000h0m0s later than others`}},
		{strings.Repeat("SELECT;", 1000), []string{"line 1, column 7", "line 1, column 14"}},
	} {
		_, err := CompileJob(c.text, someConnectors)
		if err == nil {
			t.Errorf("%s was taken", c.text)
			continue
		}
		rest := err.Error()
		for _, want := range c.want {
			i := strings.Index(rest, want)
			if i < 0 {
				t.Errorf("%s\n%v\ndoes not say %q, or not there", c.text, err, want)
				break
			}
			rest = rest[i+len(want):]
		}
		if n := strings.Count(err.Error(), "query: line"); n != len(c.want) && n != 100 {
			t.Errorf("%s\n%d faults, expected %d:\n%v", c.text, n, len(c.want), err)
		}
	}
	if _, err := CompileJob(tradesSource+strings.Repeat("CREATE SINK a AS SELECT count(*) FROM trades WITH (x = 'y');", 2), nil); err == nil || strings.Contains(err.Error(), "connector") {
		t.Errorf("options that nobody checks: %v", err)
	}
}

// FuzzCompileJob: no text makes the compiler panic, and every fault has a place.
func FuzzCompileJob(f *testing.F) {
	f.Add(tradesSource + "SELECT count(*) FROM trades")
	f.Add(tradesSource + "CREATE SINK a WITH (connector = 'file', path = 'x', rotate.every = '1 h'); INSERT INTO a SELECT count(*) FROM trades GROUP BY tumble(at, INTERVAL '1 s')")
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := CompileJob(text, someConnectors); err != nil && !strings.Contains(err.Error(), "query:") {
			t.Errorf("%q: %v", text, err)
		}
	})
}
