package pg_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
	"go.uber.org/goleak"

	"github.com/velo-engine/velo/pg"
	"github.com/velo-engine/velo/pg/internal/market"
	"github.com/velo-engine/velo/view"
)

func TestMain(m *testing.M) {
	addr := os.Getenv(chaosAddress)
	if addr != "" {
		chaosClients(addr)
		return
	}
	goleak.VerifyTestMain(m)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A host is a server of a market that ends with the test. It checks that nothing is left.
type host struct {
	*market.Market
	addr  string
	stats *pg.Stats
}

func (h *host) url() string { return "postgres://velo@" + h.addr + "/velo?sslmode=disable" }

// serve serves a market with trades of n symbols.
func serve(t testing.TB, n int, config pg.Config) *host {
	t.Helper()
	m, err := market.Start(context.Background(), view.Limits{})
	must(t, err)
	must(t, m.Send(t.Context(), market.Some(n)...))
	return serveMarket(t, m, config)
}

// serveMarket is serve with a market that has been started.
func serveMarket(t testing.TB, m *market.Market, config pg.Config) *host {
	t.Helper()
	h := &host{Market: m, stats: &pg.Stats{}}
	if config.Source == nil {
		config.Source = pg.Views(m.Catalog)
	}
	config.Stats = h.stats
	if config.Log == nil {
		config.Log = slog.New(slog.DiscardHandler)
	}
	t.Cleanup(func() {
		must(t, m.Close())
		if u := m.Catalog.Use(); u.Memory != 0 || u.Results != 0 || u.Held != 0 || u.Spilled != 0 {
			t.Errorf("left at the end: %+v", u)
		}
		if n := h.stats.Connections.Load(); n != 0 {
			t.Errorf("%d connections are left", n)
		}
		if n := h.stats.Panics.Load(); n != 0 {
			t.Errorf("%d panics", n)
		}
	})
	h.addr = listen(t, config)
	return h
}

// listen serves on a port of its own until the test ends.
func listen(t testing.TB, config pg.Config) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() {
		err := pg.Serve(ctx, l, config)
		if err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		cancel()
		done.Wait()
	})
	return l.Addr().String()
}

func connect(t testing.TB, h *host) *pgx.Conn {
	t.Helper()
	c, err := pgx.Connect(t.Context(), h.url())
	must(t, err)
	t.Cleanup(func() { _ = c.Close(context.Background()) })
	return c
}

// code is the SQLSTATE of an error; "" if there is none.
func code(err error) string {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return e.Code
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

// Goal: every type comes as it is, in text and in binary format, through a driver.
func TestTypes(t *testing.T) {
	h := serve(t, 3, pg.Config{})
	c := connect(t, h)
	sql := "SELECT symbol, n, avg_price, turnover, hot, last_at FROM volumes WHERE symbol = $1"
	for _, mode := range []pgx.QueryExecMode{
		pgx.QueryExecModeCacheStatement, pgx.QueryExecModeCacheDescribe, pgx.QueryExecModeDescribeExec,
		pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol,
	} {
		var (
			symbol, turnover string
			n                int64
			avg              float64
			hot              bool
			at               time.Time
		)
		err := c.QueryRow(t.Context(), sql, mode, "S2").Scan(&symbol, &n, &avg, &turnover, &hot, &at)
		if err != nil {
			t.Errorf("%v: %v", mode, err)
			continue
		}
		got := fmt.Sprintf("%s %d %v %s %v %s", symbol, n, avg, turnover, hot, at.UTC().Format(time.RFC3339Nano))
		if want := "S2 1 2.25 2.25 false 2026-03-02T09:30:02.25Z"; got != want {
			t.Errorf("%v: %s, want %s", mode, got, want)
		}
	}
}

// Goal: parameters of every type find what they should, as text and as binary.
func TestParameters(t *testing.T) {
	h := serve(t, 200, pg.Config{})
	c := connect(t, h)
	at := time.Date(2026, 3, 2, 9, 30, 7, 250_000_000, time.UTC)
	for _, test := range []struct {
		sql  string
		args []any
		want int64
	}{
		{"SELECT count(*) FROM volumes WHERE symbol = $1", []any{"S7"}, 1},
		{"SELECT count(*) FROM volumes WHERE n = $1", []any{int64(1)}, 200},
		{"SELECT count(*) FROM volumes WHERE avg_price < $1", []any{10.0}, 10},
		{"SELECT count(*) FROM volumes WHERE turnover = $1", []any{"7.25"}, 1},
		{"SELECT count(*) FROM volumes WHERE hot = $1", []any{true}, 99},
		{"SELECT count(*) FROM volumes WHERE last_at = $1", []any{at}, 4},
		{"SELECT count(*) FROM volumes WHERE symbol = $1 OR symbol = $2", []any{"S1", "S2"}, 2},
		{"SELECT count(*) FROM sizes WHERE symbol = $1 AND size = $2", []any{"S3", int64(3)}, 1},
		{"SELECT $1::bigint + 1", []any{int64(41)}, 42},
		{"SELECT count(*) FROM pg_class WHERE relname = ANY($1)", []any{[]string{"volumes", "sizes"}}, 2},
	} {
		for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeCacheStatement, pgx.QueryExecModeSimpleProtocol} {
			var n int64
			err := c.QueryRow(t.Context(), test.sql, append([]any{mode}, test.args...)...).Scan(&n)
			if err != nil || n != test.want {
				t.Errorf("%s with %v (%v): %d, want %d; %v", test.sql, test.args, mode, n, test.want, err)
			}
		}
	}
}

