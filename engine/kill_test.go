package engine_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/query"
	"github.com/velo-engine/velo/readers"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/state"
	"github.com/velo-engine/velo/writers"
)

// A killCase is a job that is killed again and again.
type killCase struct {
	Dir    string
	Plan   string // the text of the query
	Outbox string // which of outboxPlans it is; empty if it is none
	Source string // csv, ndjson, both, lanes or generator
	Sink   string // rotated, single, or empty
	// Beside says that the engine has another plan, which passes all records on into a file of its
	// own.
	Beside  bool
	Records int
	Block   int // bytes of a block of the files
	Seed    uint64

	// These differ between lives.
	State      bool
	Readers    int
	Partitions int
	Exchange   plan.Exchange
	Swap       bool // the other plan is the first
	Interval   time.Duration
	Sync       bool
	// Point is where the process kills itself, the Nth time that it comes there. If it is empty the
	// parent kills it.
	Point string
	Nth   int
}

// A killResult is what a life leaves that comes to its end.
type killResult struct {
	Lines       []string
	Records     uint64
	Late        uint64
	Quarantined uint64
	Restored    uint64
}

// killPoints are the named points.
var killPoints = func() (points []string) {
	for _, p := range []string{
		"create segment", "write half of segment", "write segment", "sync segment",
		"create manifest", "write half of manifest", "write manifest", "sync manifest",
		"sync folder", "rename manifest", "remove manifest", "remove segment",
		"recover", "write window", "end window", "save sink", "resume", "recover output", "commit", "write batch",
	} {
		points = append(points, "before "+p, "after "+p)
	}
	return append(points, "saved")
}()

// killer kills the process at a point.
type killer struct {
	point string
	nth   int64
	times atomic.Int64
}

func (k *killer) at(point string) {
	if point != k.point || k.times.Add(1) != k.nth {
		return
	}
	self, err := os.FindProcess(os.Getpid())
	if err == nil {
		err = self.Kill()
	}
	if err != nil {
		panic(err)
	}
	select {} // until the signal arrives
}

func (k *killer) before(point string) error { k.at("before " + point); return nil }
func (k *killer) after(point string)        { k.at("after " + point) }

// killSink is a File with points.
type killSink struct {
	record.Committer
	k *killer
}

func (s *killSink) do(point string, call func() error) error {
	_ = s.k.before(point)
	err := call()
	s.k.after(point)
	return err
}

func (s *killSink) Recover(ctx context.Context, job string, saved []byte) (window int64, err error) {
	err = s.do("recover", func() error {
		window, err = s.Committer.Recover(ctx, job, saved)
		return err
	})
	return window, err
}

func (s *killSink) Write(ctx context.Context, b *record.Batch) error {
	return s.do("write window", func() error { return s.Committer.Write(ctx, b) })
}

func (s *killSink) EndWindow(ctx context.Context, window int64) error {
	return s.do("end window", func() error { return s.Committer.EndWindow(ctx, window) })
}

func (s *killSink) Save(ctx context.Context) (saved []byte, err error) {
	err = s.do("save sink", func() error {
		saved, err = s.Committer.Save(ctx)
		return err
	})
	return saved, err
}

// killTransactions is a File with points that takes transactions.
type killTransactions struct {
	*writers.File
	k *killer
}

func (s *killTransactions) RecoverOutput(ctx context.Context, job string) (number uint64, err error) {
	_ = s.k.before("recover output")
	number, err = s.File.RecoverOutput(ctx, job)
	s.k.after("recover output")
	return number, err
}

func (s *killTransactions) Commit(ctx context.Context, number uint64, rows iter.Seq[*record.Batch], complete bool) error {
	_ = s.k.before("commit")
	err := s.File.Commit(ctx, number, func(yield func(*record.Batch) bool) {
		for b := range rows {
			_ = s.k.before("write batch")
			if !yield(b) {
				return
			}
			s.k.after("write batch")
		}
	}, complete)
	s.k.after("commit")
	return err
}

// slowReader is a reader that takes its time, so that there is some to kill it in.
type slowReader struct {
	record.Resumer
	k *killer
}

