package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/velo-engine/velo/internal/cursors"
	"github.com/velo-engine/velo/record"
)

// Defaults and limits of sinks.
const (
	// DefaultCursorTable is where sinks note which windows they have written.
	DefaultCursorTable = "velo_cursors"

	// DefaultTransactionTimeout bounds one transaction. A longer one is given up and tried again.
	DefaultTransactionTimeout = 5 * time.Minute

	// DefaultWindowBytes bounds the rows of one window, which are in memory until it has ended.
	DefaultWindowBytes = 256 << 20

	// openTimeout bounds what NewSink, Recover and RecoverOutput wait for the database.
	openTimeout = 30 * time.Second

	// connectTimeout bounds one attempt to connect, if the URL does not say connect_timeout.
	connectTimeout = 10 * time.Second

	// closeTimeout bounds what the server is told before a connection is closed.
	closeTimeout = time.Second
)

// A Mode says what a row does to a table.
type Mode string

// The modes.
const (
	Append Mode = "append" // each row is inserted
	Upsert Mode = "upsert" // a row replaces the row of its key, and a deleted one deletes it
)

// A BadText says what happens to a text that PostgreSQL cannot store as text: one that is not valid
// UTF-8, or has a byte 0.
type BadText string

// What happens to such a text.
const (
	RefuseText  BadText = "refuse"  // it is an error, which ends the job
	ReplaceText BadText = "replace" // each bad byte becomes U+FFFD; Sink.Stats counts such texts
)

// SinkConfig says where rows go.
type SinkConfig struct {
	// URL says how to connect, as for libpq: postgres://user@host:5432/database?sslmode=verify-full
	// or "host=... dbname=...". What it does not say comes from the variables PGHOST and so on. It
	// also has the TLS settings: sslmode, sslrootcert, sslcert, sslkey.
	URL string
	// Password is used if the URL has none. PasswordFile is a file with the password, one line,
	// that is read at each connection. At most one of the three is set. Without any of them
	// PGPASSWORD and .pgpass apply.
	Password, PasswordFile string

	// Table is the table, name or schema.name, written as in the catalog: letters are not folded.
	Table string
	// Name tells the sinks of one job apart.
	Name string

	// Schema is what is written. With Changes, its first column says upsert or delete, and in mode
	// Upsert it is no column of the table.
	Schema  *record.Schema
	Changes bool

	Mode Mode // "" is Append
	// Keys are the columns that tell rows apart in mode Upsert. The table needs a unique index on
	// exactly these columns.
	Keys []string
	// Create has the table made if it is not there.
	Create bool
	// BadText says what happens to texts that PostgreSQL cannot store; "" is RefuseText.
	BadText BadText

	// CursorTable is where the sink notes what it has written, name or schema.name. It is made if
	// it is not there; "" is DefaultCursorTable.
	CursorTable string
	// TransactionTimeout bounds one transaction; 0 is DefaultTransactionTimeout.
	TransactionTimeout time.Duration
	// WindowBytes bounds the rows of a window; 0 is DefaultWindowBytes.
	WindowBytes int

	// Say tells the user something, as one line. It is called by the goroutine that uses the sink.
	// It may be nil.
	Say func(text string)
}

// Validate reports every fault at once. It opens nothing.
func (c *SinkConfig) Validate() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf("postgres: "+format, args...)) }
	if _, err := c.connection(); err != nil {
		faults = append(faults, err)
	}
	for _, name := range []string{c.Table, cmp.Or(c.CursorTable, DefaultCursorTable)} {
		if _, err := parseName(name); err != nil {
			faults = append(faults, err)
		}
	}
	if c.Table != "" && c.Table == cmp.Or(c.CursorTable, DefaultCursorTable) {
		fault("table %q is also the table for cursors", c.Table)
	}
	if c.BadText != "" && c.BadText != RefuseText && c.BadText != ReplaceText {
		fault("bad text %q, expected %s or %s", c.BadText, RefuseText, ReplaceText)
	}
	if c.TransactionTimeout < 0 || c.TransactionTimeout.Milliseconds() > math.MaxInt32 || c.WindowBytes < 0 ||
		int64(c.WindowBytes) > math.MaxUint32 {
		fault("a transaction timeout of %v and %d bytes of a window, expected 0 or more, and less than 24 days and "+
			"4 GiB", c.TransactionTimeout, c.WindowBytes)
	}
	if c.Mode != "" && c.Mode != Append && c.Mode != Upsert {
		fault("mode %q, expected %s or %s", c.Mode, Append, Upsert)
	}
	if c.Schema == nil {
		fault("no schema")
		return errors.Join(faults...)
	}
	if c.Mode == Upsert && len(c.Keys) == 0 {
		fault("mode upsert needs a key, and the result has no columns that tell its rows apart: select all columns " +
			"of GROUP BY as they are, and window_start or window_end")
	}
	columns := c.columns()
	for i, name := range c.Keys {
		if !slices.ContainsFunc(columns, func(f record.Field) bool { return f.Name == name }) {
			fault("there is no column %q for the key", name)
		}
		if slices.Contains(c.Keys[:i], name) {
			fault("column %q is twice in the key", name)
		}
	}
	for _, f := range columns {
		if len(f.Name) > maxNameBytes {
			fault("the name of column %q has %d bytes, and PostgreSQL allows %d: rename it with AS", f.Name,
				len(f.Name), maxNameBytes)
		}
	}
	return errors.Join(faults...)
}

