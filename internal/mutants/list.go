package main

// mutants are all of them. Those of the protocols come first.
var mutants = append(protocols, others...)

// protocols are the mutants of the lock-free protocols (ARCHITECTURE.md, What is published): each must be killed.
var protocols = []mutant{
	{
		name: "epoch: pin without the second look", breaks: "a slot is pinned that is being filled for another epoch",
		named: true, file: "core/epoch/epoch.go", in: "func (e *Epochs) Pin(",
		old: "if cut(e.current.Load()) == c {", new: "if true {",
		pkg: "core/epoch", run: "TestPinLooksTwice", tags: "invariants",
	},
	{
		name: "epoch: raise without the second look", breaks: "a slot that comes free in the same moment is not found, and nobody raises the epoch",
		named: true, file: "core/epoch/epoch.go", in: "func (e *Epochs) Raise(",
		old: "if slot = e.free(); slot < 0 {\n\t\t\t\t\te.withheld", new: "if slot < 0 {\n\t\t\t\t\te.withheld",
		pkg: "core/epoch", run: "TestRaiseLooksTwice", tags: "invariants",
	},
	{
		name: "core: answer while a shard is handed over", breaks: "an owner answers the next epoch with half of a shard",
		named: true, file: "core/partition.go", in: "func (p *Partition) Step(",
		old: "if p.missing == 0 && p.handover == nil {", new: "if p.missing == 0 {",
		pkg: "core", run: "TestOwnersWaitForEachOther",
	},
	{
		name: "core: the old owner does not wait for the new", breaks: "the old owner takes an image again that the new one still reads",
		named: true, file: "core/handover.go", in: "func (p *Partition) handOver(",
		old: "if p.cuts.handed.Load() < h.epoch {", new: "if false {",
		pkg: "core", run: "TestOwnersWaitForEachOther",
	},
	{
		name: "engine: park without the last look", breaks: "what was published before the runner said that it parks waits until it wakes",
		named: true, file: "engine/runner.go", in: "func (r *runner) park(",
		old: "if r.turn(now) > 0 || r.live == 0", new: "if r.live == 0",
		pkg: "engine", run: "TestParkLooksOnceMore",
	},
	{
		name: "engine: a mark overtakes a held batch", breaks: "an epoch lacks records that were sent before it, whose batch waits for room for its rejects",
		named: true, file: "engine/source.go", in: "func (s *pollSource) Cut(",
		old: "\tif s.held != nil {\n\t\treturn false\n\t}\n", new: "",
		pkg: "engine", run: "TestMarkBehindHeldBatch",
	},
	{
		name: "engine: pump sleeps without the second look", breaks: "a pump sleeps beside a batch that came back just before",
		named: true, file: "engine/source.go", in: "func (p *pump) take(",
		old: "if p.free.Empty() {", new: "if true {",
		pkg: "engine", run: "TestPumpLooksOnceMore", tags: "invariants",
	},
	{
		name: "engine: readers closed before their rejects", breaks: "a reader is closed that OnReject asks for the line of a record",
		named: true, file: "engine/source.go", in: "func (s *source) finish(",
		old: "if q := s.engine.rejects; q != nil {", new: "if q := s.engine.rejects; q != nil && false {",
		pkg: "engine", run: "TestRejectsBeforeClose",
	},
	{
		name: "engine: rings dropped before they are empty", breaks: "the memory of rings is given back that a partition still reads",
		named: true, file: "engine/inlet.go", in: "func (in *inlet) compact(",
		old: "ended = ended && s.Depth == 0", new: "ended = ended && s.Depth >= 0",
		pkg: "engine", run: "TestRingsStayUntilEmpty",
	},
	{
		name: "readers: a feed ends without the fence", breaks: "the end overtakes a Send whose announcement is still in a store buffer",
		named: true, file: "readers/feed.go", in: "func (f *Feed[T]) Poll(",
		old: "f.order.All()", new: "",
		pkg: "readers", run: "TestFeedEndFences", tags: "invariants",
	},
	{
		name: "readers: a feed ends while a Send is on its way", breaks: "a record is lost whose Send has returned nil",
		named: true, file: "readers/feed.go", in: "func (f *Feed[T]) beginRound(",
		old: "if ending && l.limit < begun {", new: "if ending && l.limit > begun {",
		pkg: "readers", run: "TestFeedEndWaitsForSends",
	},
	{
		name: "readers: a word left in the room channel", breaks: "Poll, and the runner with it, stands still when it has made room again",
		named: true, file: "readers/feed.go", in: "func (l *Lane[T]) sendFull(",
		old: "<-l.room // Poll has", new: "// Poll has",
		pkg: "readers", run: "TestFeedLeavesNoWord", tags: "invariants",
	},
	{
		name: "readers: a word left behind a context", breaks: "as the one before, where the context of the Send has ended",
		named: true, file: "readers/feed.go", in: "func (l *Lane[T]) sendFull(",
		old: "\t\t\t<-l.room\n\t\t}\n\t\treturn err", new: "\t\t}\n\t\treturn err",
		pkg: "readers", run: "TestFeedLeavesNoWord",
	},
	{
		name: "readers: lines behind a long record", breaks: "rejects behind a record that is too long name a line that is too early",
		named: true, file: "readers/stream.go", in: "func (s *lineStream) finish(",
		old: "s.line += int64(bytes.Count(rest, []byte{'\\n'}))", new: "",
		pkg: "readers", run: "TestStreamLinesBehindLongRecords",
	},
	{
		name: "readers: lines within a long record", breaks: "as the one before, for the part of the record that was never in memory together with its beginning",
		named: true, file: "readers/stream.go", in: "func (s *lineStream) fill(",
		old: "s.line += int64(bytes.Count(f.buf[pad:to], []byte{'\\n'}))", new: "",
		pkg: "readers", run: "TestStreamLinesBehindLongRecords",
	},
	{
		name: "ring: Empty by the producer's own copy", breaks: "a producer never finds its ring empty, and applies nothing in place any more",
		named: true, file: "ring/ring.go", in: "func (p *Producer[T]) Empty(",
		old: "p.shared.head.Load() == p.published", new: "p.seenHead == p.published",
		pkg: "ring", run: "TestEmptyLooksAnew",
	},
}

var others []mutant
