package main

// decimals are mutants of wide decimals, and of copies of rows.
var decimals = []mutant{
	{
		name:   "result: an offset counts rows and not their copies",
		breaks: "a set operation with ALL and OFFSET has too few rows",
		file:   "result/projection.go", in: "func copied(",
		old: "\t\t\tskip -= skipped\n", new: "",
		pkg: "velocli", run: "TestGolden",
	},
	{
		name:   "internal/int128: a quotient is not corrected",
		breaks: "wide decimals are cast to fewer digits one too small, at rare values",
		file:   "internal/int128/int128.go", in: "func divMod(",
		old: "if cmp(rest, y) >= 0 {", new: "if cmp(rest, y) > 0 {",
		pkg: "internal/int128", run: "TestTwin",
	},
	{
		name:   "internal/int128: a step of a long division is not corrected",
		breaks: "quotients of wide decimals are too large, at rare values",
		file:   "internal/int128/quotient.go", in: "func divStep(",
		old: "borrow != 0 {", new: "borrow > 1 {",
		pkg: "internal/int128", run: "TestQuotient",
	},
	{
		name:   "core/agg: an average of wide decimals is cut",
		breaks: "averages of wide decimals are one digit too small, half of the time",
		file:   "internal/int128/quotient.go", in: "func Mean(",
		old: "rest >= n-rest {", new: "rest > n {",
		pkg: "core/agg", run: "TestWideSums",
	},
	{
		name:   "core/expr: a rounded quotient is rounded twice",
		breaks: "round(x / y, n) of wide decimals takes more digits than 16 from nowhere",
		file:   "core/expr/math.go", in: "func RoundTo(",
		old: "!cut && x.isQuotient()", new: "false && x.isQuotient()",
		pkg: "core/expr", run: "TestQuotients",
	},
	{
		name:   "core/agg: the sum of a wide decimal loses its sign",
		breaks: "sums of negative wide decimals are out of range",
		file:   "core/agg/wide.go", in: "func (s wideSum) Update(",
		old: "uint64(int64(v.Hi)>>63)", new: "0",
		pkg: "core/agg", run: "TestWideSums",
	},
}