// columns are the columns of the table that are written.
func (c *SinkConfig) columns() (all []record.Field) {
	for i := range c.Schema.Len() {
		if i > 0 || !c.Changes || c.Mode != Upsert {
			all = append(all, c.Schema.Field(i))
		}
	}
	return all
}

// connection is how to connect. Its errors have no password.
func (c *SinkConfig) connection() (*pgconn.Config, error) {
	if c.URL == "" {
		return nil, errors.New("postgres: no url, expected postgres://user@host:5432/database")
	}
	cfg, err := pgconn.ParseConfig(c.URL)
	if err != nil {
		// The error may have the password, and so may every part of a text that cannot be read.
		return nil, errors.New("postgres: the url cannot be read, expected " +
			"postgres://user@host:5432/database?sslmode=verify-full or host=... user=... dbname=..., and the files " +
			"that it names must be there")
	}
	own := hasPassword(c.URL)
	if count(own, c.Password != "", c.PasswordFile != "") > 1 {
		return nil, errors.New("postgres: the password is given more than once: in the url, as password, or as " +
			"password.file")
	}
	if c.Password != "" {
		cfg.Password = c.Password
	}
	if cfg.ConnectTimeout == 0 {
		cfg.ConnectTimeout = connectTimeout
	}
	cfg.RuntimeParams["client_encoding"] = "UTF8"
	if cfg.RuntimeParams["application_name"] == "" {
		cfg.RuntimeParams["application_name"] = "velo"
	}
	return cfg, nil
}

// count is how many are true.
func count(all ...bool) (n int) {
	for _, one := range all {
		if one {
			n++
		}
	}
	return n
}

// hasPassword says whether a URL has a password in it.
func hasPassword(url string) bool {
	lower := strings.ToLower(url)
	_, rest, ok := strings.Cut(url, "://")
	if !ok {
		return strings.Contains(" "+lower, " password")
	}
	user, _, ok := strings.Cut(rest, "@")
	return ok && strings.Contains(user, ":") && !strings.HasSuffix(user, ":") ||
		strings.Contains(lower, "?password=") || strings.Contains(lower, "&password=")
}

// A Sink writes rows to a table. With an engine that keeps its state each row is written exactly
// once: a window in one transaction together with a row in the cursor table that says which window
// it is (record.Committer), and rows that are in no such window in numbered transactions
// (record.Transactional). Without a state each batch is a transaction, and is written at least
// once; in mode Upsert writing it again changes nothing.
type Sink struct {
	cfg    SinkConfig
	table  name
	cursor name

	// conn is nil until it is needed, and after anything has failed: a new connection knows
	// nothing of what was begun. rows, target and stage are for the table as the connection has
	// found it.
	conn   *pgconn.PgConn
	rows   *encoder
	target string // the table with its schema, as the database writes it
	stage  stage
	// unlogged says that a crash of the server empties the table.
	unlogged bool
	said     bool // what there is to say of the connection
	closed   bool

	// job is empty if nothing is committed; incarnation is the number of this start.
	job         string
	incarnation string

	mu sync.Mutex
	// done is what is written for good. Save reads it on another goroutine.
	done note

	// Statistic: texts that were changed.
	replaced atomic.Uint64
}