func (r *slowReader) Read(ctx context.Context, b *record.Batch) error {
	time.Sleep(200 * time.Microsecond)
	return r.Resumer.Read(ctx, b)
}

func (r *slowReader) Columns(read []bool) {
	if p, ok := r.Resumer.(record.Projector); ok {
		p.Columns(read)
	}
}

func (r *slowReader) ResumeFrom(saved []record.Position) (resumed []string, now []record.Position, err error) {
	_ = r.k.before("resume")
	resumed, now, err = r.Resumer.ResumeFrom(saved)
	r.k.after("resume")
	return resumed, now, err
}

// killEvent is a record of logSchema.
type killEvent struct {
	K    *int64
	Host string
	V    int64
	W    float64
	At   time.Time
	Note string
}

func killEventOf(split int, seq int64) (e killEvent) {
	rng := rand.New(rand.NewPCG(uint64(split)+77, uint64(seq)))
	if k := rng.Int64N(50); k > 4 {
		e.K = &k
	}
	e.Host = fmt.Sprintf("host-%d", rng.IntN(20))
	if rng.IntN(3) == 0 {
		e.Host = strings.Repeat(e.Host, 1+rng.IntN(6))
	}
	e.V, e.W = rng.Int64N(2000)-1000, float64(rng.IntN(100))
	e.At = time.Unix(0, seq*int64(10*time.Millisecond)+rng.Int64N(int64(time.Second))).UTC()
	e.Note = strings.Repeat("n", rng.IntN(40)) + fmt.Sprint(rng.IntN(30))
	if rng.IntN(5) == 0 {
		e.Note += " \"a\",\n b"
	}
	return e
}

// writeFiles writes the input of a case.
func (c *killCase) writeFiles() error {
	var csv, ndjson bytes.Buffer
	csv.WriteString("k,host,v,w,at,note\n")
	for seq := range int64(c.Records) {
		e := killEventOf(0, seq)
		at := e.At.Format(time.RFC3339Nano)
		k, null := "", "null"
		if e.K != nil {
			k = fmt.Sprint(*e.K)
			null = k
		}
		if c.Source == "csv" || c.Source == "both" && seq%2 == 0 {
			fmt.Fprintf(&csv, "%s,%s,%d,%v,%s,\"%s\"\n", k, e.Host, e.V, e.W, at, strings.ReplaceAll(e.Note, `"`, `""`))
			continue
		}
		note, err := json.Marshal(e.Note)
		if err != nil {
			return err
		}
		fmt.Fprintf(&ndjson, `{"k":%s,"host":%q,"v":%d,"w":%v,"at":%q,"note":%s}`+"\n", null, e.Host, e.V, e.W, at, note)
	}
	return errors.Join(os.WriteFile(filepath.Join(c.Dir, "in.csv"), csv.Bytes(), 0o600),
		os.WriteFile(filepath.Join(c.Dir, "in.ndjson"), ndjson.Bytes(), 0o600))
}

// killLanes is how many lanes there are.
const killLanes = 3

// open makes the readers; run sends what is to be sent, after the engine has started.
func (c *killCase) open(k *killer) (all []record.Reader, run func() error, err error) {
	run = func() error { return nil }
	switch c.Source {
	case "generator":
		for i := range killLanes {
			g, err := readers.NewGenerator(readers.GeneratorConfig{
				Seed: c.Seed, Groups: 500, Records: uint64(c.Records), Reader: i, Readers: killLanes,
			})
			if err != nil {
				return nil, nil, err
			}
			all = append(all, &slowReader{g, k})
		}
		return all, run, nil
	case "lanes":
		return c.openLanes()
	}
	for _, kind := range []string{"csv", "ndjson"} {
		if c.Source != kind && c.Source != "both" {
			continue
		}
		var file interface{ Readers(n int) []record.Reader }
		if kind == "csv" {
			file, err = readers.OpenDelimited(filepath.Join(c.Dir, "in.csv"), readers.DelimitedConfig{
				Schema: logSchema, Quote: '"', Header: true, BlockBytes: c.Block,
			})
		} else {
			file, err = readers.OpenNDJSON(filepath.Join(c.Dir, "in.ndjson"), readers.NDJSONConfig{
				Schema: logSchema, BlockBytes: c.Block,
			})
		}
		if err != nil {
			return nil, nil, err
		}
		for _, r := range file.Readers(c.Readers) {
			all = append(all, &slowReader{r.(record.Resumer), k})
		}
	}
	return all, run, nil
}

