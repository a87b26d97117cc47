package parquet

import (
	"context"
	"errors"
	"io"

	"github.com/velo-engine/velo/connect"
	"github.com/velo-engine/velo/internal/filenames"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/writers"
)

// Name is the name of the connectors and of the format.
const Name = "parquet"

func init() {
	connect.RegisterFormat(Name, connect.Format{
		Begin: magic,
		Open:  func(paths []string) (connect.Files, error) { return Open(paths) },
	})
	connect.RegisterSource(Name, connect.Source{
		Options:  []connect.Option{{Name: "path", Required: true}},
		Describe: Describe,
		Open: func(_ context.Context, r *connect.SourceRequest) (connect.Input, error) {
			return openSource(r)
		},
	})
	connect.RegisterSink(Name, connect.Sink{
		Options: []connect.Option{
			{Name: "path", Required: true},
			{Name: "compression", Values: []string{"zstd", "snappy", "gzip", "lz4", "brotli", "none"}},
			{Name: "time.unit", Values: []string{string(Nanos), string(Micros), string(Millis)}},
			{Name: "bad.text", Values: []string{string(RefuseText), string(ReplaceText)}},
			{Name: "row.group.rows", Kind: connect.Int},
			{Name: "rotate.bytes", Kind: connect.Bytes},
			{Name: "rotate.every", Kind: connect.Duration},
			{Name: "full", Values: []string{"stop", "wait"}},
			{Name: "window.bytes", Kind: connect.Bytes},
		},
		Check: func(r *connect.SinkRequest) error {
			w, err := openSink(r) // it checks the folder, and makes nothing
			if errors.Is(err, writers.ErrTaken) {
				return nil // by the job that this one replaces, or Open says so
			}
			if err != nil {
				return err
			}
			return w.Abandon()
		},
		Open: func(_ context.Context, r *connect.SinkRequest) (record.Writer, error) {
			w, err := openSink(r)
			if err != nil {
				return nil, err
			}
			return w, nil
		},
	})
}

// openSink opens a sink of a job. Its writer is a writers.File.
func openSink(r *connect.SinkRequest) (*writers.File, error) {
	o := r.Options
	cfg := EncoderConfig{
		Compression: o.Text("compression"), Unit: Unit(o.Text("time.unit")), BadText: BadText(o.Text("bad.text")),
		GroupRows: o.Int("row.group.rows"),
	}
	f, err := writers.NewFile(writers.FileConfig{
		Path: o.Text("path"), RotateBytes: o.Int("rotate.bytes"), RotateEvery: o.Duration("rotate.every"),
		AwaitSpace: o.Text("full") == "wait", WindowBytes: int(o.Int("window.bytes")),
		Encode: func(to io.Writer) writers.Encoder { return NewEncoder(to, cfg) },
	})
	if err != nil {
		return nil, o.Errorf("path", "%w", err)
	}
	return f, nil
}

// input is a source of a job.
type input struct{ source *Source }

func openSource(r *connect.SourceRequest) (connect.Input, error) {
	name := r.Options.Text("path")
	paths, err := filenames.Find(name)
	if err != nil {
		return nil, r.Options.Errorf("path", "%w", err)
	}
	s, err := Open(paths)
	if err != nil {
		return nil, r.Options.Errorf("path", "%w", err)
	}
	if err := s.Bind(r.Schema); err != nil {
		return nil, r.Options.Errorf("", "%w", errors.Join(errors.New("the columns do not fit the files"), err))
	}
	return &input{s}, nil
}

// Readers makes the readers of one query.
func (in *input) Readers(n int) ([]record.Reader, error) { return in.source.Readers(n), nil }

// Close does nothing: the readers close the files.
func (*input) Close() error { return nil }
