package engine

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"time"

	"github.com/velo-engine/velo/core"
	"github.com/velo-engine/velo/core/table"
	"github.com/velo-engine/velo/core/window"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/result"
	"github.com/velo-engine/velo/state"
)

// check says whether the engine's plans can go on with the newest generation.
func (k *keeper) check() error {
	m := k.folder.Newest
	if m == nil {
		return nil
	}
	if err := k.match(m); err != nil {
		return err
	}
	var faults []error
	for _, b := range k.engine.branches() {
		saved, ok := k.saves[b]
		if !ok {
			continue
		}
		// Each pane has memory for several tables.
		tables := int64(b.state.Tables())
		err := checkPlan(m, saved.Plan, b.cfg.Plan)
		if err == nil && saved.Bytes() > int64(b.cfg.StateBytes)/tables {
			err = fmt.Errorf("generation %d has %d MiB of groups, and %d times as much is needed; StateBytes is %d MiB",
				m.Generation, saved.Bytes()>>20, tables, b.cfg.StateBytes>>20)
		}
		if err != nil && len(k.engine.branches()) > 1 {
			err = &PlanError{b.id, b.cfg.Plan, err}
		}
		faults = append(faults, err)
	}
	return errors.Join(faults...)
}

// match finds the plans of the engine in a generation, by their names. A single plan is the
// single plan of before, whatever its name is.
func (k *keeper) match(m *state.Manifest) error {
	plans := k.engine.branches()
	drops := func(name string) bool { return slices.Contains(k.state.DroppedPlans, name) }
	if len(plans) == 1 && len(m.Plans) == 1 && !drops(m.Plans[0].Name) {
		k.saves[plans[0]] = savedPlan{0, &m.Plans[0]}
		return nil
	}
	var faults []error
	taken := map[string]bool{}
	for _, b := range plans {
		name := nameOf(b.cfg.Plan)
		i := slices.IndexFunc(m.Plans, func(p state.Plan) bool { return p.Name == name })
		switch {
		case i >= 0 && !drops(name):
			k.saves[b] = savedPlan{i, &m.Plans[i]}
			taken[name] = true
		case !slices.Contains(k.state.NewPlans, name):
			faults = append(faults, fmt.Errorf("%w: plan %s is not in it: have it begin without history, with the "+
				"records after epoch %d (NewPlans), or begin anew with fresh", ErrOtherPlan, name, m.Epoch))
		}
	}
	for i := range m.Plans {
		p := &m.Plans[i]
		switch {
		case taken[p.Name]:
		case drops(p.Name):
			faults = append(faults, k.undelivered(m.Generation, p, "plan "+p.Name+" does not go on"))
		default:
			faults = append(faults, fmt.Errorf("%w: it has plan %s, which the engine does not run: run it, or give "+
				"its groups up (DroppedPlans), or begin anew with fresh", ErrOtherPlan, p.Name))
		}
	}
	return errors.Join(faults...)
}

// planIn finds a plan of the newest generation in an older one; it is nil if that has it not.
func (k *keeper) planIn(old *state.Manifest, p *state.Plan) *state.Plan {
	if len(old.Plans) == 1 && len(k.folder.Newest.Plans) == 1 {
		return &old.Plans[0]
	}
	i := slices.IndexFunc(old.Plans, func(o state.Plan) bool { return o.Name == p.Name })
	if i < 0 {
		return nil
	}
	return &old.Plans[i]
}

// checkPlan says whether a plan can go on with the groups of a generation.
func checkPlan(m *state.Manifest, saved *state.Plan, p *plan.Plan) error {
	if err := otherPlan(saved.Print, fingerprint(p)); err != nil {
		return err
	}
	l, err := p.Layout()
	if err != nil {
		return err
	}
	if saved.KeyWords != l.Keys.Words() || saved.StateWords != len(l.Init) ||
		saved.RowBytes != 8*table.RowWords(l.Keys.Words()+len(l.Init)) {
		return fmt.Errorf("generation %d was written by velo %s, whose groups have another form (%d words of key and "+
			"%d of states, this velo has %d and %d): go on with that velo, or begin anew with fresh", m.Generation,
			m.Velo, saved.KeyWords, saved.StateWords, l.Keys.Words(), len(l.Init))
	}
	return nil
}