// Goal: values of the catalog come in binary format too.
func TestCatalogBinary(t *testing.T) {
	c := connect(t, serve(t, 1, pg.Config{}))
	rows, err := c.Query(t.Context(), `SELECT 'volumes'::regclass, 'volumes'::regclass::oid, ARRAY['a', NULL], true, 1::int2, 2,
		3::int8, 1.5::float8, 1.25, 'x', 'r'::"char", 'n'::name, typreceive, '{1,2}'::int4[], NULL::int4, now()
		FROM pg_type WHERE typname = 'int4'`, pgx.QueryResultFormats{pgx.BinaryFormatCode})
	must(t, err)
	if !rows.Next() {
		t.Fatal(rows.Err())
	}
	raw := rows.RawValues()
	if string(raw[0]) != string(raw[1]) || len(raw[0]) != 4 {
		t.Errorf("a regclass is %q, its OID %q", raw[0], raw[1])
	}
	for i, want := range map[int]int{3: 1, 4: 2, 5: 4, 6: 8, 7: 8, 9: 1, 10: 1, 12: 4, 15: 8} {
		if len(raw[i]) != want {
			t.Errorf("column %d has %d bytes, want %d", i, len(raw[i]), want)
		}
	}
	values, err := rows.Values()
	must(t, err)
	if got := fmt.Sprint(values[2], values[5], values[13], values[14]); got != "[a <nil>] 2 [1 2] <nil>" {
		t.Error(got)
	}
	rows.Close()
	must(t, rows.Err())
}

// Goal: what is wrong with a statement gets its SQLSTATE, and the session goes on.
func TestErrors(t *testing.T) {
	h := serve(t, 3, pg.Config{})
	c := connect(t, h)
	for _, test := range []struct{ sql, code, message string }{
		{"SELEC 1", "42601", "SELEC"},
		{"SELECT * FROM nothing", "42P01", "nothing"},
		{"SELECT x FROM volumes", "42703", "x"},
		{"SELECT nofunc(1)", "42883", "nofunc"},
		{"SELECT * FROM volumes, pg_class", "0A000", "pg_class"},
		{"INSERT INTO volumes VALUES (1)", "25006", "INSERT"},
		{"CREATE TABLE t (a int)", "25006", "CREATE"},
		{"SELECT 'x'::int", "22P02", "integer"},
		{"SELECT 1/0", "22012", "division"},
		{"SELECT 'nosuch'::regclass", "42P01", "nosuch"},
		{"SELECT oid FROM pg_class, pg_type", "42702", "oid"},
		{"SELECT (SELECT oid FROM pg_class)", "21000", "more than one row"},
		{"SELECT 'a' ~ '('", "2201B", "regular"},
		{"SHOW nosuch", "42704", "nosuch"},
		{"SET client_encoding = latin1", "0A000", "latin1"},
		{"SET timezone = 'Nowhere/At all'", "22023", "TimeZone"},
		{"SET server_version = '1'", "55P02", "server_version"},
		{"FETCH 1 FROM c", "34000", "c"},
		{"DECLARE c CURSOR FOR SELECT 1", "25P01", "transaction"},
		{"EXECUTE nothing", "26000", "nothing"},
		{"DEALLOCATE nothing", "26000", "nothing"},
		{"COPY volumes FROM STDIN", "25006", "COPY"},
		{"SUBSCRIBE nothing", "42P01", "nothing"},
		{"SAVEPOINT a", "25P01", "SAVEPOINT"},
		{"SELECT 'unterminated", "42601", "unterminated"},
		{"SELECT $1", "42P02", "$1"},
	} {
		_, err := c.Exec(t.Context(), test.sql, pgx.QueryExecModeSimpleProtocol)
		if code(err) != test.code || !strings.Contains(err.Error(), test.message) {
			t.Errorf("%s: %v, want %s and %q", test.sql, err, test.code, test.message)
		}
		if test.sql == "SELECT $1" {
			continue
		}
		_, err = c.Exec(t.Context(), test.sql)
		if code(err) != test.code {
			t.Errorf("%s, extended: %v, want %s", test.sql, err, test.code)
		}
	}
	var e *pgconn.PgError
	_, err := c.Exec(t.Context(), "SELECT 'ä', x FROM volumes", pgx.QueryExecModeSimpleProtocol)
	if !errors.As(err, &e) || e.Position != 13 {
		t.Errorf("position: %+v, want 13", e)
	}
	var n int
	must(t, c.QueryRow(t.Context(), "SELECT 1").Scan(&n))
}

