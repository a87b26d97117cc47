package parquet

import (
	"context"
	"errors"

	"github.com/velo-engine/velo/connect"
	"github.com/velo-engine/velo/internal/filenames"
	"github.com/velo-engine/velo/record"
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