// openLanes makes a feed for each lane, so that windows wait for each of them.
func (c *killCase) openLanes() (all []record.Reader, run func() error, err error) {
	var feeds []*readers.Feed[killEvent]
	for i := range killLanes {
		f, err := readers.NewFeed[killEvent](logSchema, readers.FeedConfig{Lanes: 4, LaneSlots: 64, Name: fmt.Sprint("feed", i)})
		if err != nil {
			return nil, nil, err
		}
		feeds, all = append(feeds, f), append(all, f)
	}
	send := func(i int) error {
		lane, from, err := feeds[i].Resume("lane")
		if err != nil {
			return err
		}
		for n := from; n < uint64(c.Records/killLanes); n++ {
			if n%50 == 0 {
				time.Sleep(200 * time.Microsecond)
			}
			if err := lane.SendAt(context.Background(), n, killEventOf(i, int64(n))); err != nil {
				return err
			}
		}
		feeds[i].End()
		return nil
	}
	return all, func() error {
		errs := make([]error, killLanes)
		var sending sync.WaitGroup
		for i := range killLanes {
			sending.Go(func() { errs[i] = send(i) })
		}
		sending.Wait()
		return errors.Join(errs...)
	}, nil
}

// config makes the configuration of a life.
func (c *killCase) config(k *killer) (cfg engine.Config, run func() error, err error) {
	schema := logSchema
	if c.Source == "generator" {
		schema = readers.GeneratorSchema
	}
	cfg = engine.Config{
		Partitions: c.Partitions, Cores: 2, NoPin: true, Exchange: c.Exchange, EpochInterval: time.Millisecond,
		BatchRows: 100,
	}
	cfg.Plan, err = query.Compile(c.Plan, schema)
	if err != nil {
		return cfg, nil, err
	}
	switch w := cfg.Plan.Window; {
	case c.Outbox != "":
		alterOutboxPlan(c.Outbox, cfg.Plan)
	case w != nil:
		w.OutOfOrder, w.Retain = 2*time.Second, 4000 // all windows are still there at the end
	}
	cfg.Readers, run, err = c.open(k)
	if err != nil {
		return cfg, nil, err
	}
	out := writers.FileConfig{Path: filepath.Join(c.Dir, "out", "out.csv")}
	if c.Sink == "rotated" {
		out = writers.FileConfig{Path: filepath.Join(c.Dir, "out", "out-{n}.csv"), RotateBytes: 4 << 10, FlushEvery: time.Millisecond}
	}
	if c.Sink != "" {
		f, err := writers.NewFile(out)
		if err != nil {
			return cfg, nil, err
		}
		cfg.Writer = &killSink{f, k}
		if c.Outbox != "" {
			cfg.Writer = &killTransactions{f, k}
		}
	}
	if c.State {
		s := engine.Dir(filepath.Join(c.Dir, "state"))
		s.Interval, s.Share, s.NoSync = c.Interval, 1, !c.Sync
		s.OpenBy(func(o state.Options) (*state.Folder, error) {
			return state.OpenFS(&watchedFS{state.OS(s.Path, o.NoSync), k.before, k.after}, o)
		})
		s.OnEvent = func(e engine.StateEvent) {
			if e.Kind == engine.Saved {
				k.at("saved")
			}
		}
		cfg.State = s
	}
	if c.Beside {
		return cfg, run, c.addBeside(&cfg, k)
	}
	return cfg, run, nil
}