// Goal: a transaction reads one cut, ends with an error when it keeps it for too long, and refuses
// statements after an error, except its end.
func TestTransaction(t *testing.T) {
	h := serve(t, 3, pg.Config{})
	c := connect(t, h)
	count := func() (n int64, err error) {
		err = c.QueryRow(t.Context(), "SELECT count(*) FROM volumes").Scan(&n)
		return n, err
	}
	exec := func(sql, want string) {
		t.Helper()
		_, err := c.Exec(t.Context(), sql, pgx.QueryExecModeSimpleProtocol)
		if code(err) != want {
			t.Errorf("%s: %v, want %q", sql, err, want)
		}
	}
	exec("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY", "")
	a, err := count()
	must(t, err)
	must(t, h.Send(t.Context(), market.Some(4)[3]))
	b, err := count()
	if err != nil || a != 3 || b != 3 {
		t.Errorf("in the transaction: %d, %d, want 3, 3; %v", a, b, err)
	}
	exec("COMMIT", "")
	n, err := count()
	if err != nil || n != 4 {
		t.Errorf("after it: %d, want 4; %v", n, err)
	}
	for lease := 20 * time.Millisecond; ; lease *= 4 { // longer, if a stall uses it up
		h = serve(t, 3, pg.Config{Limits: pg.Limits{Transaction: lease}})
		c = connect(t, h)
		exec("BEGIN", "")
		_, err = count()
		if code(err) != "72000" {
			break
		}
	}
	must(t, err)
	for h.Catalog.Use().Held > 0 {
		time.Sleep(10 * time.Millisecond)
	}
	_, err = count()
	if code(err) != "72000" {
		t.Errorf("after the lease: %v, want 72000", err)
	}
	_, err = count()
	if code(err) != "25P02" {
		t.Errorf("after an error: %v, want 25P02", err)
	}
	exec("SELECT 1", "25P02")
	tag, err := c.Exec(t.Context(), "COMMIT", pgx.QueryExecModeSimpleProtocol)
	if err != nil || tag.String() != "ROLLBACK" {
		t.Errorf("COMMIT of a failed transaction: %v, %v", tag, err)
	}
	// Parameters go back with ROLLBACK, and with the end of SET LOCAL.
	exec("SET my.x = 'a'; BEGIN; SET my.x = 'b'; SET LOCAL timezone = 'Asia/Tokyo'; ROLLBACK", "")
	exec("BEGIN; SET my.y = 'c'; SET LOCAL my.x = 'd'; COMMIT", "")
	var x, y, zone string
	must(
		t,
		c.QueryRow(t.Context(), "SELECT current_setting('my.x'), current_setting('my.y'), current_setting('TimeZone')").
			Scan(&x, &y, &zone),
	)
	if x != "a" || y != "c" || zone != "UTC" {
		t.Errorf("after the transactions: %q, %q, %q, want a, c, UTC", x, y, zone)
	}
	exec("BEGIN", "")
	exec("SAVEPOINT a", "")
	exec("SELECT 1/0", "22012")
	exec("ROLLBACK TO a", "")
	exec("SELECT 1", "")
	exec("RELEASE a", "")
	exec("ROLLBACK", "")
}

// Goal: a portal with a row limit gives every row once, for any limit.
func TestRowLimits(t *testing.T) {
	const rows = 100
	h := serve(t, rows, pg.Config{})
	for _, sql := range []string{"SELECT n FROM volumes", "SELECT generate_series(1, 100)"} {
		for _, limit := range []uint32{0, 1, 7, rows - 1, rows, rows + 1} {
			c := dial(t, h.addr)
			c.send(&pgproto3.Parse{Query: sql}, &pgproto3.Bind{}, &pgproto3.Execute{MaxRows: limit})
			got, suspended := 0, 0
			c.send(&pgproto3.Flush{})
			c.expect("ParseComplete")
			c.expect("BindComplete")
			for done := false; !done; {
				switch m := c.receive().(type) {
				case *pgproto3.DataRow:
					got++
				case *pgproto3.PortalSuspended:
					suspended++
					c.send(&pgproto3.Execute{MaxRows: limit}, &pgproto3.Flush{})
				case *pgproto3.CommandComplete:
					done = true
				default:
					t.Fatalf("%s, limit %d: %#v", sql, limit, m)
				}
			}
			want := 0
			if limit > 0 {
				want = rows / int(limit)
			}
			if got != rows || suspended != want {
				t.Errorf(
					"%s, limit %d: %d rows, %d times suspended, want %d, %d",
					sql,
					limit,
					got,
					suspended,
					rows,
					want,
				)
			}
			c.send(&pgproto3.Sync{})
			c.expect("ReadyForQuery")
		}
	}
}

// A client speaks the protocol message by message.
type client struct {
	t    testing.TB
	conn net.Conn
	*pgproto3.Frontend
}