// SinkStats are counters of a Sink.
type SinkStats struct {
	// Replaced is how many texts had bytes that became U+FFFD (ReplaceText). A text that is sent
	// again counts again.
	Replaced uint64
}

// Stats returns the counters. Any goroutine may call it.
func (s *Sink) Stats() SinkStats { return SinkStats{Replaced: s.replaced.Load()} }

// NewSink connects, makes the table if it shall be made, and compares its columns with the rows. It
// takes 30 s at most.
func NewSink(ctx context.Context, cfg SinkConfig) (*Sink, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg.Mode, cfg.BadText = cmp.Or(cfg.Mode, Append), cmp.Or(cfg.BadText, RefuseText)
	cfg.CursorTable = cmp.Or(cfg.CursorTable, DefaultCursorTable)
	cfg.TransactionTimeout = cmp.Or(cfg.TransactionTimeout, DefaultTransactionTimeout)
	cfg.WindowBytes = cmp.Or(cfg.WindowBytes, DefaultWindowBytes)
	if cfg.Say == nil {
		cfg.Say = func(string) {}
	}
	s := &Sink{cfg: cfg, done: note{Note: cursors.Note{Window: cursors.None}}}
	s.rows = newEncoder(&s.cfg, &s.replaced)
	s.table, _ = parseName(cfg.Table)
	s.cursor, _ = parseName(cfg.CursorTable)
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	if err := s.connect(ctx); err != nil {
		s.disconnect()
		return nil, s.failed(described(err))
	}
	return s, nil
}

// connect makes sure that there is a connection, and that the table fits.
func (s *Sink) connect(ctx context.Context) error {
	if s.conn != nil {
		return nil
	}
	cfg, err := s.cfg.connection()
	if err != nil {
		return final{err}
	}
	if s.cfg.PasswordFile != "" {
		text, err := os.ReadFile(s.cfg.PasswordFile)
		if err != nil {
			return final{fmt.Errorf("password.file: %w", err)}
		}
		cfg.Password = strings.TrimRight(string(text), "\r\n")
	}
	s.conn, err = pgconn.ConnectConfig(ctx, cfg)
	if err != nil {
		s.conn = nil
		return err // it has the user, the host and the database, and no password
	}
	if !s.said && !encrypted(s.conn.Conn()) {
		s.cfg.Say(fmt.Sprintf("the connection to %s is not encrypted: sslmode=verify-full in the url demands it",
			cfg.Host))
	}
	s.said = true
	if s.cfg.Create {
		if err := s.create(ctx); err != nil {
			return err
		}
	}
	forms, err := s.compare(ctx)
	if err != nil {
		return err
	}
	return s.rows.fit(forms)
}

// disconnect ends the connection, and with it the transaction, whatever state it is in.
func (s *Sink) disconnect() {
	if s.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	_ = s.conn.Close(ctx) // what it says does not matter: the server ends the transaction in any case
	s.conn = nil
}

// Write takes the rows of a batch. If windows are committed, it only keeps them until EndWindow.
func (s *Sink) Write(ctx context.Context, b *record.Batch) error {
	if s.job == "" {
		s.rows.clear()
	}
	if err := s.rows.add(b); err != nil {
		s.rows.clear()
		return s.failed(err)
	}
	if s.job == "" {
		return s.judged(ctx, s.transact(ctx, nil, s.send))
	}
	if n := len(s.rows.text); n > s.cfg.WindowBytes {
		return s.failed(fmt.Errorf("a window of more than %d bytes: window.bytes (SinkConfig.WindowBytes) allows more, "+
			"and shorter windows need less", s.cfg.WindowBytes))
	}
	return nil
}

// Abort drops the rows of a window that has not ended: see connect.Aborter.
func (s *Sink) Abort(error) { s.rows.clear() }

// Close closes the connection. Rows of a window that has not ended are dropped. Closing again does
// nothing.
func (s *Sink) Close() error {
	if n := s.replaced.Load(); !s.closed && n > 0 {
		s.cfg.Say(fmt.Sprintf("%d texts had bytes that PostgreSQL cannot store; they are U+FFFD in table %q", n,
			s.cfg.Table))
	}
	s.closed = true
	s.disconnect()
	return nil
}

// failed says which sink has failed.
func (s *Sink) failed(err error) error { return fmt.Errorf("postgres: table %q: %w", s.cfg.Table, err) }
