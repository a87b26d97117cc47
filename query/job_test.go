package query

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/velo-engine/velo/connect"

	"github.com/velo-engine/velo/plan"
)

var someConnectors = func() *connect.Registry {
	var r connect.Registry
	r.AddSource("file", connect.Source{Options: []connect.Option{
		{Name: "path", Required: true},
		{Name: "format", Values: []string{"csv", "ndjson"}},
		{Name: "header", Kind: connect.Bool},
		{Name: "delimiter", Kind: connect.Char},
	}})
	r.AddSource("generator", connect.Source{Options: []connect.Option{{Name: "rows", Kind: connect.Int}}})
	r.AddSink("file", connect.Sink{Options: []connect.Option{
		{Name: "path", Required: true},
		{Name: "rotate.bytes", Kind: connect.Bytes},
		{Name: "rotate.every", Kind: connect.Duration},
	}})
	r.AddSink("stdout", connect.Sink{})
	return &r
}()

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
		if w := o.Plan.Window; w != nil && w.OutOfOrder == plan.AnyOrder {
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
		"volumes: trades(window_start timestamp, v bigint NULL) 5s", "ks: numbers(k bigint NULL, n bigint) no window",
		"printed: numbers(window_end timestamp, n bigint) in any order",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("\n%s\nexpected\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if len(job.Sources) != 2 || job.Outputs[0].Source != job.Sources[0] ||
		job.Sources[0].Schema.String() != "trades(symbol text, size bigint NULL, at timestamp, other timestamp)" {
		t.Errorf("%v", job.Sources)
	}
	source, sink := job.Sources[0].Options, job.Outputs[0].Sink.Options
	if source.Connector() != "file" || source.Text("path") != "trades.csv" || source.Bool("header") ||
		!source.Has("header") || source.Has("format") || source.Char("delimiter") != '\t' {
		t.Errorf("%+v", source)
	}
	if sink.Int("rotate.bytes") != 3<<19 || sink.Duration("rotate.every") != 90*time.Second ||
		job.Sources[1].Options.Int("rows") != 10 {
		t.Errorf("%+v", sink)
	}
	if err := sink.Errorf("path", "no such folder"); err == nil ||
		!strings.Contains(err.Error(), "line 4, column 49: no such folder\n") || !strings.HasSuffix(err.Error(), "^") {
		t.Errorf("%v", err)
	}
	if err := sink.Place(errors.Join(&connect.OptionError{Option: "path", Err: errors.New("full")},
		errors.New("gone"))); err == nil || !strings.Contains(err.Error(), "line 4, column 49: full\n") ||
		!strings.Contains(err.Error(), "line 4, column 29: gone\n") {
		t.Errorf("%v", err)
	}
}

// Goal: a text with more faults than anybody reads ends, and options that nobody checks are taken.
func TestJobFaults(t *testing.T) {
	_, err := CompileJob(strings.Repeat("SELECT;", 1000), someConnectors)
	if err == nil || !strings.Contains(err.Error(), "line 1, column 7") ||
		!strings.Contains(err.Error(), "line 1, column 14") || strings.Count(err.Error(), "query: line") != 100 {
		t.Errorf("a thousand faults: %v", err)
	}
	unchecked := tradesSource + strings.Repeat("CREATE SINK a AS SELECT count(*) FROM trades WITH (x = 'y');", 2)
	if _, err := CompileJob(unchecked, nil); err == nil || strings.Contains(err.Error(), "connector") {
		t.Errorf("options that nobody checks: %v", err)
	}
}

// FuzzCompileJob: no text makes the compiler panic, and every fault has a place.
func FuzzCompileJob(f *testing.F) {
	f.Add(tradesSource + "SELECT count(*) FROM trades")
	f.Add(tradesSource + "CREATE SINK a WITH (connector = 'file', path = 'x', rotate.every = '1 h'); INSERT INTO a " +
		"SELECT count(*) FROM trades GROUP BY tumble(at, INTERVAL '1 s')")
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := CompileJob(text, someConnectors); err != nil && !strings.Contains(err.Error(), "query:") {
			t.Errorf("%q: %v", text, err)
		}
	})
}