func dial(t testing.TB, addr string) *client {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	must(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	must(t, conn.SetDeadline(time.Now().Add(time.Minute)))
	c := &client{t, conn, pgproto3.NewFrontend(conn, conn)}
	c.send(&pgproto3.StartupMessage{
		ProtocolVersion: pgproto3.ProtocolVersion30, Parameters: map[string]string{"user": "velo", "_pq_.unknown": "1"},
	})
	for {
		if _, ok := c.receive().(*pgproto3.ReadyForQuery); ok {
			return c
		}
	}
}

func (c *client) send(all ...pgproto3.FrontendMessage) {
	c.t.Helper()
	for _, m := range all {
		c.Send(m)
	}
	must(c.t, c.Flush())
}

func (c *client) receive() pgproto3.BackendMessage {
	c.t.Helper()
	m, err := c.Receive()
	must(c.t, err)
	return m
}

// expect receives a message of a type.
func (c *client) expect(name string) pgproto3.BackendMessage {
	c.t.Helper()
	m := c.receive()
	if got := reflect.TypeOf(m).Elem().Name(); got != name {
		c.t.Fatalf("%s %+v, want %s", got, m, name)
	}
	return m
}

// until receives messages up to ReadyForQuery, and gives their names and SQLSTATEs.
func (c *client) until() string {
	c.t.Helper()
	var all []string
	for {
		m := c.receive()
		name := reflect.TypeOf(m).Elem().Name()
		switch m := m.(type) {
		case *pgproto3.ErrorResponse:
			name += " " + m.Code
		case *pgproto3.CommandComplete:
			name += " " + string(m.CommandTag)
		case *pgproto3.ReadyForQuery:
			return strings.Join(append(all, string(m.TxStatus)), ", ")
		}
		all = append(all, name)
	}
}

// Goal: each sequence of messages has PostgreSQL's answers.
func TestMessages(t *testing.T) {
	h := serve(t, 2, pg.Config{Limits: pg.Limits{Statements: 3, Portals: 3}})
	sync := &pgproto3.Sync{}
	parse := func(name, sql string) *pgproto3.Parse { return &pgproto3.Parse{Name: name, Query: sql} }
	query := func(sql string) *pgproto3.Query { return &pgproto3.Query{String: sql} }
	for _, test := range []struct {
		what string
		send []pgproto3.FrontendMessage
		want string
	}{
		{"an empty statement", []pgproto3.FrontendMessage{query(" ; -- nothing\n")}, "EmptyQueryResponse, I"},
		{
			"several statements, of which one fails",
			[]pgproto3.FrontendMessage{query("SELECT 1; SELECT bad; SELECT 2")},
			"RowDescription, DataRow, CommandComplete SELECT 1, ErrorResponse 42703, I",
		},
		{
			"an empty statement in the extended protocol",
			[]pgproto3.FrontendMessage{
				parse("", ""), &pgproto3.Bind{}, &pgproto3.Describe{ObjectType: 'P'},
				&pgproto3.Execute{}, sync,
			},
			"ParseComplete, BindComplete, NoData, EmptyQueryResponse, I",
		},
		{
			"a statement that is not there",
			[]pgproto3.FrontendMessage{&pgproto3.Bind{PreparedStatement: "x"}, parse("", "SELECT 1"), sync},
			"ErrorResponse 26000, I",
		},
		{
			"a portal that is not there",
			[]pgproto3.FrontendMessage{&pgproto3.Execute{Portal: "x"}, sync},
			"ErrorResponse 34000, I",
		},
		{
			"two statements in one Parse",
			[]pgproto3.FrontendMessage{parse("", "SELECT 1; SELECT 2"), sync},
			"ErrorResponse 42601, I",
		},
		{
			"too few parameters",
			[]pgproto3.FrontendMessage{parse("", "SELECT $1::int"), &pgproto3.Bind{}, sync},
			"ParseComplete, ErrorResponse 08P01, I",
		},
		{
			"a bad parameter",
			[]pgproto3.FrontendMessage{
				parse("", "SELECT $1::int"), &pgproto3.Bind{Parameters: [][]byte{[]byte("x")}},
				sync,
			},
			"ParseComplete, ErrorResponse 22P02, I",
		},
		{
			"a bad binary parameter",
			[]pgproto3.FrontendMessage{
				parse("", "SELECT $1::int"),
				&pgproto3.Bind{ParameterFormatCodes: []int16{1}, Parameters: [][]byte{{1}}}, sync,
			},
			"ParseComplete, ErrorResponse 22P03, I",
		},
		{
			"a statement twice",
			[]pgproto3.FrontendMessage{parse("a", "SELECT 1"), parse("a", "SELECT 1"), sync},
			"ParseComplete, ErrorResponse 42P05, I",
		},
		{
			"close and again",
			[]pgproto3.FrontendMessage{
				parse("b", "SELECT 1"), &pgproto3.Close{ObjectType: 'S', Name: "b"}, parse("b", "SELECT 1"),
				&pgproto3.Close{ObjectType: 'S', Name: "nothing"}, sync,
			},
			"ParseComplete, CloseComplete, ParseComplete, CloseComplete, I",
		},
		{
			"too many statements",
			[]pgproto3.FrontendMessage{
				parse("a", "SELECT 1"), parse("b", "SELECT 1"), parse("c", "SELECT 1"),
				parse("d", ""), sync,
			},
			"ParseComplete, ParseComplete, ParseComplete, ErrorResponse 54000, I",
		},
		{
			"too many portals",
			[]pgproto3.FrontendMessage{
				query("BEGIN"), parse("", "SELECT 1"), &pgproto3.Bind{DestinationPortal: "a"},
				&pgproto3.Bind{DestinationPortal: "b"},
				&pgproto3.Bind{DestinationPortal: "c"}, &pgproto3.Bind{DestinationPortal: "d"}, sync,
			},
			"CommandComplete BEGIN, T",
		},
		{
			"a transaction that fails",
			[]pgproto3.FrontendMessage{query("BEGIN; SELECT 1/0")},
			"CommandComplete BEGIN, ErrorResponse 22012, E",
		},
		{"writes", []pgproto3.FrontendMessage{query("DELETE FROM volumes")}, "ErrorResponse 25006, I"},
		{"a function call", []pgproto3.FrontendMessage{&pgproto3.FunctionCall{}}, "ErrorResponse 0A000, I"},
		{"copies that are late", []pgproto3.FrontendMessage{&pgproto3.CopyDone{}, sync}, "I"},
		{
			"set and show",
			[]pgproto3.FrontendMessage{query("SET application_name = 'x'; SHOW application_name")},
			"ParameterStatus, CommandComplete SET, RowDescription, DataRow, CommandComplete SHOW, I",
		},
		{
			"copy out",
			[]pgproto3.FrontendMessage{query("COPY (SELECT symbol FROM volumes) TO STDOUT")},
			"CopyOutResponse, CopyData, CopyData, CopyDone, CommandComplete COPY 2, I",
		},
		{
			"cursors",
			[]pgproto3.FrontendMessage{query(
				"BEGIN; DECLARE c CURSOR FOR SELECT n FROM volumes; FETCH c; MOVE c; FETCH ALL c; CLOSE c; COMMIT")},
			"CommandComplete BEGIN, CommandComplete DECLARE CURSOR, RowDescription, DataRow, CommandComplete FETCH 1, " +
				"CommandComplete MOVE 1, RowDescription, CommandComplete FETCH 0, CommandComplete CLOSE CURSOR, " +
				"CommandComplete COMMIT, I",
		},
		{
			"a FETCH that is prepared",
			[]pgproto3.FrontendMessage{
				query("BEGIN; DECLARE c CURSOR FOR SELECT generate_series(1, 5)"), parse("", "FETCH 2 FROM c"),
				&pgproto3.Bind{},
				&pgproto3.Execute{}, &pgproto3.Bind{}, &pgproto3.Execute{}, sync,
			},
			"CommandComplete BEGIN, CommandComplete DECLARE CURSOR, T",
		},
		{
			"prepare and execute",
			[]pgproto3.FrontendMessage{query(
				"PREPARE p (text) AS SELECT n FROM volumes WHERE symbol = $1; EXECUTE p('S1'); DEALLOCATE p")},
			"CommandComplete PREPARE, RowDescription, DataRow, CommandComplete SELECT 1, CommandComplete DEALLOCATE, I",
		},
		{
			"what poolers send",
			[]pgproto3.FrontendMessage{query(
				"SET SESSION AUTHORIZATION DEFAULT; RESET ROLE; DISCARD ALL; RESET ALL; UNLISTEN *; SELECT " +
					"pg_advisory_unlock_all()")},
			"CommandComplete SET, CommandComplete RESET, CommandComplete DISCARD ALL, CommandComplete RESET, " +
				"CommandComplete UNLISTEN, RowDescription, DataRow, CommandComplete SELECT 1, I",
		},
	} {
		c := dial(t, h.addr)
		c.send(test.send...)
		if got := c.until(); got != test.want {
			t.Errorf("%s: %s\nwant %s", test.what, got, test.want)
		}
		if test.what == "a FETCH that is prepared" {
			want := "ParseComplete, BindComplete, DataRow, DataRow, CommandComplete FETCH 2, BindComplete, DataRow, " +
				"DataRow, " +
				"CommandComplete FETCH 2, T"
			if got := c.until(); got != want {
				t.Errorf("%s: %s\nwant %s", test.what, got, want)
			}
		}
		_ = c.conn.Close()
	}
}

// Goal: an error is sent at once, since a client that has asked for Flush waits for it.
func TestErrorWithoutSync(t *testing.T) {
	c := dial(t, serve(t, 1, pg.Config{}).addr)
	c.send(&pgproto3.Parse{Query: "SELECT nothing FROM volumes"}, &pgproto3.Flush{})
	c.expect("ErrorResponse")
	c.send(&pgproto3.Sync{})
	c.expect("ReadyForQuery")
}

// Goal: messages that no client should send end the session at most, with an error, and nothing
// else.
func TestHostile(t *testing.T) {
	h := serve(t, 2, pg.Config{Limits: pg.Limits{Message: 1 << 16, Startup: 200 * time.Millisecond}})
	start := "\x00\x00\x00\x10\x00\x03\x00\x00user\x00a\x00\x00"
	for what, bytes := range map[string]string{
		"a length of -2 for a parameter": start + "P\x00\x00\x00\x08\x00\x00\x00\x00" +
			"B\x00\x00\x00\x10\x00\x00\x00\x00\x00\x01\xff\xff\xff\xfe\x00\x00",
		"a message of 2 GiB":            start + "Q\x7f\xff\xff\xff",
		"a message with a length of 0":  start + "Q\x00\x00\x00\x00",
		"an unknown type":               start + "\xff\x00\x00\x00\x04",
		"a query without its end":       start + "Q\x00\x00\x00\x05x",
		"no user":                       "\x00\x00\x00\x09\x00\x03\x00\x00\x00",
		"a startup message without end": "\x00\x00\x00\x0e\x00\x03\x00\x00user\x00a",
		"protocol 2":                    "\x00\x00\x00\x09\x00\x02\x00\x00\x00",
		"HTTP":                          "GET / HTTP/1.1\r\n\r\n",
		"a startup of nothing":          "\x00\x00\x00\x04",
		"a cancel that is too short":    "\x00\x00\x00\x08\x04\xd2\x16\x2e",
		"many requests for GSS":         strings.Repeat("\x00\x00\x00\x08\x04\xd2\x16\x30", 100),
		"silence":                       "",
		"half a startup":                "\x00\x00\x00\x10\x00\x03",
	} {
		conn, err := net.Dial("tcp", h.addr)
		must(t, err)
		_, _ = conn.Write([]byte(bytes))
		if what == "no user" || what == "a query without its end" {
			_ = conn.(*net.TCPConn).CloseWrite() // after a stall the server has closed it
		}
		must(t, conn.SetReadDeadline(time.Now().Add(time.Minute)))
		buf := make([]byte, 1<<16)
		for err == nil {
			_, err = conn.Read(buf)
		}
		var timeout net.Error
		if errors.As(err, &timeout) && timeout.Timeout() {
			t.Errorf("%s: the server neither answers nor closes", what)
		}
		_ = conn.Close()
	}
	var n int
	for end := time.Now().Add(time.Minute); ; {
		c, err := pgx.Connect(t.Context(), h.url())
		if err == nil {
			err = c.QueryRow(t.Context(), "SELECT 1").Scan(&n)
			_ = c.Close(context.Background())
		}
		if err == nil {
			break
		}
		if time.Now().After(end) { // a stall may use up the time for a startup
			t.Fatal(err)
		}
	}
}

// Goal: a statement ends when its client cancels it, when its time is over and when the client is
// gone.
func TestCancel(t *testing.T) {
	h := serve(t, 2, pg.Config{})
	c := connect(t, h)
	for what, sql := range map[string]string{
		"a function": "SELECT pg_sleep(60)", "a subscription": "COPY (SUBSCRIBE volumes) TO STDOUT",
	} {
		ended := make(chan error, 1)
		go func() {
			_, err := c.Exec(context.Background(), sql, pgx.QueryExecModeSimpleProtocol)
			if sql[0] == 'C' {
				_, err = c.PgConn().CopyTo(context.Background(), new(strings.Builder), sql)
			}
			ended <- err
		}()
		var err error
		for again := true; again; {
			must(t, c.PgConn().CancelRequest(t.Context()))
			select {
			case err = <-ended:
				again = false
			case <-time.After(50 * time.Millisecond):
			}
		}
		if code(err) != "57014" {
			t.Errorf("%s: %v, want 57014", what, err)
		}
	}
	_, err := c.Exec(t.Context(), "SET statement_timeout = '50ms'")
	must(t, err)
	_, err = c.Exec(t.Context(), "SELECT pg_sleep(60)")
	if code(err) != "57014" || !strings.Contains(err.Error(), "timeout") {
		t.Errorf("timeout: %v, want 57014", err)
	}
	gone := dial(t, h.addr)
	gone.send(&pgproto3.Query{String: "COPY (SUBSCRIBE volumes) TO STDOUT"})
	gone.expect("CopyOutResponse")
	must(t, gone.conn.Close())
	for h.stats.Connections.Load() > 1 {
		time.Sleep(10 * time.Millisecond)
	}
}

// Goal: what clients say at the start is taken, refused or kept.
func TestStartup(t *testing.T) {
	h := serve(t, 1, pg.Config{})
	for _, test := range []struct{ params, show, want string }{
		{"client_encoding='utf-8'", "client_encoding", "UTF8"},
		{"client_encoding=latin1", "", "0A000"},
		{"TimeZone=Asia/Tokyo", "TimeZone", "Asia/Tokyo"},
		{"TimeZone=Nowhere", "", "22023"},
		{"DateStyle=iso, dmy", "DateStyle", "ISO, DMY"},
		{"DateStyle=German", "", "0A000"},
		{"extra_float_digits=2", "extra_float_digits", "2"},
		{"options=-c statement_timeout=5s --my.own=1", "my.own", "1"},
		{"options=-c my.blank=a\\ b", "my.blank", "a b"},
		{"options=-x", "", "22023"},
		{"replication=database", "", "0A000"},
		{"some_new_parameter=x", "some_new_parameter", "x"},
		{"is_superuser=on", "", "55P02"},
	} {
		name, value, _ := strings.Cut(test.params, "=")
		config, err := pgx.ParseConfig(h.url())
		must(t, err)
		config.RuntimeParams[name] = value
		c, err := pgx.ConnectConfig(t.Context(), config)
		if test.show == "" {
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%s: %v, want %s", test.params, err, test.want)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", test.params, err)
			continue
		}
		var got string
		err = c.QueryRow(t.Context(), "SHOW "+test.show).Scan(&got)
		if err != nil || got != test.want {
			t.Errorf("%s: %q, want %q; %v", test.params, got, test.want, err)
		}
		must(t, c.Close(t.Context()))
	}
}

