package postgres

import (
	"cmp"
	"context"

	"github.com/velo-engine/velo/connect"
	"github.com/velo-engine/velo/record"
)

func init() {
	connect.RegisterSink("postgres", connect.Sink{
		Options: []connect.Option{
			{Name: "url", Required: true},
			{Name: "table", Required: true},
			{Name: "password"},
			{Name: "password.file", File: true},
			{Name: "mode", Values: []string{string(Append), string(Upsert)}},
			{Name: "key.columns"},
			{Name: "create", Kind: connect.Bool},
			{Name: "bad.text", Values: []string{string(RefuseText), string(ReplaceText)}},
			{Name: "cursor.table"},
			{Name: "transaction.timeout", Kind: connect.Duration},
			{Name: "window.bytes", Kind: connect.Bytes},
		},
		Check: func(r *connect.SinkRequest) error {
			cfg, err := sinkConfig(r)
			if err != nil {
				return err
			}
			return cfg.Validate()
		},
		Open: func(ctx context.Context, r *connect.SinkRequest) (record.Writer, error) {
			cfg, err := sinkConfig(r)
			if err != nil {
				return nil, err
			}
			s, err := NewSink(ctx, cfg)
			if err != nil {
				return nil, err
			}
			return s, nil
		},
	})
}

// sinkConfig is the configuration of a sink of a job.
func sinkConfig(r *connect.SinkRequest) (cfg SinkConfig, err error) {
	o := r.Options
	cfg = SinkConfig{
		URL: o.Text("url"), Password: o.Text("password"), PasswordFile: o.Text("password.file"),
		Table: o.Text("table"), Name: r.Name, Schema: r.Schema, Changes: r.Changes,
		Mode: cmp.Or(Mode(o.Text("mode")), Append), Create: o.Bool("create"), BadText: BadText(o.Text("bad.text")),
		CursorTable: o.Text("cursor.table"), TransactionTimeout: o.Duration("transaction.timeout"),
		WindowBytes: int(o.Int("window.bytes")), Say: r.Say,
	}
	if cfg.Mode != Upsert && o.Has("key.columns") {
		return cfg, o.Errorf("key.columns", "they are for mode upsert: mode append has no key")
	}
	cfg.Keys, err = r.KeyColumns("key.columns", cfg.Mode == Upsert)
	return cfg, err
}
