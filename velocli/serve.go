package velocli

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/velo-engine/velo/affinity"
	"github.com/velo-engine/velo/connect"
	"github.com/velo-engine/velo/internal/cli"
	"github.com/velo-engine/velo/metrics"
	"github.com/velo-engine/velo/server"
	"github.com/velo-engine/velo/server/job"
	"github.com/velo-engine/velo/server/page"
	"github.com/velo-engine/velo/view"
)

// serveCmd keeps jobs alive.
type serveCmd struct {
	State      string        `help:"The folder of the jobs and their states." placeholder:"DIR" required:""`
	Listen     string        `help:"The address that HTTP is served on." default:"127.0.0.1:8123"`
	Pg         string        `help:"The address of the protocol of PostgreSQL; without it, none." placeholder:"ADDR"`
	Cores      int           `help:"How many cores the process uses at most; without it, all." placeholder:"N"`
	Memory     string        `help:"What all groups may take; half of the memory without it." env:"VELO_MEMORY"`
	Checkpoint time.Duration `help:"How often the states are saved; ${checkpoint} without it." placeholder:"TIME"`

	TLSCert    string `name:"tls-cert" help:"The certificate; other machines need TLS and tokens." placeholder:"FILE"`
	TLSKey     string `name:"tls-key" help:"Its key, a PEM file." placeholder:"FILE"`
	ReadToken  string `name:"read-token" help:"A file of tokens, one a line, that may read." placeholder:"FILE"`
	WriteToken string `name:"write-token" help:"A file of tokens that may also push records." placeholder:"FILE"`
	AdminToken string `name:"admin-token" help:"A file of tokens that may also change jobs." placeholder:"FILE"`
}

// Help is the additional text of velo serve --help.
func (serveCmd) Help() string {
	return `A job is SQL: sources, and what is made of their records.

    CREATE SOURCE trades (symbol text NOT NULL, size bigint NOT NULL) WITH (connector = 'push');
    CREATE MATERIALIZED VIEW volumes AS SELECT symbol, sum(size) AS volume FROM trades GROUP BY symbol

    velo serve --state state &
    velo apply trades.sql
    curl -d '{"symbol":"NVDA","size":100}' 'localhost:8123/v1/sources/trades/records?sync'
    curl localhost:8123/v1/views/volumes
    curl -d 'SELECT * FROM volumes ORDER BY volume DESC LIMIT 3' localhost:8123/v1/query

Jobs run until they are stopped, also after the process was killed: each goes on with its state. Connectors are as in
velo run, without stdin and stdout. A secret is written WITH (password = env('NAME')). docs/serve.md has all of it.`
}

// A Protocol is another way to read the views of velo serve than HTTP. A module registers it, and
// the program imports the module.
type Protocol struct {
	// Serve answers on a listener until ctx is done.
	Serve func(ctx context.Context, l net.Listener, c ProtocolConfig) error

	// Stats says what its clients do, for /metrics; nil says nothing. Any goroutine may call it.
	Stats func() metrics.Protocol
}

// ProtocolConfig is what a protocol gets.
type ProtocolConfig struct {
	Views  *view.Catalog
	Server *server.Server // for commands about jobs
	Access *server.Access // nil if everybody may read: the listener is for this machine
	TLS    *tls.Config    // nil without TLS
	Log    func(text string)
}

// protocols are those that have been registered, by their names.
var protocols struct {
	sync.Mutex
	byName map[string]Protocol
}

// RegisterProtocol registers a protocol, such as "pg". It panics if there is one of that name.
func RegisterProtocol(name string, p Protocol) {
	protocols.Lock()
	defer protocols.Unlock()
	if _, twice := protocols.byName[name]; twice {
		panic(fmt.Sprintf("velocli: the protocol %q is registered twice", name))
	}
	if protocols.byName == nil {
		protocols.byName = map[string]Protocol{}
	}
	protocols.byName[name] = p
}

// protocol finds a protocol.
func protocol(name string) (Protocol, error) {
	protocols.Lock()
	defer protocols.Unlock()
	p, ok := protocols.byName[name]
	if !ok {
		return p, fmt.Errorf("--%s: this program does not have the protocol; the velo of connect/cmd/velo has it: "+
			"docs/connectors.md says how to install it", name)
	}
	return p, nil
}

// A listening is a listener of velo serve. All of them are made by serveCmd.listeners.
type listening struct {
	what string
	net.Listener
	protocol *Protocol // nil for HTTP
}

// listeners opens all listeners. None can be reached from other machines without TLS and tokens.
func (c *serveCmd) listeners(access *server.Access, secure *tls.Config) (all []listening, err error) {
	closeAll := func() {
		for _, l := range all {
			_ = l.Close()
		}
	}
	open := func(what, address string, p *Protocol) error {
		if err := server.CheckListener(address, access, secure != nil); err != nil {
			return fmt.Errorf("--%s: %w", what, err)
		}
		l, err := net.Listen("tcp", address)
		if err != nil {
			return fmt.Errorf("--%s: %w", what, err)
		}
		all = append(all, listening{what, l, p})
		return nil
	}
	err = open("listen", c.Listen, nil)
	if err == nil && c.Pg != "" {
		var p Protocol
		p, err = protocol("pg")
		if err == nil {
			err = open("pg", c.Pg, &p)
		}
	}
	if err != nil {
		closeAll()
		return nil, err
	}
	return all, nil
}

