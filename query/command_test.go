package query

import (
	"strings"
	"testing"
)

func TestParseCommand(t *testing.T) {
	tests := []struct {
		text string
		want Command
		is   bool
		err  string
	}{
		{"SHOW JOBS", Command{Verb: "show", Object: "jobs"}, true, ""},
		{"show views;", Command{Verb: "show", Object: "views"}, true, ""},
		{"ALTER JOB Trades PAUSE", Command{"alter", "job", "trades", "pause"}, true, ""},
		{`/* x */ alter job "a-b" Restart ;`, Command{"alter", "job", "a-b", "restart"}, true, ""},
		{"DROP JOB a", Command{Verb: "drop", Object: "job", Name: "a"}, true, ""},
		{"SELECT 1", Command{}, false, ""},
		{"", Command{}, false, ""},
		{"SHOW JOBS; SHOW JOBS", Command{}, false, ""},
		{"SHOW JOBS WHERE", Command{}, true, "line 1, column 11: unexpected \"WHERE\", expected end of the statement"},
		{"SHOW", Command{}, true, "unexpected end of the text, expected JOBS, SOURCES, SINKS, VIEWS"},
		{"DROP TABLE x", Command{}, true, "column 6: unexpected \"TABLE\", expected JOB"},
		{"ALTER JOB 'a' STOP", Command{}, true, "expected the name of a job"},
		{"ALTER JOB a FLY", Command{}, true, "expected PAUSE, RESUME"},
	}
	for _, test := range tests {
		c, is, err := ParseCommand(test.text)
		if c != test.want || is != test.is || (err != nil) != (test.err != "") ||
			err != nil && !strings.Contains(err.Error(), test.err) {
			t.Errorf("%q: %+v, %v, %v", test.text, c, is, err)
		}
	}
}

// TestViewsOfJobs compiles materialized views, and options from the environment.
func TestViewsOfJobs(t *testing.T) {
	t.Setenv("VELO_TEST_PATH", "secret.csv")
	job, err := CompileJob(strings.ReplaceAll(tradesSource, "'trades.csv'", "env('VELO_TEST_PATH')")+`
		CREATE MATERIALIZED VIEW sums WITH (comment = 'by symbol') AS SELECT symbol, sum(size) AS n FROM trades GROUP BY symbol;
		CREATE MATERIALIZED VIEW IF NOT EXISTS minutes WITH (retain = 60) AS
			SELECT window_end, count(*) AS n FROM trades GROUP BY tumble(at, INTERVAL '1 minute');
		CREATE MATERIALIZED VIEW IF NOT EXISTS sums AS SELECT count(*) AS n FROM trades`, someConnectors)
	if err != nil {
		t.Fatal(err)
	}
	if len(job.Outputs) != 2 || job.Outputs[0].View.Name != "sums" || job.Outputs[1].Plan.Window.Retain != 60 ||
		job.Outputs[0].View.Options.Text(OptionComment) != "by symbol" {
		t.Errorf("%+v", job.Outputs)
	}
	if got := job.Sources[0].Options.Text("path"); got != "secret.csv" {
		t.Errorf("the path is %q", got)
	}
	err = job.Sources[0].Options.Errorf("path", "open %s: no such file", "secret.csv")
	if strings.Contains(err.Error(), "secret") || !strings.Contains(err.Error(), "open env('VELO_TEST_PATH')") {
		t.Errorf("an error has a secret: %v", err)
	}
	t.Setenv("VELO_TEST_PATH", "password")
	_, err = CompileJob(strings.ReplaceAll(tradesSource, "header = false", "header = env('VELO_TEST_PATH')")+
		"SELECT count(*) FROM trades", someConnectors)
	if err == nil || strings.Contains(err.Error(), "password") || !strings.Contains(err.Error(), "VELO_TEST_PATH") {
		t.Errorf("an error has a secret, or there is none: %v", err)
	}
}
