package engine

import (
	"fmt"
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

// check says whether the engine's plan can go on with the newest generation.
func (k *keeper) check() error {
	m, e := k.folder.Newest, k.engine
	if m == nil {
		return nil
	}
	if err := checkPlan(m, e.cfg.Plan); err != nil {
		return err
	}
	// Each pane has memory for several tables.
	if tables := int64(e.state.Tables()); m.Bytes() > int64(e.cfg.StateBytes)/tables {
		return fmt.Errorf("generation %d has %d MiB of groups, and %d times as much is needed; StateBytes is %d MiB",
			m.Generation, m.Bytes()>>20, tables, e.cfg.StateBytes>>20)
	}
	return nil
}

// checkPlan says whether a plan can go on with the groups of a generation.
func checkPlan(m *state.Manifest, p *plan.Plan) error {
	if err := otherPlan(m.Plan.Print, fingerprint(p)); err != nil {
		return err
	}
	l, err := p.Layout()
	if err != nil {
		return err
	}
	if m.Plan.KeyWords != l.Keys.Words() || m.Plan.StateWords != len(l.Init) ||
		m.Plan.RowBytes != 8*table.RowWords(l.Keys.Words()+len(l.Init)) {
		return fmt.Errorf("generation %d was written by velo %s, whose groups have another form (%d words of key and "+
			"%d of states, this velo has %d and %d): go on with that velo, or begin anew with fresh", m.Generation,
			m.Velo, m.Plan.KeyWords, m.Plan.StateWords, l.Keys.Words(), len(l.Init))
	}
	return nil
}

// restore has everything begin with the newest generation. It is called after everything is built
// and before anything runs. Without a generation it makes the first one: where everything stood
// before the first record.
func (k *keeper) restore() error {
	m, e := k.folder.Newest, k.engine
	if m != nil {
		e.cuts.Begin(m.Epoch)
		e.restoreTime(m)
		k.leftover = m.Positions()
	}
	if err := k.recoverSink(m); err != nil {
		return err
	}
	if err := k.recoverOutbox(m); err != nil {
		return err
	}
	if err := k.resumeReaders(m); err != nil {
		return err
	}
	if m == nil {
		_, _, err := k.write(false)
		if err != nil {
			return fmt.Errorf("the first generation: %w", err)
		}
		k.noteSaved(k.folder.Newest)
		k.saved = k.now()
		return nil
	}
	if err := loadGroups(k.folder, m, e.partitions); err != nil {
		return err
	}
	counters := make([]result.Counters, len(e.cfg.Readers))
	for i, r := range m.Readers {
		counters[i%len(counters)].Add(countersByName(r.Counters))
	}
	for i, in := range e.inlets.all() {
		in.router.Join(m.Epoch, m.Epoch)
		in.router.Resume(counters[i])
	}
	for _, p := range e.partitions {
		if err := p.Show(counters); err != nil {
			return err
		}
	}
	if e.output != nil {
		if err := e.output.resume(); err != nil {
			return err
		}
	}
	k.stats.Generation, k.stats.Epoch, k.stats.Bytes, k.stats.Saved = m.Generation, m.Epoch, m.Bytes(), m.Time
	k.stats.Restored, k.stats.Passed = m.Generation, k.folder.Passed
	k.saved = k.now()
	if m.Finished {
		k.saved.ended = len(e.cfg.Readers)
	}
	if k.state.Takeover {
		k.saved.ended = -1 // the next generation says that the folder is no copy any more
	}
	return nil
}

// restoreTime has windows go on where they were. Time that passes by itself does not go back, even
// if the clock has.
func (e *Engine) restoreTime(m *state.Manifest) {
	if m.Plan.Closed < window.MaxTime {
		e.cuts.Origin = max(e.cuts.Origin, m.Plan.Closed)
	}
	for _, p := range e.partitions {
		p.Begin(m.Plan.Closed, m.Plan.Oldest)
	}
	if e.output != nil && e.cfg.Plan.Window != nil {
		// An engine without a writer has given no window away, and closed windows may be gone.
		e.output.from = min(m.Plan.Written, m.Plan.Closed)
		e.cuts.Written(e.output.from)
	}
}

// recoverSink has the writer go on where it stopped, if it can, and finds out which windows it has.
func (k *keeper) recoverSink(m *state.Manifest) error {
	o := k.engine.output
	if o == nil || o.committer() == nil {
		return nil
	}
	var saved []byte
	if m != nil {
		saved = m.Plan.Sink
	}
	has := int64(0)
	call := func() (err error) {
		has, err = o.committer().Recover(o.ctx, k.folder.Job, saved)
		return err
	}
	if err := contain("Recover", call, func(error) {}); err != nil {
		return fmt.Errorf("writer: %w", err)
	}
	if saved == nil {
		return nil
	}
	has = max(has, -window.MaxTime)
	if has < o.from {
		return fmt.Errorf("writer: windows up to %v were written when the state was saved, and it has those up to %v: "+
			"put back what it had, or begin anew with fresh", time.Unix(0, o.from).UTC(), time.Unix(0, has).UTC())
	}
	o.from = has
	k.engine.cuts.Written(has)
	return nil
}

// resumeReaders has each reader go on where its splits stood.
func (k *keeper) resumeReaders(m *state.Manifest) error {
	marks := map[string]int64{}
	var need []string
	if m != nil {
		marks, need = m.Watermarks(), m.Unfinished()
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
		k.absent = slices.Concat(m.Readers, m.Absent)
		for i, r := range k.absent {
			k.absent[i].Positions = slices.DeleteFunc(slices.Clone(r.Positions), func(p state.Position) bool {
				return taken[p.Split]
			})
		}
	}
	return nil
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

// resume has the reader of an inlet go on where its splits stood, and its router note from now on
// where they stand. It returns the names of the splits that were saved, and where all of them
// stand.
func (k *keeper) resume(in *inlet, marks map[string]int64) (resumed []string, now []record.Position, err error) {
	s := in.source.base()
	at := core.Resumed{Watermark: core.WatermarkNone}
	if r, ok := s.reader.(record.Resumer); ok {
		call := func() (err error) {
			resumed, at.Positions, err = r.ResumeFrom(k.leftover)
			return err
		}
		failed := func(error) {}
		if err := contain("ResumeFrom", call, failed); err != nil {
			return nil, nil, fmt.Errorf("reader %d (%s): %w", in.id, s.name, err)
		}
		least := int64(math.MaxInt64)
		for _, split := range resumed {
			if mark, ok := marks[split]; ok {
				least = min(least, mark)
			}
		}
		if least < math.MaxInt64 {
			at.Watermark = least
		}
	}
	in.router.KeepPositions(at)
	return resumed, at.Positions, nil
}

// late says that the windows of all that a reader may bring have closed, if the state is at the end
// of all input and the reader may bring something that the state has not.
func (k *keeper) late(m *state.Manifest, in *inlet, now []record.Position) error {
	if m == nil || m.Plan.Closed < window.MaxTime {
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