// Goal: the number of clients is bounded, and one too many is told.
func TestTooMany(t *testing.T) {
	h := serve(t, 1, pg.Config{Limits: pg.Limits{Connections: 2}})
	a, b := connect(t, h), connect(t, h)
	_, err := pgx.Connect(t.Context(), h.url())
	if code(err) != "53300" {
		t.Errorf("a third client: %v, want 53300", err)
	}
	must(t, a.Close(t.Context()))
	for h.stats.Connections.Load() > 1 {
		time.Sleep(time.Millisecond)
	}
	connect(t, h)
	_ = b
}

// Goal: idle sessions end, at once if they are in a transaction, and say why.
func TestIdle(t *testing.T) {
	for _, c := range []struct {
		begin, want string
		limits      pg.Limits
	}{
		{"", "57P05", pg.Limits{Idle: 50 * time.Millisecond}},
		{"BEGIN; SELECT * FROM volumes", "25P03", pg.Limits{IdleInTx: 60 * time.Millisecond}},
	} {
		one := dial(t, serve(t, 1, pg.Config{Limits: c.limits}).addr)
		if c.begin != "" {
			one.send(&pgproto3.Query{String: c.begin})
			one.until()
		}
		e, ok := one.receive().(*pgproto3.ErrorResponse)
		if !ok || e.Code != c.want || e.Severity != "FATAL" {
			t.Errorf("after %q: %+v, want %s", c.begin, e, c.want)
		}
	}
}

