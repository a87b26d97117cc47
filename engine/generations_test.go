package engine_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/internal/golden"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/readers"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/state"
	"github.com/velo-engine/velo/writers"
)

// savedPlans are the plans of testdata/generations. Each has another part of the format.
var savedPlans = map[string]string{
	"keyed": `SELECT k, count(*) AS n, sum(v) AS s, avg(v) AS a, min(w) AS lo, max(w) AS hi, var_pop(v) AS d FROM log
		GROUP BY k`,
	"windows": `SELECT window_end, host, count(*) AS n, min(note) AS lo, max(note) AS hi FROM log
		GROUP BY host, tumble(at, INTERVAL '1 s')`,
	"blocks": `SELECT k % 2 AS k, count(DISTINCT v) AS d, count(DISTINCT note) AS t, approx_count_distinct(note) AS a,
		approx_percentile(v, 0.9) AS p, min_by(note, v) AS b FROM log GROUP BY k % 2`,
	"exact": `SELECT k % 3 AS k, percentile_cont(0.3) WITHIN GROUP (ORDER BY v) AS c,
		percentile_disc(0.7) WITHIN GROUP (ORDER BY note) AS d, median(w) AS m, mode(note) AS o,
		string_agg(note, '/' ORDER BY v DESC, note) AS s, string_agg(DISTINCT note, ',' ORDER BY note) AS u,
		array_agg(v ORDER BY at DESC, v) AS l, count(DISTINCT note) AS n, count(DISTINCT host) AS h,
		sum(DISTINCT v) AS e FROM log GROUP BY k % 3`,
	// Sums of pairs depend on the order of the records in their last digits.
	"pairs": `SELECT host, round(corr(v, w), 9) AS c, round(covar_pop(v, w), 6) AS p, round(covar_samp(w, v), 6) AS q,
		round(regr_slope(v, w), 9) AS r, round(regr_intercept(v, w), 6) AS i, regr_count(v, w) AS n,
		min_by(note, v) AS lo, max_by(note, v) AS hi, arg_max(w, v) AS x FROM log GROUP BY host`,
	"file": `SELECT host, count(*) AS n, sum(v) AS s FROM log GROUP BY host`,
}

const (
	savedSplits, savedRows = 3, 60
	// savedUntil is how many records of each split a generation has, and savedBatches how many
	// batches of the file.
	savedUntil, savedBatches = 40, 2
)

// A savedCase is an engine over the input of a folder of testdata/generations.
type savedCase struct {
	name    string
	readers int
	until   int64 // records of each split that are there
	// Readers of the file stop after savedBatches, as if nothing more had come, unless whole is
	// set.
	whole bool
	held  sync.WaitGroup // readers of the file that have not stopped yet
	base  uint64         // records that a generation had before readers of the file lent any
	lent  atomic.Uint64  // Statistic: records that readers of the file have lent in all lives
}

// config is the configuration, without a State.
func (c *savedCase) config(t *testing.T) engine.Config {
	t.Helper()
	cfg := engine.Config{
		Plan: keptPlan(t, savedPlans[c.name]), NoPin: true, Cores: 2, EpochInterval: time.Millisecond, BatchRows: 10,
	}
	if cfg.Plan.Window != nil {
		cfg.Plan.Window.Retain = 1000
		cfg.Writer = writers.Func(func(context.Context, *record.Batch) error { return nil })
	}
	if c.name == "file" {
		// The path is part of the state, so it is the same on every machine.
		f, err := readers.OpenDelimited(
			"in.csv", readers.DelimitedConfig{Schema: logSchema, Header: true, BlockBytes: 1 << 10})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range f.Readers(c.readers) {
			c.held.Add(1)
			cfg.Readers = append(cfg.Readers, &heldReader{Resumer: r.(record.Resumer), of: c})
		}
		return cfg
	}
	l := &splitLog{splits: savedSplits, rows: savedRows}
	l.until.Store(c.until)
	for i := range c.readers {
		cfg.Readers = append(cfg.Readers, l.reader(i, c.readers))
	}
	return cfg
}

// A heldReader stops after some batches.
type heldReader struct {
	record.Resumer
	of      *savedCase
	batches int
}

