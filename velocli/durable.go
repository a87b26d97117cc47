package velocli

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/internal/cli"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/query"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/state"
)

// durability says where a job keeps its state, so that it survives a restart.
type durability struct {
	State      string        `help:"Keep the state there, and go on from it after a restart." placeholder:"DIR"`
	Checkpoint time.Duration `help:"How often the state is saved; ${checkpoint} without it." placeholder:"TIME"`
	Fresh      bool          `help:"Begin anew this once; the old state is put aside."`
	Takeover   bool          `help:"Go on this once with a copy of a state."`
	NewQuery   []string      `help:"Have a query begin that the state does not have." placeholder:"NAME"`
	DropQuery  []string      `help:"Give up, this once, the groups of a query." placeholder:"NAME"`
	// These two are for a state and a sink that do not fit together any more.
	SkipOutputTo map[string]uint64 `help:"Leave a sink as it is, this once; the error says N." placeholder:"NAME=N"`
	RepeatOutput []string          `help:"Write once more, this once, what only the sink has." placeholder:"NAME"`

	// anyNew and anyDropped are NewQuery and DropQuery with all names; a query of the job is
	// dropped only by its name.
	anyNew, anyDropped bool
}

// folderOfSelect is the folder of a SELECT without a sink.
const folderOfSelect = "select"

// checkState reports what is wrong with the options, and the queries whose state cannot be kept.
func (d *durability) checkState(job *query.Job) error {
	if d.State == "" {
		if d.Checkpoint != 0 || d.Fresh || d.Takeover ||
			len(d.SkipOutputTo)+len(d.RepeatOutput)+len(d.NewQuery)+len(d.DropQuery) > 0 {
			return cli.Misusef("--checkpoint, --fresh, --takeover, --new-query, --drop-query, --skip-output-to and " +
				"--repeat-output are for a job that keeps its state: --state DIR")
		}
		return nil
	}
	faults := []error{d.checkNamed(job)}
	if d.Checkpoint < 0 {
		faults = append(faults, cli.Misusef("--checkpoint %v: expected more than 0", d.Checkpoint))
	}
	for _, o := range job.Outputs {
		if why := cutFault(o.Plan); o.Plan.From != nil && why != nil {
			faults = append(faults, fmt.Errorf(
				"%s: --state: a query over the result of another keeps no state unless it can be computed from the "+
					"groups of the other at any time: %w. Put it into a job of its own, without --state",
				nameOf(o), why))
		}
		if p := o.Plan; o.Plan.From == nil && p.PassesThrough() && (len(p.OrderBy) > 0 || p.Limit != nil) {
			faults = append(faults, fmt.Errorf("%s: --state: the query passes records through in an order, or up to a "+
				"limit, and would not go on where it was: put it into a job of its own, without --state", nameOf(o)))
		}
	}
	return errors.Join(faults...)
}

// resumable says whether all readers of a source can be gone on with after a restart. The error
// says that one would be read again from its beginning, and its records counted twice.
func (in *ingest) resumable(rs []record.Reader) (bool, error) {
	for i, r := range rs {
		if _, ok := r.(record.Resumer); ok {
			continue
		}
		if in.feed.once != "" {
			return false, nil
		}
		return false, fmt.Errorf("--state: %s would be read from its beginning again after a restart, and counted "+
			"twice: make it a plain file, or leave --state out", in.feed.files.sources[i])
	}
	return true, nil
}

// guarantee says in words what a restart does to a query.
func (f *flow) guarantee() string {
	again := ""
	_, commits := f.writer.(record.Committer)
	_, transacts := f.writer.(record.Transactional)
	switch {
	case f.view:
	case transacts && f.plan.NeedsTransactions():
		if f.resumes {
			return "exactly once: rows are written with each checkpoint"
		}
	case f.plan.PassesThrough():
		again = "records after the last checkpoint are written again"
	case f.plan.Emit == plan.EmitChanges:
		again = "changes after the last checkpoint are written again"
	case f.plan.Window != nil && !commits:
		again = "windows after the last checkpoint are written again"
	case f.plan.Window != nil && !f.plan.Window.Repeatable():
		again = "a record after the last checkpoint may be in two windows"
	}
	switch {
	case !f.resumes && again != "":
		return "the state survives; what had been read after the last checkpoint is lost, and " + again
	case !f.resumes:
		return "the state survives; what had been read after the last checkpoint is lost"
	case again != "":
		return "at least once: " + again
	case f.atEnd:
		return "exactly once: the result is written when the input has come to its end"
	}
	return "exactly once"
}

// sayState says what is guaranteed and where the query goes on.
func (f *flow) sayState() {
	say := func(format string, args ...any) {
		note(f.kept.say, "velo: "+f.name+": "+fmt.Sprintf(format, args...))
	}
	note(f.kept.say, fmt.Sprintf("velo: %s -> %s: %s", f.feed.name, f.name, f.guarantee()))
	if f.began.Restored == 0 {
		say("begins anew in %s", f.state.Path)
		return
	}
	if f.number == 0 {
		f.sayFolder()
	}
	if f.state.lacks(f.name) || slices.Contains(f.state.DroppedPlans, f.name) {
		say("begins with the records after generation %d, without what came before", f.began.Restored)
		return
	}
	snap, end := f.snapshot()
	defer end()
	say("goes on at generation %d (%s old, %s groups)", f.began.Restored, age(time.Since(f.began.Saved)),
		thousands(snap.Len()))
}

