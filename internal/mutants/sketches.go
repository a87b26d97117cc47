package main

// sketches are the mutants of approx_top_k, reservoir_sample, the states of sketches as texts, and
// of INTERSECT ALL and EXCEPT ALL.
var sketches = []mutant{
	{
		name: "agg: states that are merged have the same seeds", breaks: "a sample of merged states is not uniform",
		file: "core/agg/blocks.go", in: "func (b *Blocks) seed(",
		old: "b.seeds++", new: "b.number, first = 0, 0",
		pkg: "core/agg", run: "TestSampleUniform",
	},
	{
		name: "agg: what is taken away from counters is not noted", breaks: "approx_top_k says counts that are too low",
		file: "core/agg/topk.go", in: "func (t topK) rebuild(",
		old: "p[2]+less", new: "p[2]",
		pkg: "core/agg", run: "TestTopK",
	},
	{
		name: "agg: a state that was changed is merged", breaks: "a corrupt state is counted",
		file: "core/agg/statetext.go", in: "func readState(",
		old: "case crc32.Checksum(room[:end], castagnoli) != binary.LittleEndian.Uint32(room[end:]):", new: "case false:",
		pkg: "core/agg", run: "TestStateRefused",
	},
	{
		name: "plan: the texts of states are not checked", breaks: "a record with a corrupt state is left out in silence",
		file: "plan/compile.go", in: "func (l *compiler) bindColumns(",
		old: " || p.checks()", new: "",
		pkg: "query", run: "TestRows",
	},
}
