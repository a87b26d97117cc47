package sql

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// Goal: UNION, INTERSECT and EXCEPT, with ALL and in each other, have the rows that PostgreSQL says
// they have: NULLs are alike, numbers of different types meet in one, ORDER BY and LIMIT are of the
// whole. Method: random operations over random SELECTs of groups and records, and queries over
// them.
func TestCombine(t *testing.T) {
	randomQueries(t, 150, 11, sized(0, 1, 30, 400), nil, func(rng *rand.Rand) string {
		return combineQuery(rng.IntN, func(of ...string) string { return of[rng.IntN(len(of))] })
	})
}

// Goal: INTERSECT ALL and EXCEPT ALL of two SELECTs have as many copies of each row as PostgreSQL
// says. Method: random SELECTs of few different values, with NULLs, of records and of groups.
func TestCombineCopies(t *testing.T) {
	randomQueries(t, 150, 19, sized(0, 1, 30, 400), nil, func(rng *rand.Rand) string {
		return copiesQuery(rng.IntN, func(of ...string) string { return of[rng.IntN(len(of))] })
	})
}

// copiesQuery is a random INTERSECT ALL or EXCEPT ALL.
func copiesQuery(number func(int) int, one func(...string) string) string {
	kinds := []string{
		"j % 3|i % 2|CAST(NULL AS bigint)|1|count(*)", "round(d, 0)|i % 4|2.5", "left(s, 1)|s|'a'|max(s)",
		"b|i > 0|bool_or(b)|TRUE|CAST(NULL AS boolean)", "date_trunc('day', ts)|CAST(NULL AS timestamp)|min(ts)",
		"CAST(i % 3 AS double precision)|CAST(j % 3 AS double precision)",
	}
	var types []string
	for range 1 + number(3) {
		types = append(types, one(kinds...))
	}
	arm := func() string {
		var items, keys []string
		grouped := number(3) == 0
		for i, t := range types {
			item := one(strings.Split(t, "|")...)
			aggregate := strings.HasPrefix(item, "count(") || strings.HasPrefix(item, "max(") ||
				strings.HasPrefix(item, "min(") || strings.HasPrefix(item, "bool_or(")
			if aggregate && !grouped {
				item, aggregate = strings.Split(t, "|")[0], false
			}
			if !aggregate {
				keys = append(keys, fmt.Sprint(i+1))
			}
			items = append(items, item+fmt.Sprintf(" AS c%d", i))
		}
		text := "SELECT " + one("", "", "", "DISTINCT ") + strings.Join(items, ", ") + " FROM t" +
			one("", "", " WHERE i > 0", " WHERE j < 2", " WHERE s IS NOT NULL", " WHERE FALSE")
		if grouped && len(keys) > 0 {
			text += " GROUP BY " + strings.Join(append(keys, one("n % 5", "j % 2")), ", ")
		}
		return text
	}
	text := arm() + one(" INTERSECT ALL ", " EXCEPT ALL ") + arm()
	switch number(4) {
	case 0:
		return "SELECT c0, count(*) AS n FROM (" + text + ") AS x GROUP BY c0"
	case 1:
		return text + " ORDER BY 1"
	}
	return text
}

// combineQuery is a random query with set operations.
func combineQuery(number func(int) int, one func(...string) string) string {
	kinds := []string{
		"j % 3|i % 2|j|CAST(d AS double precision)|CAST(NULL AS bigint)|1|count(*)|sum(j)",
		"j % 3|d|i % 4|2.5|sum(d)|count(*)|round(d, 1)",
		"s|left(s, 1)|'a'|CAST(NULL AS text)|max(s)|CAST(j AS text)",
		"b|i > 0|CAST(NULL AS boolean)|bool_or(b)|TRUE",
		"date_trunc('day', ts)|u|ts|min(ts)|CAST(NULL AS timestamp)",
		"f|j|j % 3|CAST(NULL AS double precision)|max(f)",
	}
	var types []string
	for range 1 + number(3) {
		types = append(types, one(kinds...))
	}
	arm := func() string {
		var items, keys []string
		aggregates := number(3) == 0
		for i, t := range types {
			item := one(strings.Split(t, "|")...)
			is := false
			for _, name := range []string{"count(", "sum(", "max(", "min(", "bool_or("} {
				is = is || strings.HasPrefix(item, name)
			}
			switch {
			case is && !aggregates:
				item = strings.Split(t, "|")[0]
			case !is && aggregates:
				keys = append(keys, fmt.Sprint(i+1))
			}
			items = append(items, item+fmt.Sprintf(" AS c%d", i))
		}
		text := "SELECT " + one("", "", "DISTINCT ") + strings.Join(items, ", ") + " FROM t" +
			one("", " WHERE i > 0", " WHERE j < 2", " WHERE s IS NOT NULL", " WHERE FALSE")
		if len(keys) > 0 {
			text += " GROUP BY " + strings.Join(keys, ", ")
		}
		if !aggregates && !strings.Contains(text, "DISTINCT") && number(4) == 0 {
			return "(" + text + " ORDER BY n LIMIT " + fmt.Sprint(number(20)) + ")"
		}
		return text
	}
	all := []string{"UNION", "UNION ALL", "INTERSECT", "EXCEPT", "INTERSECT ALL", "EXCEPT ALL"}
	var set func(depth int, ops ...string) string
	set = func(depth int, ops ...string) string {
		side := func() string {
			switch {
			case depth == 0 || number(2) == 0:
				return arm()
			case len(ops) == 1: // UNION ALL only
				return set(depth-1, ops...)
			}
			return "(" + set(depth-1, all...) + ")"
		}
		return side() + " " + one(ops...) + " " + side()
	}
	text := set(2, all...)
	switch number(4) {
	case 0:
		text = set(2, "UNION ALL")
	case 1: // INTERSECT binds tighter than the others
		first := one(all...)
		text = arm() + " " + first + " " + arm() + " " + one(all...) + " " + arm()
		if !strings.HasPrefix(first, "INTERSECT") {
			text += " INTERSECT ALL " + arm()
		}
	}
	switch number(4) {
	case 0:
		return "SELECT c0, count(*) AS n FROM (" + text + ") AS x GROUP BY c0"
	case 1:
		var by []string
		for i := range types {
			by = append(by, fmt.Sprint(i+1)+one("", " DESC", " NULLS FIRST"))
		}
		return text + " ORDER BY " + strings.Join(by, ", ") + " LIMIT " + fmt.Sprint(number(10))
	}
	return text
}
