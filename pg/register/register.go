// Package register gives velo serve the PostgreSQL protocol: a program that imports it has --pg.
package register

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"

	"github.com/velo-engine/velo/metrics"
	"github.com/velo-engine/velo/pg"
	"github.com/velo-engine/velo/query"
	"github.com/velo-engine/velo/server"
	"github.com/velo-engine/velo/server/job"
	"github.com/velo-engine/velo/velocli"
)

func init() {
	velocli.RegisterProtocol("pg", velocli.Protocol{Serve: serve, Stats: counted})
}

// stats count what the clients of this process do.
var stats pg.Stats

// counted is what /metrics shows of them.
func counted() metrics.Protocol {
	return metrics.Protocol{
		Connections: stats.Connections.Load(), Refused: stats.Refused.Load(), Statements: stats.Statements.Load(),
		Failed: stats.Failed.Load(), Unknown: stats.Unknown.Load(),
	}
}

// serve serves the views of velo serve. A password is a token that may read; any user name will do.
func serve(ctx context.Context, l net.Listener, c velocli.ProtocolConfig) error {
	config := pg.Config{
		Source: &source{pg.Views(c.Views), c.Server}, TLS: c.TLS, Stats: &stats,
		Log: slog.New(lines{slog.DiscardHandler, c.Log}),
	}
	config.Change = func(ctx context.Context, sql string) error {
		command, _, err := query.ParseCommand(sql)
		if err != nil {
			return err
		}
		_, _, err = c.Server.Command(ctx, command, server.RoleAdmin)
		if errors.Is(err, job.ErrNoJob) {
			return &pg.Error{
				Code: "42704", Message: err.Error(), Hint: "SHOW JOBS lists the jobs.", Position: -1,
			}
		}
		return err
	}
	// Without tokens everybody on this machine may do everything, as over HTTP.
	config.MayChange = func(_, password string) bool {
		return c.Server != nil && (c.Access == nil || c.Access.RoleOf(password) >= server.RoleAdmin)
	}
	if c.Access != nil {
		config.Password = func(_, password string) bool { return c.Access.RoleOf(password) >= server.RoleRead }
	}
	return pg.Serve(ctx, l, config)
}

// lines is a slog.Handler that writes what an operator should know as lines of text.
type lines struct {
	slog.Handler
	write func(text string)
}

func (h lines) Enabled(_ context.Context, level slog.Level) bool {
	return h.write != nil && level >= slog.LevelWarn
}

func (h lines) Handle(_ context.Context, r slog.Record) error {
	text := r.Message
	r.Attrs(func(a slog.Attr) bool {
		text += fmt.Sprintf(" %s=%q", a.Key, a.Value.String()) // it may be a client's text
		return true
	})
	h.write(text)
	return nil
}

// source has the views, and the lists of SHOW.
type source struct {
	pg.Source
	server *server.Server
}

// Describe compiles a SELECT.
func (s *source) Describe(sql string) (pg.Description, error) {
	return s.Source.(pg.Describer).Describe(sql)
}

// Explain explains a SELECT.
func (s *source) Explain(sql string) (string, error) { return s.Source.(pg.Explainer).Explain(sql) }

// Views are the views with the texts that define them.
func (s *source) Views() []pg.View {
	all := s.Source.Views()
	for i := range all {
		name := all[i].Name
		all[i].Text = func() string {
			_, rows, ok := s.list("views")
			for _, r := range rows {
				if ok && r[0] == name {
					return r[3]
				}
			}
			return ""
		}
	}
	return all
}

// List is SHOW JOBS, SOURCES and SINKS. SHOW VIEWS is done by pg, which has columns and keys.
func (s *source) List(what string) (columns []string, rows [][]string, ok bool) {
	if what == "views" {
		return nil, nil, false
	}
	return s.list(what)
}

func (s *source) list(what string) (columns []string, rows [][]string, ok bool) {
	c, ok, err := query.ParseCommand("SHOW " + what)
	if !ok || err != nil || s.server == nil {
		return nil, nil, false
	}
	columns, rows, err = s.server.Command(context.Background(), c, server.RoleRead)
	return columns, rows, err == nil
}