// addBeside gives an engine another plan.
func (c *killCase) addBeside(cfg *engine.Config, k *killer) error {
	p, err := query.Compile(`SELECT at, w FROM log`, logSchema)
	if err != nil {
		return err
	}
	f, err := writers.NewFile(writers.FileConfig{Path: filepath.Join(c.Dir, "out", "beside", "all.csv")})
	if err != nil {
		return err
	}
	p.Name, cfg.Plan.Name = "beside", "main"
	cfg.Plans = []engine.PlanConfig{
		{Plan: cfg.Plan, Writer: cfg.Writer, Exchange: cfg.Exchange}, {Plan: p, Writer: &killTransactions{f, k}},
	}
	cfg.Plan, cfg.Writer, cfg.Exchange = nil, nil, 0
	if c.Swap {
		slices.Reverse(cfg.Plans)
	}
	return nil
}

// sameBeside says whether the file of the other plan has each record once.
func (c *killCase) sameBeside(records uint64) error {
	if !c.Beside {
		return nil
	}
	text, err := os.ReadFile(filepath.Join(c.Dir, "out", "beside", "all.csv"))
	if n := uint64(bytes.Count(text, []byte("\n"))); err == nil && n != records+1 {
		err = fmt.Errorf("the other plan has %d lines, expected %d and the names of the columns", n, records)
	}
	return err
}

// live is one life.
func (c *killCase) live(t *testing.T) killResult {
	cfg, run, err := c.config(&killer{point: c.Point, nth: int64(c.Nth)})
	if err != nil {
		t.Fatal(err)
	}
	e := start(t, cfg)
	if err := errors.Join(run(), e.Wait()); err != nil {
		t.Fatal(err)
	}
	all := e.Snapshot()
	defer all.Close()
	number := max(0, slices.IndexFunc(e.Plans(), func(p *plan.Plan) bool { return p.Name == "main" }))
	p, stats := e.Plans()[number], e.Stats()
	s, counters := all.Of(p), stats.Of(number).Counters()
	var groups []string
	if !p.PassesThrough() {
		groups = lines(t, s)
	}
	return killResult{
		Lines: groups, Records: s.Records(), Late: counters.Late, Quarantined: counters.Quarantined,
		Restored: e.Stats().State.Restored,
	}
}

// killEnv names the file with the case that a child process is to live.
const killEnv = "VELO_KILL_CASE"