func (r *heldReader) Read(ctx context.Context, b *record.Batch) error {
	if r.batches == savedBatches && !r.of.whole {
		r.of.held.Done()
		<-ctx.Done()
		return ctx.Err()
	}
	r.batches++
	err := r.Resumer.Read(ctx, b)
	r.of.lent.Add(uint64(b.Len()))
	return err
}

// all is the result over all of the input.
func (c *savedCase) all(t *testing.T) []string {
	t.Helper()
	whole := savedCase{name: c.name, readers: 1, until: savedRows, whole: true}
	cfg := whole.config(t)
	cfg.Partitions = 1
	e := start(t, cfg)
	if err := e.Wait(); err != nil {
		t.Fatal(err)
	}
	s := e.Snapshot()
	defer s.Close()
	return lines(t, s)
}

// write makes a generation of a part of the input, and returns its rows.
func (c *savedCase) write(t *testing.T, dir string) []string {
	t.Helper()
	part := savedCase{name: c.name, readers: 2, until: savedUntil}
	cfg := part.config(t)
	cfg.Partitions, cfg.State = 2, engine.Dir(dir)
	e := start(t, cfg)
	part.wait(t, e)
	if err := e.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := e.Snapshot()
	rows := lines(t, s)
	s.Close()
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	return rows
}

// wait waits until the engine has what is there.
func (c *savedCase) wait(t *testing.T, e *engine.Engine) {
	t.Helper()
	if c.name != "file" {
		waitRecords(t, e, uint64(savedSplits*c.until))
		return
	}
	// What a reader has lent may still be on its way to the groups when it stops.
	c.held.Wait()
	waitRecords(t, e, c.base+c.lent.Load())
}

// writeSavedInput writes the file of the case with a file.
func writeSavedInput(path string) error {
	var text strings.Builder
	text.WriteString("k,host,v,w,at,note\n")
	for seq := range savedSplits * savedRows {
		fmt.Fprintf(&text, "%d,host-%d,%d,%d,%s,note %d\n", seq%7, seq*seq%11, seq*37%1000-500, seq%10,
			time.Unix(1772442000, int64(seq)*1e7).UTC().Format(time.RFC3339Nano), seq%13)
	}
	return os.WriteFile(path, []byte(text.String()), 0o644)
}