// subscribeOdd subscribes to a view whose name needs quotes, and then gives the name to a view of
// other columns, as a job does that is replaced.
func subscribeOdd(t *testing.T, h *host) {
	t.Helper()
	const name = "od\"d\\é"
	find := func(name string) view.View {
		v, err := h.Catalog.Find(name)
		must(t, err)
		return v.View
	}
	must(t, h.Catalog.Add(name, find("volumes")))
	c := connect(t, h)
	tx, err := c.Begin(t.Context())
	must(t, err)
	_, err = tx.Exec(t.Context(), `DECLARE s CURSOR FOR SUBSCRIBE "od""d\é"`)
	must(t, err)
	if a := ask(t, c, nil, "FETCH ALL s"); len(a.rows) != 2 || a.err != "" {
		t.Errorf("%+v", a)
	}
	must(t, h.Catalog.Swap([]string{name}, map[string]view.View{name: find("sizes")}))
	if a := ask(t, c, nil, "FETCH ALL s"); !strings.Contains(a.message, "the view has other columns now") {
		t.Errorf("%+v", a)
	}
	must(t, tx.Rollback(t.Context()))
	must(t, h.Catalog.Remove(name))
}

// Goal: SUBSCRIBE gives the rows that there are, then what changes.
func TestSubscribe(t *testing.T) {
	h := serve(t, 2, pg.Config{})
	subscribeOdd(t, h)
	c := dial(t, h.addr)
	c.send(&pgproto3.Query{String: "BEGIN; DECLARE s CURSOR FOR SUBSCRIBE volumes; FETCH ALL s"})
	rows := func() (all []string) {
		for {
			switch m := c.receive().(type) {
			case *pgproto3.DataRow:
				all = append(all, string(m.Values[1])+" "+string(m.Values[2])+" "+string(m.Values[3]))
			case *pgproto3.ErrorResponse:
				t.Fatalf("%+v", m)
			case *pgproto3.ReadyForQuery:
				return all
			}
		}
	}
	first := rows()
	if len(first) != 2 {
		t.Fatalf("at first: %v, want 2 rows", first)
	}
	must(t, h.Send(t.Context(), market.Some(2)[1]))
	var then []string
	for len(then) < 2 {
		c.send(&pgproto3.Query{String: "FETCH ALL s"})
		then = append(then, rows()...)
	}
	if got := strings.Join(then, ", "); got != "-1 S1 1, 1 S1 2" {
		t.Errorf("then: %s", got)
	}
}

