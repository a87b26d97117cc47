//go:build unix

package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/velo-engine/velo"
	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/internal/cursors"
)

// A followed is a job whose sink's server has a standby.
type followed struct {
	t     *testing.T
	query string
	name  string // of the sink, and of its table
	dir   string // of the state
	eng   *velo.Engine
	lane  *velo.NumberedLane[followedRow]
}

type followedRow struct {
	K  int64     `velo:"k"`
	At time.Time `velo:"at"`
}

// start starts the job, or has it go on. The error is the error of Start.
func (f *followed) start(url string, choose func(*velo.State)) error {
	t := f.t
	t.Helper()
	feed, err := velo.NewFeed[followedRow]("s", velo.FeedConfig{Name: "s"})
	must(t, err)
	plan, err := velo.Compile(f.query, feed.Schema())
	must(t, err)
	written, err := plan.Written()
	must(t, err)
	sink, err := NewSink(t.Context(), SinkConfig{URL: url, Table: f.name, Name: f.name, Schema: written, Create: true})
	must(t, err)
	st := &velo.State{Path: f.dir, Interval: time.Hour}
	if choose != nil {
		choose(st)
	}
	eng, err := velo.Start(t.Context(), velo.Config{
		Plan: plan, Readers: []velo.Reader{feed}, Writer: sink, Cores: 1, Partitions: 1, NoPin: true, State: st,
	})
	if err != nil {
		_ = sink.Close()
		return err
	}
	f.eng = eng
	t.Cleanup(func() { _ = eng.Close() })
	f.lane, _, err = feed.Resume("l")
	must(t, err)
	return nil
}

// send sends the records of some seconds, one for each, and makes a generation.
func (f *followed) send(from, to int) {
	f.t.Helper()
	for i := from; i < to; i++ {
		at := time.Date(2026, 3, 2, 9, 30, i, 0, time.UTC)
		must(f.t, f.lane.SendAt(f.t.Context(), uint64(i), followedRow{int64(i), at}))
	}
	must(f.t, f.eng.Checkpoint(f.t.Context()))
}

// await waits until a query has a text, for a minute at most.
func (s *server) await(sql, want string) {
	s.t.Helper()
	got := ""
	for began := time.Now(); time.Since(began) < time.Minute; time.Sleep(20 * time.Millisecond) {
		got = s.text(sql)
		if got == want {
			return
		}
	}
	s.t.Fatalf("%s is still %q after a minute, expected %q", sql, got, want)
}

// Goal: if a standby takes over that lacks transactions that were confirmed, nothing is lost in
// silence: what the kept generations have is written again, everything else is refused, with what
// is missing and the choices. Method: a primary and a standby that streams asynchronously, which is
// cut off while jobs go on; the primary is killed and the standby promoted.
func TestFailover(t *testing.T) {
	s := newServer(t)
	standby := &server{Server: s.Standby(), t: t}
	standby.connect("velo")
	const passes = `SELECT k FROM s`
	const closes = `SELECT window_start AS w, count(*) AS n FROM s GROUP BY tumble(at, INTERVAL '1 s')`
	windows := &followed{t: t, query: closes}
	one, many := &followed{t: t, query: passes}, &followed{t: t, query: passes}
	for name, f := range map[string]*followed{"windows": windows, "one": one, "many": many} {
		f.name, f.dir = name, t.TempDir()
		must(t, f.start(s.url(), nil))
		f.send(0, 11)
	}
	s.await("SELECT count(*)::text FROM windows", "10\n") // the last one has not closed
	windows.send(11, 11)
	both := "host=" + s.Dir + "," + standby.Dir + " user=velo dbname=velo sslmode=disable " +
		"target_session_attrs=read-write"
	running := s.sink(SinkConfig{URL: both, Table: "running", Name: "running", Create: true})
	_, err := running.Recover(t.Context(), "job", nil)
	must(t, err)
	must(t, window(t, running, 1))

	ahead := s.text("SELECT pg_current_wal_lsn()::text")
	standby.await(fmt.Sprintf("SELECT (pg_last_wal_replay_lsn() >= '%s')::text", strings.TrimSpace(ahead)), "true\n")
	standby.exec("ALTER SYSTEM SET primary_conninfo = ''")
	standby.exec("SELECT pg_reload_conf()")
	standby.await("SELECT count(*)::text FROM pg_stat_wal_receiver", "0\n")

	windows.send(11, 16)
	s.await("SELECT count(*)::text FROM windows", "15\n")
	windows.send(16, 16)
	one.send(11, 16)
	for i := 11; i < 16; i++ {
		many.send(i, i+1)
	}
	number := strings.TrimSpace(s.text("SELECT number::text FROM velo_cursors WHERE sink = 'many'"))
	must(t, window(t, running, 2))
	for _, f := range []*followed{windows, one, many} {
		must(t, f.eng.Close())
	}
	s.Kill()
	standby.exec("SELECT pg_promote()")
	standby.await("SELECT pg_is_in_recovery()::text", "false\n")

	t.Run("a job that runs", func(t *testing.T) {
		must(t, running.Write(t.Context(), rowsOf(t, 3, 2)))
		err := until(t, func() error { return running.EndWindow(context.WithoutCancel(t.Context()), 3) })
		if !errors.Is(err, cursors.ErrBack) {
			t.Errorf("%v, expected %v", err, cursors.ErrBack)
		}
	})
	refused := func(f *followed, choose func(*velo.State), parts ...string) {
		t.Helper()
		err := f.start(standby.url(), choose)
		if err == nil {
			t.Fatalf("%s goes on", f.name)
		}
		for _, part := range parts {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%s: %v\ndoes not say %q", f.name, err, part)
			}
		}
	}
	for _, choose := range []func(*velo.State){nil, func(st *velo.State) { st.RepeatOutput = true }} {
		refused(windows, choose, "windows up to 2026-03-02T09:30:15Z were written when the state was saved",
			"says 2026-03-02T09:30:10Z", "the windows after that are missing", "begin anew with fresh")
		refused(many, choose, engine.ErrOutput.Error(), "those up to", "are nowhere else", "skip the output to")
	}
	var skip uint64
	_, err = fmt.Sscan(number, &skip)
	must(t, err)
	err = many.start(standby.url(), nil)
	_, text, _ := strings.Cut(fmt.Sprint(err), "skip the output to ")
	_, err = fmt.Sscan(text, &skip)
	must(t, err)
	refused(many, func(st *velo.State) { st.SkipOutputTo = skip + 1 }, "skip the output to")
	must(t, many.start(standby.url(), func(st *velo.State) { st.SkipOutputTo = skip }))
	many.send(16, 18)
	// Two generations are kept, so the rows of the last two are there.
	standby.await("SELECT string_agg(k::text, ' ' ORDER BY k) FROM many", "0 1 2 3 4 5 6 7 8 9 10 14 15 16 17\n")

	must(t, one.start(standby.url(), nil))
	one.send(16, 18)
	standby.await("SELECT string_agg(k::text, ' ' ORDER BY k) FROM one",
		"0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17\n")
}