// restore has everything begin with the newest generation. It is called after everything is built
// and before anything runs. Without a generation it makes the first one: where everything stood
// before the first record.
func (k *keeper) restore() error {
	m, e := k.folder.Newest, k.engine
	if m != nil {
		for _, b := range e.branches() {
			b.cuts.Begin(m.Epoch)
			if saved, ok := k.saves[b]; ok {
				b.restoreTime(saved.Plan)
			}
		}
		k.leftover = m.Positions()
	}
	for _, b := range e.branches() {
		if err := k.recoverWriter(b, m); err != nil {
			return fmt.Errorf("%w%s", err, b.ofPlan())
		}
	}
	if err := k.resumeReaders(m); err != nil {
		return err
	}
	if m == nil {
		_, _, err := k.write(false)
		if err != nil {
			return fmt.Errorf("the first generation: %w", err)
		}
		k.mu.Lock() // watch reads them
		k.noteSaved(k.folder.Newest)
		k.mu.Unlock()
		k.saved = k.now()
		return nil
	}
	for _, b := range e.branches() {
		if err := k.restorePlan(b, m); err != nil {
			return fmt.Errorf("%w%s", err, b.ofPlan())
		}
	}
	k.mu.Lock() // watch reads them
	k.stats.Generation, k.stats.Epoch, k.stats.Bytes, k.stats.Saved = m.Generation, m.Epoch, m.Bytes(), m.Time
	k.stats.Restored, k.stats.RestoredSaved, k.stats.Passed = m.Generation, m.Time, k.folder.Passed
	k.mu.Unlock()
	k.saved = k.now()
	if m.Finished {
		k.saved.ended = len(e.cfg.Readers)
	}
	if k.state.Takeover || len(m.Plans) != len(e.branches()) || len(k.saves) != len(e.branches()) {
		k.saved.ended = -1 // the next generation says that the folder is no copy any more, and has the plans of now
	}
	return nil
}

// restorePlan has the partitions of a plan load its groups and show them, and its routers and its
// output go on. A plan without history begins with no groups.
func (k *keeper) restorePlan(b *branch, m *state.Manifest) error {
	e := k.engine
	counters := make([]result.Counters, len(e.cfg.Readers))
	if saved, ok := k.saves[b]; ok {
		if err := loadGroups(k.folder, m, saved.Plan, b.partitions); err != nil {
			return err
		}
		b.restored = uint64(saved.Plan.Groups())
		for i, r := range m.Readers {
			counters[i%len(counters)].Add(countersByName(r.Plans[saved.i].Counters))
		}
	}
	for i, in := range e.inlets.all() {
		f, _ := in.to(b)
		f.router.Join(m.Epoch, m.Epoch)
		f.router.Resume(counters[i])
	}
	for _, p := range b.partitions {
		if err := p.Show(counters); err != nil {
			return err
		}
	}
	if b.output == nil {
		return nil
	}
	return b.output.resume()
}

// restoreTime has windows go on where they were. Time that passes by itself does not go back, even
// if the clock has.
func (b *branch) restoreTime(saved *state.Plan) {
	if saved.Closed < window.MaxTime {
		b.cuts.Origin = max(b.cuts.Origin, saved.Closed)
	}
	for _, p := range b.partitions {
		p.Begin(saved.Closed, saved.Oldest)
	}
	if b.output != nil && b.cfg.Plan.Window != nil {
		// An engine without a writer has given no window away, and closed windows may be gone.
		b.output.from = min(saved.Written, saved.Closed)
		b.cuts.Written(b.output.from)
	}
}

// recoverWriter has the writer of a plan go on where it stopped, if it can.
func (k *keeper) recoverWriter(b *branch, m *state.Manifest) error {
	saved := k.saves[b].Plan
	o := b.output
	if o != nil {
		if err := k.recoverSink(o, saved); err != nil {
			return err
		}
	}
	switch {
	case o != nil && o.box != nil:
		return k.recoverOutbox(o, m, saved)
	case saved != nil:
		return k.undelivered(m.Generation, saved, "the writer has none")
	}
	return nil
}

// recoverSink has the writer go on where it stopped, if it can, and finds out which windows it has.
// saved is nil if there is no state of the plan.
func (k *keeper) recoverSink(o *output, saved *state.Plan) error {
	if o.committer() == nil {
		return nil
	}
	var sink []byte
	if saved != nil {
		sink = saved.Sink
	}
	found := make(chan int64, 1) // not a variable, because a call may return later
	err := o.goOn("Recover", func() error {
		has, err := o.committer().Recover(o.ctx, k.folder.Job, sink)
		found <- has
		return err
	})
	if err != nil {
		return err
	}
	has := max(<-found, -window.MaxTime)
	if sink == nil {
		return nil
	}
	if has < o.from {
		return fmt.Errorf("writer: windows up to %v were written when the state was saved, and it has those up to %v: "+
			"put back what it had, or begin anew with fresh", time.Unix(0, o.from).UTC(), time.Unix(0, has).UTC())
	}
	o.from = has
	o.branch.cuts.Written(has)
	return nil
}