// sayFolder says what is remarkable about the folder that several queries go on with.
func (in *ingest) sayFolder() {
	say := in.flows[0].kept.say
	if in.began.Passed != nil {
		note(say, fmt.Sprintf("velo: %s: %v", in.names(), in.began.Passed))
	}
	for _, name := range in.state.DroppedPlans {
		note(say, fmt.Sprintf("velo: %s: the %s groups of %s are given up", in.feed.name,
			thousands(in.state.groups[name]), name))
	}
	if in.alone {
		note(say, fmt.Sprintf("velo: %s: has a folder of its own, as earlier versions made it, so each query reads %s "+
			"for itself; --fresh begins anew with one folder for all of them", in.names(), in.feed.name))
	}
}

// onState tells the user when the state cannot be saved, and when it can again.
func (in *ingest) onState() func(engine.StateEvent) {
	failing, say, names := false, in.flows[0].kept.say, in.names()
	return func(ev engine.StateEvent) {
		switch {
		case ev.Kind == engine.SaveFailed && !failing:
			failing = true
			note(say, fmt.Sprintf("velo: %s: the state cannot be saved: %v; it is tried again", names, ev.Err))
		case ev.Kind == engine.Saved && failing:
			failing = false
			note(say, fmt.Sprintf("velo: %s: the state is saved again: generation %d", names, ev.Generation))
		case ev.Kind == engine.WriterHangs:
			note(say, fmt.Sprintf("velo: %s: %v", names, ev.Err))
		case ev.Kind == engine.WriterReturned:
			note(say, fmt.Sprintf("velo: %s: the writer of %s has returned after %v", names, ev.Plan,
				ev.Duration.Round(time.Second)))
		}
	}
}

// goesOn says whether a flow that has ended goes on when it is run again: it keeps its state, and
// had not come to the end of its input. Its result is not complete, and is not written yet.
func (f *flow) goesOn() bool {
	return f.state != nil && (f.early || cutShort(f.engine))
}

// age is a time in words that is at least a second exact.
func age(d time.Duration) string {
	d = max(d, 0)
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", d/time.Second)
	case d < 48*time.Hour:
		return strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
	}
	return fmt.Sprintf("%d days", d/(24*time.Hour))
}

// thousands is a number with commas.
func thousands[T int | int64 | uint64](n T) string {
	s := strconv.FormatUint(uint64(n), 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// committed is a kept writer that goes on after a restart.
type committed struct {
	*kept
	to record.Committer
}

// Recover notes the last window that had been written.
func (c *committed) Recover(ctx context.Context, job string, saved []byte) (window int64, err error) {
	c.ended, err = c.to.Recover(ctx, job, saved)
	return c.ended, err
}

// EndWindow notes the last window.
func (c *committed) EndWindow(ctx context.Context, window int64) error {
	err := c.to.EndWindow(ctx, window)
	if err == nil && window != math.MaxInt64 {
		c.ended = window
	}
	c.saysRetry(err)
	return err
}

// Save passes on.
func (c *committed) Save(ctx context.Context) ([]byte, error) { return c.to.Save(ctx) }

// transacted is a kept writer that takes transactions.
type transacted struct {
	*kept
	to record.Transactional
}

// RecoverOutput passes on.
func (t *transacted) RecoverOutput(ctx context.Context, job string) (number uint64, err error) {
	return t.to.RecoverOutput(ctx, job)
}

// Commit notes that something has been written.
func (t *transacted) Commit(ctx context.Context, number uint64, rows iter.Seq[*record.Batch], complete bool) error {
	err := t.to.Commit(ctx, number, rows, complete)
	t.begun = t.begun || err == nil
	t.saysRetry(err)
	return err
}

// stateHint adds the options of the program to an error about a state.
func stateHint(err error) error {
	var of *engine.PlanError
	switch {
	case errors.Is(err, state.ErrCopied):
		return fmt.Errorf("%w\n--takeover goes on with it, --fresh begins anew and puts it aside", err)
	case errors.Is(err, engine.ErrOtherPlan) && errors.As(err, &of):
		return fmt.Errorf("%w\n--drop-query %[2]s --new-query %[2]s begins %[2]s anew, and the others go on; --fresh "+
			"begins all anew, and puts the old state aside", err, of.Plan.Name)
	case errors.Is(err, state.ErrNoManifest), errors.Is(err, engine.ErrOtherPlan), errors.Is(err, engine.ErrLostSplit),
		errors.Is(err, engine.ErrFinished):
		return fmt.Errorf("%w\n--fresh begins anew, and puts the old state aside", err)
	case errors.Is(err, engine.ErrOutput):
		return fmt.Errorf("%w\n--repeat-output NAME and --skip-output-to NAME=N are for one start, and for the query "+
			"of that name; --fresh begins anew, and puts the old state aside", err)
	}
	return err
}
