package core

import (
	"bufio"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/velo-engine/velo/internal/testgen"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/result"
)

// strd is a set of NIST's Statistical Reference Datasets: univariate summary statistics.
type strd struct {
	values         []string
	mean, stddev   float64
	meanOK, stddOK float64 // digits that a float64 computation must have right
}

// constructed are the sets that NIST defines by a rule: first, then 500 times low and high.
func constructed(first, low, high string, mean, digits float64) strd {
	s := strd{values: []string{first}, mean: mean, stddev: 0.1, meanOK: 14, stddOK: digits}
	for range 500 {
		s.values = append(s.values, low, high)
	}
	return s
}

// readSTRD reads a set from its file, in either of the two layouts that there are.
func readSTRD(t *testing.T, path string) strd {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s := strd{meanOK: 14, stddOK: 12}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		words := strings.Fields(lines.Text())
		if len(words) == 0 {
			continue
		}
		last, err := strconv.ParseFloat(words[len(words)-1], 64)
		if err != nil {
			continue
		}
		switch {
		case len(words) == 1:
			s.values = append(s.values, words[0])
		case strings.HasPrefix(lines.Text(), "Sample Mean ") || words[0] == "mean":
			s.mean = last
		case strings.HasPrefix(lines.Text(), "Sample Standard Deviation ") || words[0] == "standardDeviation":
			s.stddev = last
		}
	}
	if len(s.values) < 3 || s.mean == 0 || s.stddev == 0 {
		t.Fatalf("%s: %d values, mean %v, standard deviation %v", path, len(s.values), s.mean, s.stddev)
	}
	return s
}

// Goal: the certified digits of NIST's sets, for every number of partitions and every exchange, in any order; as decimals all digits
// that are certified, and the same bits every time. Method: shuffled, dealt to up to three readers, folded with frequent flushes, routed.
func TestNIST(t *testing.T) {
	sets := map[string]strd{
		"NumAcc2": constructed("1.2", "1.1", "1.3", 1.2, 12),
		"NumAcc4": constructed("10000000.2", "10000000.1", "10000000.3", 10000000.2, 8),
	}
	for name, s := range sets {
		t.Run(name, func(t *testing.T) { testSTRD(t, s) })
	}
	files, err := filepath.Glob(filepath.Join(testgen.Corpus(t, "nist-strd"), "*.txt"))
	if err != nil || len(files) < 5 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, path := range files {
		name := strings.TrimSuffix(filepath.Base(path), ".txt")
		s := readSTRD(t, path)
		if name == "NumAcc3" {
			s.stddOK = 9
		}
		t.Run(name, func(t *testing.T) { testSTRD(t, s) })
	}
}

