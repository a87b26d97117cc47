package velocli

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/velo-engine/velo/connect"
	"github.com/velo-engine/velo/readers"
	"github.com/velo-engine/velo/record"
)

// ownInput is a source of a service: a file of lines whose text is an option. It finds more of
// them while the query runs.
type ownInput struct {
	schema *record.Schema
	text   string
	closed *int
}

func (in *ownInput) Readers(int) ([]record.Reader, error) {
	r, err := readers.NewDelimitedStream("letters", strings.NewReader(in.text), readers.DelimitedConfig{Schema: in.schema})
	return []record.Reader{r}, err
}

func (in *ownInput) Grow(ctx context.Context, _ record.Reader, add func(context.Context, record.Reader) error) {
	rs, _ := in.Readers(1)
	_ = add(ctx, rs[0])
}

func (in *ownInput) Close() error { *in.closed++; return nil }

// ownSink is a sink of a service.
type ownSink struct {
	record.Writer
	request *connect.SinkRequest
	aborted error
	closed  int
}

func (s *ownSink) Write(_ context.Context, b *record.Batch) error {
	if s.request.Options.Bool("fail") {
		return errors.New("the sink is full")
	}
	return nil
}
func (s *ownSink) Abort(reason error) { s.aborted = cmp.Or(s.aborted, reason) }
func (s *ownSink) Close() error       { s.closed++; return nil }

// Goal: a job names connectors that a service has registered. Their options are checked with their
// places, they are told what they need, and what they have opened is closed.
func TestOwnConnectors(t *testing.T) {
	closed := 0
	var last *ownSink
	connect.RegisterSource("own", connect.Source{
		Options: []connect.Option{{Name: "text", Required: true}},
		Check: func(r *connect.SourceRequest) error {
			if r.Options.Text("text") == "bad" {
				return r.Options.Errorf("text", "it is bad")
			}
			return nil
		},
		Open: func(_ context.Context, r *connect.SourceRequest) (connect.Input, error) {
			return &ownInput{r.Schema, r.Options.Text("text"), &closed}, nil
		},
	})
	connect.RegisterSink("own", connect.Sink{
		Options: []connect.Option{{Name: "fail", Kind: connect.Bool}},
		Open: func(_ context.Context, r *connect.SinkRequest) (record.Writer, error) {
			last = &ownSink{request: r}
			return last, nil
		},
	})
	job := func(text, options string) (string, int) {
		path := filepath.Join(t.TempDir(), "job.sql")
		sql := "CREATE SOURCE s (k text) WITH (connector = 'own', text = '" + text + "');\n" +
			"CREATE SINK d WITH (connector = 'own'" + options + ");\n" +
			"INSERT INTO d SELECT k, count(*) AS n FROM s GROUP BY k"
		if err := os.WriteFile(path, []byte(sql), 0o600); err != nil {
			t.Fatal(err)
		}
		var errs bytes.Buffer
		status := run([]string{"run", path}, strings.NewReader(""), &errs, &errs)
		return errs.String(), status
	}
	if said, status := job("a\nb\n", ""); status != 0 || closed != 1 {
		t.Fatalf("status %d, closed %d: %s", status, closed, said)
	}
	if r := last.request; strings.Join(r.Keys, " ") != "k" || r.Changes || r.Durable || r.Name != "d" ||
		r.Schema.Len() != 2 || last.aborted != nil || last.closed == 0 {
		t.Errorf("the sink was told %+v, aborted for %v, closed %d times", r, last.aborted, last.closed)
	}
	if said, status := job("bad", ""); status != 1 || !strings.Contains(said, "line 1, column 51: it is bad") {
		t.Errorf("status %d: %s", status, said)
	}
	if said, status := job("a\n", ", fail = true"); status != 1 || last.closed == 0 || last.aborted == nil {
		t.Errorf("status %d, closed %d, aborted for %v: %s", status, last.closed, last.aborted, said)
	}
	if help := (runCmd{}).Help(); !strings.Contains(help, "    source  own        text\n") ||
		!strings.Contains(help, "    sink    own        fail\n") {
		t.Errorf("the help is %s", help)
	}
}

// Goal: who names a connector that another program of velo has is told which.
func TestOtherProgram(t *testing.T) {
	path := filepath.Join(t.TempDir(), "job.sql")
	sql := "CREATE SOURCE s (k bigint) WITH (connector = 'kafka', topic = 't'); SELECT count(*) FROM s"
	if err := os.WriteFile(path, []byte(sql), 0o600); err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	status := run([]string{"run", path}, strings.NewReader(""), &said, &said)
	if status != 1 || !strings.Contains(said.String(), `there is no connector "kafka" for a source`) ||
		!strings.Contains(said.String(), `the velo of connect/cmd/velo has connector "kafka"`) {
		t.Errorf("status %d: %s", status, said.String())
	}
}