// Goal: no beginning of a statement, and none with a word too many, is a fault of velo.
func TestPieces(t *testing.T) {
	h := serve(t, 1, pg.Config{Limits: pg.Limits{Statement: 2 * time.Second}})
	c := dial(t, h.addr)
	for _, text := range []string{
		"SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", "SET LOCAL TIME ZONE 'UTC'", "SET my . x = - 1 , b",
		"SET SESSION AUTHORIZATION DEFAULT", "SHOW SESSION AUTHORIZATION", "SHOW TRANSACTION ISOLATION LEVEL",
		"RESET TIME ZONE",
		"BEGIN TRANSACTION ISOLATION LEVEL SERIALIZABLE , READ ONLY", "COMMIT AND NO CHAIN",
		"ROLLBACK WORK TO SAVEPOINT a",
		"SAVEPOINT a", "RELEASE SAVEPOINT a", "DISCARD ALL", "DEALLOCATE PREPARE ALL",
		"PREPARE p ( double precision , int ) AS SELECT $1 , $2", "EXECUTE p ( - 1 , 'x' )",
		"DECLARE c BINARY NO SCROLL CURSOR WITH HOLD FOR SELECT 1", "FETCH FORWARD 2 FROM c", "MOVE ALL IN c",
		"CLOSE ALL",
		"COPY ( SELECT ( 1 ) ) TO STDOUT WITH ( FORMAT text )", "COPY public . volumes ( symbol ) TO STDOUT",
		"EXPLAIN ( ANALYZE , VERBOSE ) SELECT symbol FROM volumes", "SUBSCRIBE TO public . nothing", "LISTEN x",
		"( SELECT 1 )",
		"SELECT public . volumes . symbol FROM public . volumes LIMIT 1", "TABLE pg_class", "VALUES ( 1 ) , ( 2 )",
		"SELECT CASE WHEN a THEN b END FROM ( VALUES ( true , 1 ) ) AS v ( a , b ) ORDER BY 1 USING > NULLS LAST " +
			"FETCH FIRST 1 ROW ONLY",
		"SELECT x [ 1 : 2 ] , ( y ) . n , z :: timestamp with time zone , EXTRACT ( day FROM w ) , trim ( both 'a' " +
			"from 'b' )",
		"WITH a ( b ) AS MATERIALIZED ( SELECT 1 ) SELECT count ( DISTINCT b ) FILTER ( WHERE true ) OVER ( " +
			"PARTITION BY b ) FROM a",
	} {
		words := strings.Fields(text)
		for n := range len(words) + 1 {
			for _, more := range []string{"", " x", " (", " ,", " 1", " ;"} {
				sql := strings.Join(words[:n], " ") + more
				c.send(&pgproto3.Query{String: sql})
				if got := c.until(); strings.Contains(got, "XX000") {
					t.Errorf("%s: %s", sql, got)
				}
			}
		}
	}
	if n := h.stats.Panics.Load(); n > 0 {
		t.Errorf("%d panics", n)
	}
}