// secure reads the tokens and the certificate.
func (c *serveCmd) secure() (access *server.Access, cfg *tls.Config, err error) {
	if c.ReadToken+c.WriteToken+c.AdminToken != "" {
		access, err = server.ReadTokens(c.ReadToken, c.WriteToken, c.AdminToken)
		if err != nil {
			return nil, nil, err
		}
	}
	switch {
	case (c.TLSCert == "") != (c.TLSKey == ""):
		return nil, nil, errors.New("--tls-cert and --tls-key are given together")
	case c.TLSCert != "":
		pair, err := tls.LoadX509KeyPair(c.TLSCert, c.TLSKey)
		if err != nil {
			return nil, nil, fmt.Errorf("--tls-cert: %w", err)
		}
		cfg = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	}
	return access, cfg, nil
}

// Run runs the command until a signal ends it.
func (c *serveCmd) Run(std streams) error {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	context.AfterFunc(ctx, cancel) // a second signal ends the process as usual
	return c.serve(ctx, std, func([]listening) {})
}

// serve is Run until ctx is done. Started is called with what listens.
func (c *serveCmd) serve(ctx context.Context, std streams, started func([]listening)) (err error) {
	memory := int64(affinity.Memory() / 2)
	if c.Memory != "" {
		memory, err = connect.ByteSize(c.Memory)
		if err != nil {
			return cli.Misusef("--memory, or VELO_MEMORY: %w", err)
		}
	}
	switch {
	case c.Cores < 0:
		return cli.Misusef("--cores %d: expected 0 or more", c.Cores)
	case c.Checkpoint < 0:
		return cli.Misusef("--checkpoint %v: expected more than 0", c.Checkpoint)
	case c.Cores > 0:
		runtime.GOMAXPROCS(c.Cores)
	}
	access, secure, err := c.secure()
	if err != nil {
		return err
	}
	say := &heldBack{to: std.err}
	log := func(text string) { note(say, "velo: "+text) }
	all, err := c.listeners(access, secure)
	if err != nil {
		return err
	}
	defer func() {
		for _, l := range all {
			_ = l.Close()
		}
	}()
	views := view.NewCatalog(view.Limits{})
	runner := &jobRunner{views: views, cores: 1, checkpoint: c.Checkpoint}
	jobs, err := job.Open(job.Config{Dir: c.State, Runner: runner, Memory: memory})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, jobs.Close()) }()
	s, err := server.New(server.Config{
		Views: views, Jobs: jobs, Runner: runner, Access: access, Metrics: serverMetrics(jobs, all),
		Page: page.Handler(), Log: log,
	})
	if err != nil {
		return err
	}
	defer s.Close()
	scheme := map[bool]string{false: "http", true: "https"}[secure != nil]
	log(fmt.Sprintf("%s://%v answers, with %d jobs of %s", scheme, all[0].Addr(), len(jobs.List()), c.State))
	for _, l := range all[1:] {
		log(fmt.Sprintf("--%s: %v answers", l.what, l.Addr()))
	}
	go sayEvents(ctx, jobs.Events(), log)
	started(all)
	return c.answer(ctx, all, s, ProtocolConfig{Views: views, Server: s, Access: access, TLS: secure, Log: log})
}

// answer answers on all listeners until ctx is done, or one of them fails.
func (c *serveCmd) answer(ctx context.Context, all []listening, s *server.Server, cfg ProtocolConfig) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	errs := make([]error, len(all))
	var running sync.WaitGroup
	for i, l := range all {
		running.Go(func() {
			defer cancel()
			if l.protocol != nil {
				errs[i] = l.protocol.Serve(ctx, server.Listen(l.Listener), cfg)
			} else {
				errs[i] = s.Serve(ctx, l.Listener, cfg.TLS)
			}
			if errs[i] != nil {
				errs[i] = fmt.Errorf("--%s: %w", l.what, errs[i])
			}
		})
	}
	running.Wait()
	return errors.Join(errs...)
}

// sayEvents tells people what happens to jobs, except what they have asked for themselves.
func sayEvents(ctx context.Context, events *job.Events, log func(string)) {
	for ev := range events.Watch(ctx, events.Last(), "") {
		if slices.Contains([]job.State{job.Failed, job.BackingOff, job.Active, job.Finished}, ev.To) {
			cause, _, _ := strings.Cut(ev.Cause, "\n")
			log(fmt.Sprintf("job %s is %s: %s", ev.Job, ev.To, cause))
		}
	}
}