// resumeReaders has each reader go on where its splits stood.
func (k *keeper) resumeReaders(m *state.Manifest) error {
	marks := map[*branch]map[string]int64{}
	var need []string
	if m != nil {
		need = m.Unfinished()
		for b, saved := range k.saves {
			marks[b] = m.Watermarks(saved.i)
		}
	}
	taken := map[string]bool{}
	for i, in := range k.engine.inlets.all() {
		if err := k.apart(in, k.engine.inlets.all()[:i]); err != nil {
			return err
		}
		resumed, now, err := k.resume(in, marks)
		if err == nil {
			err = k.late(m, in, now)
		}
		if err != nil {
			return err
		}
		for _, split := range resumed {
			taken[split] = true
		}
	}
	for _, split := range need {
		if !taken[split] {
			return fmt.Errorf("%w: %q; read it again, or begin anew with fresh", ErrLostSplit, split)
		}
	}
	k.leftover = slices.DeleteFunc(k.leftover, func(p record.Position) bool { return taken[p.Split] })
	if m != nil {
		k.absent = k.absentIn(m, taken)
	}
	return nil
}

// absentIn are the readers of a generation, with the positions of the splits that have not been
// taken.
func (k *keeper) absentIn(m *state.Manifest, taken map[string]bool) (absent []absentReader) {
	for _, r := range slices.Concat(m.Readers, m.Absent) {
		done := func(p state.Position) bool { return taken[p.Split] }
		r.Positions = slices.DeleteFunc(slices.Clone(r.Positions), done)
		a := absentReader{r, map[*branch]int64{}}
		for b, saved := range k.saves {
			a.marks[b] = r.Plans[saved.i].Watermark
		}
		absent = append(absent, a)
	}
	return absent
}

// apart says whether the state can tell the splits of two readers apart. Readers of one
// source have one name. Those with senders of their own do not share a source.
func (k *keeper) apart(in *inlet, others []*inlet) error {
	s := in.source.base()
	_, durable := s.reader.(record.Durable)
	_, named := s.reader.(fmt.Stringer)
	if !durable || !named {
		return nil
	}
	for _, o := range others {
		if o.source.base().name == s.name {
			return fmt.Errorf("two readers are named %q, and the state could not tell their splits apart: give each "+
				"a name of its own (readers.FeedConfig.Name)", s.name)
		}
	}
	return nil
}

// resume has the reader of an inlet go on where its splits stood, and its routers note from now on
// where they stand. marks are the watermarks of the splits in each plan. It returns the names of
// the splits that were saved, and where all of them stand.
func (k *keeper) resume(in *inlet, marks map[*branch]map[string]int64) (resumed []string, now []record.Position,
	err error,
) {
	s := in.source.base()
	if r, ok := s.reader.(record.Resumer); ok {
		call := func() (err error) {
			resumed, now, err = r.ResumeFrom(k.leftover)
			return err
		}
		failed := func(error) {}
		if err := contain("ResumeFrom", call, failed); err != nil {
			return nil, nil, fmt.Errorf("reader %d (%s): %w", in.id, s.name, err)
		}
	}
	for _, f := range in.flows() {
		at := core.Resumed{Positions: now, Watermark: core.WatermarkNone}
		least := int64(math.MaxInt64)
		for _, split := range resumed {
			if mark, ok := marks[f.branch][split]; ok {
				least = min(least, mark)
			}
		}
		if least < math.MaxInt64 {
			at.Watermark = least
		}
		f.router.KeepPositions(at)
	}
	return resumed, now, nil
}

// late says that the windows of all that a reader may bring have closed, if the state is at the end
// of all input and the reader may bring something that the state has not.
func (k *keeper) late(m *state.Manifest, in *inlet, now []record.Position) error {
	atEnd := func(saved savedPlan) bool { return saved.Closed >= window.MaxTime }
	if m == nil || !slices.ContainsFunc(slices.Collect(maps.Values(k.saves)), atEnd) {
		return nil
	}
	s := in.source.base()
	_, resumes := s.reader.(record.Resumer)
	saved := m.Positions()
	isNew := func(p record.Position) bool {
		return !slices.ContainsFunc(saved, func(s record.Position) bool { return s.Split == p.Split })
	}
	_, fed := s.reader.(record.Durable) // only its senders know whether there is more
	if fed || resumes && !slices.ContainsFunc(now, isNew) {
		return nil
	}
	return fmt.Errorf("reader %d (%s): %w", in.id, s.name, ErrFinished)
}

// nameCounters are counters by their names, as they are saved.
func nameCounters(c result.Counters) map[string]uint64 {
	names := map[string]uint64{}
	v := reflect.ValueOf(c)
	for i := range v.NumField() {
		names[v.Type().Field(i).Name] = v.Field(i).Uint()
	}
	return names
}

// countersByName is the inverse of nameCounters. Counters that are not there are 0.
func countersByName(names map[string]uint64) (c result.Counters) {
	v := reflect.ValueOf(&c).Elem()
	for i := range v.NumField() {
		v.Field(i).SetUint(names[v.Type().Field(i).Name])
	}
	return c
}
