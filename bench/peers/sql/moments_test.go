package sql

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// Goal: the moments and products of groups are DuckDB's. Method: random arguments over random
// tables; the arguments are small whole numbers, because DuckDB loses the digits of others.
func TestMoments(t *testing.T) {
	o := newDuckDB(t).(suiteOracle)
	s := &suite{t: t, oracle: o, refused: map[string]int{}}
	tables := sized(0, 1, 30, 400)
	for seed := range 200 {
		rng := rand.New(rand.NewPCG(uint64(seed), 17))
		one := func(of ...string) string { return of[rng.IntN(len(of))] }
		if seed%20 == 0 {
			if err := o.load(tables(seed / 20)); err != nil {
				t.Fatal(err)
			}
		}
		var items []string
		for i := range 1 + rng.IntN(4) {
			items = append(items, fmt.Sprintf("%s(%s) %s AS c%d", one("skewness", "kurtosis", "kurtosis_pop", "product", "sem"),
				one("n % 7", "j % 5", "CAST(i % 4 AS double precision)", "7", "nullif(n % 3, 0)"),
				one("", "", "FILTER (WHERE i > 0)"), i))
		}
		text := "SELECT " + one("j % 3", "s", "b") + " AS k, " + strings.Join(items, ", ") + " FROM t GROUP BY k" +
			one("", " HAVING count(*) > 2")
		columns, rows, err := o.run(text)
		if err != nil {
			t.Fatal(text, err)
		}
		wrong, refused := s.wrong, s.refusals
		s.query(fmt.Sprintf("seed %d", seed), text, "t", columns, rows)
		if s.wrong > wrong || s.refusals > refused {
			t.Errorf("seed %d: %s: %v", seed, text, s.refused)
		}
	}
	t.Logf("%d queries, %d right", s.cases, s.right)
	if s.right < 150 {
		t.Error("too few to mean anything")
	}
}
