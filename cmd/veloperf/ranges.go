package main

// ranges are the values that flags may have, by the name of the flag, or by the command and the
// flag if that differs from other commands: see cli.CheckRanges.
var ranges = map[string]string{
	"block-bytes":      "0..1073741824",
	"cores":            "0..1024",
	"duration":         "1ns..24h",
	"engines":          "1..10000",
	"groups":           "1..",
	"interval":         "1ns..24h",
	"latency":          "0s..1h",
	"max":              "1..256",
	"partitions":       "0..256",
	"passes":           "1..1000000",
	"prepare":          "0..1000000000",
	"rate":             "1..1000000000",
	"readers":          "0..4096",
	"ring-slots":       "0..1048576",
	"rows":             "1..1000000000",
	"runs":             "1..10000",
	"settle":           "0s..24h",
	"socket-bandwidth": "0.001..1e9",
	"socket-cores":     "1..1000000",
	"top":              "0..1000000",
	"warmup":           "0s..1h",
	"watch":            "1ns..24h",
	"writers":          "0..1024",
	"zipf":             "0..100",

	"1brc runs":           "0..10000", // 0 is once, or as often as others with --json
	"gen 1brc rows":       "1..",
	"model cores":         "1..4096",
	"readers rows":        "1..1000000", // of a batch
	"skew partitions":     "1..256",
	"snapshot partitions": "1..256",
	"snapshot readers":    "1..4096",
}