func testSTRD(t *testing.T, s strd) {
	schema, err := record.NewSchema("s", record.Field{Name: "f", Type: record.Float64},
		record.Field{Name: "d", Type: record.DecimalOf(18, 6)})
	if err != nil {
		t.Fatal(err)
	}
	worst := map[string]float64{"mean": 99, "stddev": 99, "decimal mean": 99, "decimal stddev": 99}
	var exact [2]float64
	for partitions := 1; partitions <= 16; partitions++ {
		for _, exchange := range []plan.Exchange{plan.ExchangeFold, plan.ExchangeRoute, plan.ExchangeAuto} {
			rng := rand.New(rand.NewPCG(uint64(partitions), uint64(exchange)))
			values := append([]string(nil), s.values...)
			rng.Shuffle(len(values), func(i, j int) { values[i], values[j] = values[j], values[i] })
			p := &plan.Plan{Source: schema, Aggregates: []plan.Aggregate{
				{Name: "mean", Func: plan.Avg, Column: "f"},
				{Name: "stddev", Func: plan.StddevSamp, Column: "f"},
				{Name: "decimal mean", Func: plan.Avg, Column: "d"},
				{Name: "decimal stddev", Func: plan.StddevSamp, Column: "d"},
			}}
			sources := make([]Source, 1+rng.IntN(3))
			for i := range sources {
				sources[i] = &sliceSource{}
			}
			for len(values) > 0 {
				n := 1 + rng.IntN(min(100, len(values)))
				b := record.NewBatch(schema, n)
				for _, v := range values[:n] {
					f, err := strconv.ParseFloat(v, 64)
					if err != nil || !b.Add(0) {
						t.Fatal(v, err)
					}
					b.SetFloat64(0, f)
					b.SetInt64(1, int64(math.Round(f*1e6))) // right for numbers of up to 15 digits
				}
				values = values[n:]
				to := sources[rng.IntN(len(sources))].(*sliceSource)
				to.batches = append(to.batches, b)
			}
			_, images, _ := runRoute(t, p, sources, plan.Route{}, Fold{Exchange: exchange, Bytes: 1}, partitions, 4,
				uint64(partitions))
			row, ok := merged(t, images).Get(plan.Key{})
			if !ok {
				t.Fatal("no row")
			}
			read := func(name string) float64 {
				c, err := result.ColumnOf[float64](p, name)
				if err != nil || c.Null(row) {
					t.Fatalf("%s: %v", name, err)
				}
				return c.Of(row)
			}
			for name, want := range map[string]struct{ value, digits float64 }{
				"mean": {s.mean, s.meanOK}, "stddev": {s.stddev, s.stddOK}, "decimal mean": {s.mean, 14},
				"decimal stddev": {s.stddev, 14},
			} {
				got := read(name)
				digits := -math.Log10(math.Abs(got-want.value) / math.Abs(want.value)) // +Inf for the same
				worst[name] = min(worst[name], digits)
				if !(digits >= want.digits) {
					t.Errorf("%d partitions, %v: %s is %v, certified %v: %.1f digits of %v", partitions, exchange, name,
						got, want.value, digits, want.digits)
				}
			}
			if now := [2]float64{read("decimal mean"), read("decimal stddev")}; partitions == 1 &&
				exchange == plan.ExchangeFold {
				exact = now
			} else if now != exact {
				t.Errorf("%d partitions, %v: decimals are %v, with one %v", partitions, exchange, now, exact)
			}
		}
	}
	t.Logf("right digits at least (99 is all): %v", worst)
}

// Goal: aggregates of two columns are refused where they are not right, all together, and a plan reads as SQL.
func TestByFaults(t *testing.T) {
	schema, err := record.NewSchema("s", record.Field{Name: "k", Type: record.Int64},
		record.Field{Name: "text", Type: record.String}, record.Field{Name: "b", Type: record.Bool},
		record.Field{Name: "x", Type: record.Float64})
	if err != nil {
		t.Fatal(err)
	}
	p := &plan.Plan{Source: schema, Aggregates: []plan.Aggregate{
		{Name: "a", Func: plan.MinBy, Column: "k"},
		{Name: "b", Func: plan.MaxBy, By: "k"},
		{Name: "c", Func: plan.First, Column: "k", By: "nope"},
		{Name: "d", Func: plan.Last, Column: "text", By: "b"},
		{Name: "e", Func: plan.Sum, Column: "k", By: "k"},
		{Name: "f", Func: plan.MaxBy, Column: "k", By: "b"},
		{Name: "g", Func: plan.Min, Column: "b"},
	}}
	err = p.Validate()
	for _, want := range []string{
		`"a": agg: min_by needs a second column`, `"b": a column to choose by, "k", but none to choose from`,
		`"c": there is no column "nope"`, `"d": agg: last(text) by boolean is not defined`,
		`"e": agg: sum takes one column`, `"f": agg: max_by(bigint) by boolean is not defined`,
		`"g": agg: min(boolean) is not defined`,
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v\nis expected to say %s", err, want)
		}
	}
	p = &plan.Plan{Source: schema, Aggregates: []plan.Aggregate{
		{Name: "a", Func: plan.First, Column: "b", By: "k"},
		{Name: "b", Func: plan.MinBy, Column: "b", By: "k"},
		{Name: "c", Func: plan.VarPop, Column: "k"},
		{Name: "d", Func: plan.StddevSamp, Column: "k"},
		{Name: "e", Func: plan.MinBy, Column: "k", By: "k"},
		{Name: "f", Func: plan.MinBy, Column: "b", By: "x"},
	}}
	if got, want := p.String(), "SELECT first(b, k) AS a, min_by(b, k) AS b, var_pop(k) AS c, stddev_samp(k) AS d, "+
		"min_by(k, k) AS e, min_by(b, x) AS f FROM s"; got != want {
		t.Errorf("%s, expected %s", got, want)
	}
	if err := p.Validate(); err != nil {
		t.Fatal(err)
	}
	if n := len(planLayout(t, p).States); n != 4 {
		t.Errorf("%d states, expected one for first and min_by, one for the variances, and one for each other pair "+
			"of columns", n)
	}
}