// TestKillChild is what the processes do that TestKill kills.
func TestKillChild(t *testing.T) {
	path := os.Getenv(killEnv)
	if path == "" {
		t.Skip("it is run by TestKill")
	}
	text, err := os.ReadFile(path)
	c := &killCase{}
	if err == nil {
		err = json.Unmarshal(text, c)
	}
	if err != nil {
		t.Fatal(err)
	}
	text, err = json.Marshal(c.live(t))
	if err == nil {
		err = os.WriteFile(filepath.Join(c.Dir, "result"), text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// run has a child process live the case, and kills it after a while unless there is a point at
// which it kills itself. The result is nil if it was killed.
func (c *killCase) run(after time.Duration) (*killResult, error) {
	text, err := json.Marshal(c)
	file := filepath.Join(c.Dir, "case")
	if err == nil {
		err = os.WriteFile(file, text, 0o600)
	}
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	child := exec.Command(os.Args[0], "-test.run=^TestKillChild$", "-test.timeout=2m")
	child.Env = append(os.Environ(), killEnv+"="+file)
	child.Stdout, child.Stderr = &out, &out
	if err := child.Start(); err != nil {
		return nil, err
	}
	if after > 0 {
		kill := time.AfterFunc(after, func() { _ = child.Process.Kill() }) // it may have ended
		defer kill.Stop()
	}
	err = child.Wait()
	exit := (*exec.ExitError)(nil)
	switch {
	case errors.As(err, &exit) && exit.ExitCode() < 0 && !strings.Contains(out.String(), "panic"):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("%w\n%s", err, out.String())
	}
	text, err = os.ReadFile(filepath.Join(c.Dir, "result"))
	r := &killResult{}
	if err == nil {
		err = json.Unmarshal(text, r)
	}
	return r, err
}

// newKillCase draws a case.
func newKillCase(rng *rand.Rand) *killCase {
	c := &killCase{Records: 3 * (2000 + rng.IntN(10000)), Block: 1 << (12 + rng.IntN(3)), Seed: rng.Uint64()}
	c.Source = []string{"csv", "ndjson", "both", "lanes", "generator"}[rng.IntN(5)]
	if c.Source == "generator" {
		c.Records *= 20
		c.Plan = []string{
			`SELECT key, count(*) AS n, sum(value) AS s, min(value) AS lo FROM events GROUP BY key`,
			`SELECT count(DISTINCT key) AS d, approx_count_distinct(value) AS a FROM events`,
		}[rng.IntN(2)]
		return c
	}
	c.Beside = rng.IntN(3) == 0
	if rng.IntN(3) == 0 {
		names := slices.Sorted(maps.Keys(outboxPlans))
		c.Outbox = names[rng.IntN(len(names))]
		c.Plan, c.Sink = outboxText(c.Outbox), []string{"rotated", "single"}[rng.IntN(2)]
		return c
	}
	var names []string
	for name := range keptPlans {
		names = append(names, name)
	}
	slices.Sort(names)
	c.Plan = keptPlans[names[rng.IntN(len(names))]]
	if strings.Contains(c.Plan, "window_end") {
		c.Sink = []string{"rotated", "single", "rotated", ""}[rng.IntN(4)]
	}
	return c
}

// named are the complete files of a case's sink, and their texts.
func (c *killCase) named() (files map[string]string, err error) {
	files = map[string]string{}
	dir := filepath.Join(c.Dir, "out")
	names, err := os.ReadDir(dir)
	for _, n := range names {
		if filepath.Ext(n.Name()) == ".csv" {
			text, err := os.ReadFile(filepath.Join(dir, n.Name()))
			if err != nil {
				return nil, err
			}
			files[n.Name()] = string(text)
		}
	}
	return files, err
}

// output is what the sink has, with the rows sorted within each window. The error says that windows
// are out of order, or that one is in two files.
func (c *killCase) output() (rows []string, err error) {
	files, err := c.named()
	if err != nil {
		return nil, err
	}
	var names []string
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	// The sessions that are written together end at times of their own.
	sessions := strings.Contains(c.Plan, "session(")
	last, in, column := "", "", 0
	var window []string
	end := func() {
		slices.Sort(window)
		rows, window = append(rows, window...), nil
	}
	for _, name := range names {
		all := strings.Split(strings.TrimSuffix(files[name], "\n"), "\n")
		column = slices.Index(strings.Split(all[0], ","), "window_end")
		for _, row := range all[1:] {
			at := strings.Split(row, ",")[column]
			if sessions {
				at = last
			}
			switch {
			case at == last && in != name && !sessions:
				return nil, fmt.Errorf("the window that ends at %s is in %s and in %s", at, in, name)
			case at < last && len(at) == len(last):
				return nil, fmt.Errorf("%s: the window that ends at %s comes after that of %s", name, at, last)
			case at != last:
				end()
			}
			last, in = at, name
			window = append(window, row)
		}
	}
	end()
	return rows, nil
}

// rows are what all files of the sink have, in order, with a space between two values.
func (c *killCase) rows() (rows []string, err error) {
	files, err := c.named()
	if err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		all, err := csv.NewReader(strings.NewReader(files[name])).ReadAll()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		for _, row := range all[min(1, len(all)):] {
			for i, value := range row {
				if value == "" {
					row[i] = "NULL"
				}
			}
			rows = append(rows, strings.Join(row, " "))
		}
	}
	return rows, nil
}

// sameOutbox is same for a sink that takes transactions.
func (c *killCase) sameOutbox(got, want *killResult, rows []string) error {
	if got.Records != want.Records || got.Quarantined != 0 {
		return fmt.Errorf("%d records, %d quarantined, expected %d, 0", got.Records, got.Quarantined, want.Records)
	}
	if strings.HasPrefix(c.Outbox, "changes") && !slices.Equal(got.Lines, want.Lines) {
		return fmt.Errorf("%d groups, expected %d:\n%s", len(got.Lines), len(want.Lines), difference(got.Lines, want.Lines))
	}
	stray, err := c.stray()
	if err != nil || len(stray) > 0 {
		return errors.Join(err, fmt.Errorf("left over: %v", stray))
	}
	have, err := c.rows()
	if err != nil {
		return err
	}
	return checkLedger(c.Outbox, have, rows, got.Late, int(got.Records), got.Lines)
}

// stray are the files that should not be there after the end.
func (c *killCase) stray() (names []string, err error) {
	err = filepath.WalkDir(c.Dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		switch ext := filepath.Ext(path); {
		case ext == ".temp", ext == ".unfinished":
			names = append(names, path)
		}
		return nil
	})
	folder, err2 := state.Inspect(filepath.Join(c.Dir, "state"))
	if err := errors.Join(err, err2); err != nil {
		return nil, err
	}
	known := map[string]bool{"LOCK": true}
	for _, m := range folder.Generations() {
		known[fmt.Sprintf("generation-%08d.manifest", m.Generation)] = true
		for _, f := range m.Files() {
			known[f] = true
		}
	}
	if n := len(folder.Generations()); n > 2 {
		names = append(names, fmt.Sprintf("%d generations", n))
	}
	files, err := os.ReadDir(filepath.Join(c.Dir, "state"))
	for _, f := range files {
		if !known[f.Name()] {
			names = append(names, f.Name())
		}
	}
	return names, err
}

// same says how the end of a case differs from the end of an undisturbed run.
func (c *killCase) same(got, want *killResult, rows []string) error {
	if c.Outbox != "" {
		return c.sameOutbox(got, want, rows)
	}
	if got.Records != want.Records || got.Late != 0 || got.Quarantined != 0 {
		return fmt.Errorf("%d records, %d late, %d quarantined, expected %d, 0, 0", got.Records, got.Late, got.Quarantined, want.Records)
	}
	if !slices.Equal(got.Lines, want.Lines) {
		return fmt.Errorf("%d groups, expected %d:\n%s", len(got.Lines), len(want.Lines), difference(got.Lines, want.Lines))
	}
	stray, err := c.stray()
	if err != nil || len(stray) > 0 {
		return errors.Join(err, fmt.Errorf("left over: %v", stray))
	}
	if c.Sink == "" {
		return nil
	}
	have, err := c.output()
	if err == nil && !slices.Equal(have, rows) {
		err = fmt.Errorf("%d rows are written, expected %d:\n%s", len(have), len(rows), difference(have, rows))
	}
	return err
}

// unchanged says which of the files with names have changed since before, and adds those that are
// new.
func (c *killCase) unchanged(before map[string]string) error {
	files, err := c.named()
	if err != nil {
		return err
	}
	for name, text := range before {
		if files[name] != text {
			return fmt.Errorf("%s had its name and %d bytes, and has %d others now", name, len(text), len(files[name]))
		}
	}
	for name, text := range files {
		before[name] = text
	}
	return nil
}

// killCaseOf lives a case to its end. It returns how often it was killed.
func killCaseOf(dir string, seed uint64, points map[string]int) (kills int, what string, err error) {
	rng := rand.New(rand.NewPCG(seed, 23))
	c := newKillCase(rng)
	what = fmt.Sprintf("%s, sink %q, %d records, beside another plan: %v: %s", c.Source, c.Sink, c.Records, c.Beside, c.Plan)
	c.Dir, c.Readers, c.Partitions = filepath.Join(dir, "undisturbed"), 1, 1
	for _, d := range []string{c.Dir, dir} {
		if err := os.MkdirAll(filepath.Join(d, "out", "beside"), 0o700); err != nil {
			return 0, what, err
		}
	}
	if err := c.writeFiles(); err != nil {
		return 0, what, err
	}
	want, err := c.run(0)
	if err == nil && (want == nil || want.Records != uint64(c.Records/killLanes*killLanes)) {
		err = fmt.Errorf("the undisturbed run has %+v", want)
	}
	if err != nil {
		return 0, what, err
	}
	read := c.output
	if c.Outbox != "" {
		read = c.rows
	}
	rows, err := read()
	if err != nil {
		return 0, what, err
	}
	if c.Outbox != "" {
		slices.Sort(rows)
	}
	undisturbed := c.Dir
	c.Dir = filepath.Join(dir, "killed")
	if err := os.Rename(undisturbed, c.Dir); err != nil {
		return 0, what, err
	}
	if err := os.RemoveAll(filepath.Join(c.Dir, "out")); err != nil {
		return 0, what, err
	}
	if err := os.MkdirAll(filepath.Join(c.Dir, "out", "beside"), 0o700); err != nil {
		return 0, what, err
	}
	c.State = true
	named := map[string]string{}
	for life, ended := 0, 0; ended < 2; life++ {
		c.Readers, c.Partitions, c.Exchange = 1+rng.IntN(3), 1+rng.IntN(3), plan.Exchange(rng.IntN(4))
		c.Swap = rng.IntN(2) == 0
		c.Interval, c.Sync = time.Duration(5+rng.IntN(45))*time.Millisecond, rng.IntN(3) == 0
		c.Point, c.Nth = "", 0
		after := time.Duration(20+rng.IntN(150)) * time.Millisecond
		switch {
		case life > 25 || ended > 0:
			after = 0
		case rng.IntN(2) == 0:
			c.Point, c.Nth = killPoints[rng.IntN(len(killPoints))], 1+rng.IntN(4)
			after = 0
			if rng.IntN(4) == 0 {
				c.Nth *= 5
			}
		}
		got, err := c.run(after)
		if err == nil {
			err = c.unchanged(named)
		}
		switch {
		case err != nil:
			return kills, what, fmt.Errorf("life %d, point %q: %w", life, c.Point, err)
		case got == nil:
			kills++
			if c.Point != "" {
				points[c.Point]++
			} else {
				points["a random moment"]++
			}
			continue
		}
		// It has come to its end. A second start has nothing to do, and changes nothing.
		ended++
		if err := errors.Join(c.same(got, want, rows), c.sameBeside(got.Records)); err != nil {
			return kills, what, fmt.Errorf("life %d, after %d kills: %w", life, kills, err)
		}
	}
	return kills, what, nil
}

// Goal: a process that is killed at any moment goes on to the same result as one that is not: the
// same groups, the same records, each window written once, and no file with a name changed.
// Method: jobs with random plans, sources and sinks are child processes that are killed at random
// moments and at named points of saving, writing and restoring. Each life has another number of
// readers and partitions. At the end everything is compared with an undisturbed run.
//
// KILLS=n kills n times (make kill: 1000). VELO_SEED=n repeats one case; moments that are random
// differ then.
func TestKill(t *testing.T) {
	kills := 60
	if s := os.Getenv("KILLS"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		kills = n
	} else if testing.Short() {
		t.Skip("it starts many processes")
	}
	seed, one := rand.Uint64(), false
	if s := os.Getenv("VELO_SEED"); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		seed, one = n, true
	}
	var (
		mu     sync.Mutex
		cases  int
		killed int
		points = map[string]int{}
		work   sync.WaitGroup
	)
	dir := t.TempDir()
	// next says whether there is another case, and its seed.
	next := func() (uint64, bool) {
		mu.Lock()
		defer mu.Unlock()
		if killed >= kills || t.Failed() || one && cases > 0 {
			return 0, false
		}
		cases++
		return seed + uint64(cases-1), true
	}
	for range 3 {
		work.Go(func() {
			for seed, ok := next(); ok; seed, ok = next() {
				at := map[string]int{}
				n, what, err := killCaseOf(filepath.Join(dir, fmt.Sprint(seed)), seed, at)
				if err != nil {
					t.Errorf("%s\n%v\nrepeat with: VELO_SEED=%d go test -run 'TestKill$' ./engine", what, err, seed)
					return
				}
				_ = os.RemoveAll(filepath.Join(dir, fmt.Sprint(seed))) // or when the test ends
				mu.Lock()
				killed += n
				for p, n := range at {
					points[p] += n
				}
				mu.Unlock()
			}
		})
	}
	work.Wait()
	t.Logf("%d kills in %d cases, at %d of %d named points, %d at random moments", killed, cases,
		len(points)-min(1, points["a random moment"]), len(killPoints), points["a random moment"])
}
