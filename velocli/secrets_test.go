package velocli

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/velo-engine/velo/connect"
	"github.com/velo-engine/velo/record"
)

func init() {
	// A sink that fails with what it was given, at the start or when it is opened.
	connect.RegisterSink("tattle", connect.Sink{
		Options: []connect.Option{{Name: "password"}, {Name: "url"}, {Name: "port", Kind: connect.Int}, {Name: "late", Kind: connect.Bool}},
		Check: func(r *connect.SinkRequest) error {
			if r.Options.Bool("late") {
				return nil
			}
			return tattle(r)
		},
		Open: func(_ context.Context, r *connect.SinkRequest) (record.Writer, error) { return nil, tattle(r) },
	})
}

func tattle(r *connect.SinkRequest) error {
	if text := r.Options.Text("url"); text != "" {
		if _, err := url.Parse(text); err != nil {
			return r.Options.Errorf("url", "%v", err)
		}
		return fmt.Errorf("no connection to %s", text)
	}
	return errors.New("the password " + r.Options.Text("password") + " is wrong")
}

// Goal: no place that prints a statement, or an error about one, prints its secrets. Method: faults
// of every kind in lines that have a password, at each place that prints them: velo run, run
// --check, apply, and the answers, the events and the log of a server.
func TestSecretsAreHidden(t *testing.T) {
	const word = "hunter2"
	head := "CREATE SOURCE s (k bigint) WITH (connector = 'file', path = 't.csv'); "
	cases := map[string]string{
		"syntax":         head + "CREATE SINK o WITH (connector = 'tattle', password = 'hunter2' port = 1); INSERT INTO o SELECT k FROM s",
		"unclosed":       head + "CREATE SINK o WITH (connector = 'tattle', password = 'hunter2); INSERT INTO o SELECT k FROM s",
		"quote in it":    head + "CREATE SINK o WITH (connector = 'tattle', password = 'x'hunter2'); INSERT INTO o SELECT k FROM s",
		"unknown option": head + "CREATE SINK o WITH (connector = 'tattle', bogus = 1, password = 'hunter2'); INSERT INTO o SELECT k FROM s",
		"bad value":      head + "CREATE SINK o WITH (connector = 'tattle', port = 'x', password = 'hunter2'); INSERT INTO o SELECT k FROM s",
		"no connector":   head + "CREATE SINK o WITH (connector = 'tatle', password = 'hunter2'); INSERT INTO o SELECT k FROM s",
		"no column":      head + "CREATE SINK o WITH (connector = 'tattle', password = 'hunter2'); INSERT INTO o SELECT nope FROM s",
		"connector says": head + "CREATE SINK o WITH (connector = 'tattle', password = 'hunter2'); INSERT INTO o SELECT k FROM s",
		"says it late":   head + "CREATE SINK o WITH (connector = 'tattle', late = true, password = 'hunter2'); INSERT INTO o SELECT k FROM s",
		"URL":            head + "CREATE SINK o WITH (connector = 'tattle', url = 'postgres://me:hunter2@h:1/db'); INSERT INTO o SELECT k FROM s",
		"bad URL":        head + "CREATE SINK o WITH (connector = 'tattle', url = 'postgres://me:hunter2@h:port/db'); INSERT INTO o SELECT k FROM s",
		"DSN, late":      head + "CREATE SINK o WITH (connector = 'tattle', late = true, url = 'host=h password=hunter2'); INSERT INTO o SELECT k FROM s",
		"several lines":  head + "CREATE SINK o WITH (connector = 'tattle', password =\n'hunter2', bogus = 1); INSERT INTO o SELECT k FROM s",
	}
	inFolder(t, map[string]string{"t.csv": "k\n1\n"})
	s := serveHere(t, &serveCmd{State: t.TempDir()})
	for name, text := range cases {
		if err := os.WriteFile("job.sql", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		said := func(where, text string, some bool) {
			t.Helper()
			if strings.Contains(text, word) || some && text == "" {
				t.Errorf("%s: %s says %q", name, where, text)
			}
		}
		for _, args := range [][]string{
			{"run", "job.sql"},
			{"run", "job.sql", "--check"},
			{"run", "job.sql", "--state=kept"},
			{"apply", "--server=" + s.url, "job.sql"},
			{"apply", "--server=" + s.url, "--dry-run", "job.sql"},
		} {
			out, errs, status := velo(t, "", args...)
			if status == 0 && args[len(args)-1] != "--check" {
				t.Errorf("%s: %v has not failed", name, args)
			}
			said(strings.Join(args[:2], " "), out+errs, name != "says it late" && name != "DSN, late" || args[len(args)-1] != "--check")
		}
		for path, method := range map[string]string{
			"/v1/jobs/job": "PUT", "/v1/jobs/job?dry-run=true": "PUT", "/v1/validate": "POST",
		} {
			_, _, body := s.ask(method, path, text)
			said(method+" "+path, body, true)
		}
	}
	for _, path := range []string{"/v1/jobs", "/v1/events", "/v1/views", "/metrics", "/readyz"} {
		if _, _, body := s.ask("GET", path, ""); strings.Contains(body, word) {
			t.Errorf("%s has the secret: %s", path, body)
		}
	}
	if strings.Contains(s.said.String(), word) {
		t.Errorf("the log has the secret: %s", s.said)
	}
}