// Goal: a state that this version of the format has saved can be gone on with for good. Method: a
// generation of each part of the format lies in testdata/generations, below the number of the
// format. It is restored and its rows are compared. Then the engine goes on with the rest of the
// input, saves, and is restored again, with 1, 3 and 2 readers and partitions; at the end the rows
// are those of a run without any state. What is saved now has the same form.
//
// If it fails, Format of package state has to be greater, and -rewrite makes the generations of the
// new format. -rewrite never changes one that is there.
func TestGoldenGenerations(t *testing.T) {
	root, err := filepath.Abs("testdata/generations")
	if err != nil {
		t.Fatal(err)
	}
	for name := range savedPlans {
		dir := filepath.Join(root, fmt.Sprint(state.Format), name)
		_, err := os.Stat(dir)
		switch {
		case errors.Is(err, fs.ErrNotExist) && golden.Rewriting():
			makeGeneration(t, name, dir)
		case err != nil:
			t.Fatalf("format %d has no generation %s: %v; -rewrite makes it", state.Format, name, err)
		}
	}
	dirs, err := filepath.Glob(filepath.Join(root, "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range dirs {
		t.Run(filepath.Base(filepath.Dir(dir))+"/"+filepath.Base(dir), func(t *testing.T) { checkGeneration(t, dir) })
	}
}

// makeGeneration makes a folder of testdata/generations.
func makeGeneration(t *testing.T, name, dir string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	if err := writeSavedInput("in.csv"); err != nil {
		t.Fatal(err)
	}
	c := savedCase{name: name}
	rows := c.write(t, "state")
	if name != "file" {
		_ = os.Remove("in.csv")
	}
	// Only the newest generation is needed. The lock is of this process.
	f, err := state.Inspect("state")
	if err != nil {
		t.Fatal(err)
	}
	names, err := os.ReadDir("state")
	if err != nil {
		t.Fatal(err)
	}
	keep := append(f.Newest.Files(), fmt.Sprintf("generation-%08d.manifest", f.Newest.Generation))
	for _, e := range names {
		if !slices.Contains(keep, e.Name()) {
			if err := os.Remove(filepath.Join("state", e.Name())); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := os.WriteFile("rows.txt", []byte(strings.Join(rows, "\n")+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
}

// checkGeneration restores a folder of testdata/generations, and goes on.
func checkGeneration(t *testing.T, from string) {
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	text, err := os.ReadFile("rows.txt")
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	c := savedCase{name: filepath.Base(from)}
	all := c.all(t)
	if slices.Equal(want, all) {
		t.Fatal("the generation has all of the input: it shows nothing of positions")
	}
	saved, err := engine.ReadState("state", keptPlan(t, savedPlans[c.name]))
	if err != nil {
		t.Fatal(err)
	}
	c.base = saved.Records()
	var got []string
	for b := range saved.Batches(100) {
		got = append(got, linesOf(b)...)
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Fatalf("the rows are\n%s", difference(got, want))
	}
	checkForm(t, &c)
	shapes := []int{1, 3, 2}
	for life, n := range shapes {
		c.readers = n
		c.until = savedUntil + (savedRows-savedUntil)*int64(life+1)/int64(len(shapes))
		c.whole = life == len(shapes)-1
		cfg := c.config(t)
		cfg.Partitions, cfg.State, cfg.Exchange = n, engine.Dir("state"), plan.Exchange(life)
		cfg.State.Takeover, cfg.State.NoSync = life == 0, true
		if life == 0 {
			cfg.EpochInterval = -1 // no epoch with new records takes the place of the restored one
		}
		e := start(t, cfg)
		if life == 0 {
			s := e.Snapshot()
			if got := lines(t, s); !slices.Equal(got, want) {
				t.Fatalf("the first snapshot has\n%s", difference(got, want))
			}
			s.Close()
		}
		if life == len(shapes)-1 {
			if err := e.Wait(); err != nil {
				t.Fatal(err)
			}
			s := e.Snapshot()
			if got := lines(t, s); !slices.Equal(got, all) {
				t.Fatalf("at the end there are\n%s", difference(got, all))
			}
			s.Close()
			return
		}
		c.wait(t, e)
		if err := e.Checkpoint(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// checkForm compares the form of the manifest at hand with one that is made now. Generations of
// older formats have other forms.
func checkForm(t *testing.T, c *savedCase) {
	t.Helper()
	form := func(dir string) (*state.Manifest, []string) {
		f, err := state.Inspect(dir)
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(filepath.Join(dir, fmt.Sprintf("generation-%08d.manifest", f.Newest.Generation)))
		if err != nil {
			t.Fatal(err)
		}
		_, body, _ := bytes.Cut(text, []byte("\n"))
		var tree any
		if err := json.Unmarshal(body, &tree); err != nil {
			t.Fatal(err)
		}
		fields := map[string]bool{}
		addFields(fields, "", tree)
		return f.Newest, slices.Sorted(maps.Keys(fields))
	}
	old, oldFields := form("state")
	if old.Format != state.Format {
		return
	}
	c.write(t, "now")
	now, nowFields := form("now")
	if !slices.Equal(nowFields, oldFields) {
		t.Errorf("the manifest has other fields:\n%s", difference(nowFields, oldFields))
	}
	if now.Plans[0].RowBytes != old.Plans[0].RowBytes || now.Plans[0].KeyWords != old.Plans[0].KeyWords ||
		now.Plans[0].StateWords != old.Plans[0].StateWords || now.Groups() != old.Groups() {
		t.Errorf("%d groups of %d bytes, %d words of key and %d of states; expected %d, %d, %d, %d", now.Groups(),
			now.Plans[0].RowBytes, now.Plans[0].KeyWords, now.Plans[0].StateWords, old.Groups(), old.Plans[0].RowBytes,
			old.Plans[0].KeyWords, old.Plans[0].StateWords)
	}
}

// addFields adds the paths of the fields of a tree of JSON.
func addFields(to map[string]bool, path string, tree any) {
	switch x := tree.(type) {
	case map[string]any:
		for name, field := range x {
			addFields(to, path+"."+name, field)
		}
	case []any:
		for _, field := range x {
			addFields(to, path+"[]", field)
		}
	default:
		if strings.HasSuffix(path, ".at") {
			return // a part at the beginning of its segment has none, and all rows may be in one partition
		}
		to[fmt.Sprintf("%s %T", path, tree)] = true
	}
}