// Goal: ALTER JOB and DROP JOB are run for a client that may change jobs, alone, once and outside of
// a transaction, and are refused for others. Method: a Change that notes what it gets.
func TestChange(t *testing.T) {
	var got []string
	h := serve(t, 1, pg.Config{
		Password:  func(_, password string) bool { return password != "" },
		MayChange: func(_, password string) bool { return password == "admin" },
		Change: func(_ context.Context, sql string) error {
			got = append(got, sql)
			if strings.Contains(sql, "none") {
				return &pg.Error{Code: "42704", Message: "no such job", Position: -1}
			}
			return nil
		},
	})
	login := func(password string) *pgx.Conn {
		c, err := pgx.Connect(t.Context(), strings.Replace(h.url(), "velo@", "velo:"+password+"@", 1))
		must(t, err)
		t.Cleanup(func() { _ = c.Close(context.Background()) })
		return c
	}
	reads, admin := login("read"), login("admin")
	for _, step := range []struct {
		c         *pgx.Conn
		sql, code string
	}{
		{reads, "ALTER JOB a PAUSE", "25006"},
		{reads, "DROP JOB a", "25006"},
		{admin, "ALTER JOB a PAUSE", ""},
		{admin, "DROP TABLE a", "25006"},
		{admin, "DROP", "25006"},
		{admin, "drop job none", "42704"},
		{admin, "BEGIN", ""},
		{admin, "ALTER JOB a RESUME", "25001"},
		{admin, "ROLLBACK", ""},
		{admin, "SELECT 1", ""},
	} {
		_, err := step.c.Exec(t.Context(), step.sql)
		if code(err) != step.code {
			t.Errorf("%s: %v, expected %q", step.sql, err, step.code)
		}
	}
	_, err := admin.PgConn().Exec(t.Context(), "SELECT 1; ALTER JOB b STOP ; SELECT 2").ReadAll()
	must(t, err)
	if want := []string{"ALTER JOB a PAUSE", "drop job none", "ALTER JOB b STOP"}; !slices.Equal(got, want) {
		t.Errorf("%q, expected %q", got, want)
	}
}

// An answer is what a server says to a statement.
type answer struct {
	columns []string
	rows    []string
	err     string
	message string
}

// ask sends a statement, and writes OIDs of the relations of sample as {name}.
func ask(t *testing.T, c *pgx.Conn, oids map[string]string, sql string) (a answer) {
	t.Helper()
	for name, oid := range oids {
		sql = strings.ReplaceAll(sql, "{"+name+"}", oid)
	}
	r := c.PgConn().Exec(t.Context(), sql)
	for r.NextResult() {
		for _, f := range r.ResultReader().FieldDescriptions() {
			a.columns = append(a.columns, fmt.Sprintf("%s:%d", f.Name, f.DataTypeOID))
		}
		for r.ResultReader().NextRow() {
			var cells []string
			for _, v := range r.ResultReader().Values() {
				s := string(v)
				if v == nil {
					s = "NULL"
				}
				for name, oid := range oids {
					if s == oid {
						s = "{" + name + "}"
					}
				}
				cells = append(cells, s)
			}
			a.rows = append(a.rows, strings.Join(cells, "|"))
		}
	}
	err := r.Close()
	if err != nil {
		a.err, a.message = code(err), err.Error()
	}
	return a
}
