package sql

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// Goal: queries in expressions have the values that PostgreSQL says they have: NULL in what IN looks
// in, no rows, rows of several values, one in another, names of WITH that are read twice. Method:
// random queries over random tables.
func TestSubqueries(t *testing.T) {
	randomQueries(t, 200, 13, sized(0, 1, 30, 400), nil, func(rng *rand.Rand) string {
		m := subqueryMaker{number: rng.IntN, one: func(of ...string) string { return of[rng.IntN(len(of))] }}
		return m.query()
	})
}

type subqueryMaker struct {
	number func(int) int
	one    func(...string) string
}

// columns are expressions of each type.
var subqueryColumns = map[byte][]string{
	'i': {"i", "j", "n", "j % 3", "i % 2", "n % 7"},
	's': {"s", "left(s, 1)", "CAST(j % 3 AS text)"},
	'f': {"f", "CAST(j AS double precision)"},
	'd': {"d", "CAST(i AS numeric(18,2))"},
	't': {"ts", "u", "date_trunc('day', ts)"},
	'b': {"b", "(i > 0)"},
}

func (m *subqueryMaker) column(kind byte) string { return m.one(subqueryColumns[kind]...) }

func (m *subqueryMaker) kind() byte { return "isfdtb"[m.number(6)] }

// where is a condition of a query in an expression.
func (m *subqueryMaker) where(depth int) string {
	switch n := m.number(8); {
	case n == 0:
		return " WHERE FALSE"
	case n < 3:
		return m.one(" WHERE i > 0", " WHERE s IS NOT NULL", " WHERE n < 12", " WHERE b", " WHERE i IS NOT NULL")
	case n == 3 && depth > 0:
		return " WHERE " + m.condition(depth-1)
	}
	return ""
}

// scalar is a query with one value.
func (m *subqueryMaker) scalar(kind byte, depth int) string {
	x := m.column(kind)
	if kind == 's' {
		x = "CAST(" + x + " AS text)"
	}
	item := m.one("min("+x+")", "max("+x+")")
	if kind == 'b' {
		item = m.one("bool_and("+x+")", "bool_or("+x+")")
	}
	switch m.number(5) {
	case 0:
		return "(SELECT " + x + " FROM t" + m.where(depth) + " ORDER BY n LIMIT 1)"
	case 1:
		if kind == 'i' {
			item = m.one("count(*)", "count(DISTINCT i)", "CAST(sum(j) AS bigint)")
		}
	}
	return "(SELECT " + item + " FROM t" + m.where(depth) + ")"
}

// condition is a condition with a query in it.
func (m *subqueryMaker) condition(depth int) string {
	kind := m.kind()
	x, y := m.column(kind), m.column(kind)
	switch m.number(12) {
	case 10, 11:
		return x + " " + m.one("=", "<>", "<", "<=", ">", ">=") + m.one(" ANY (", " ALL (", " SOME (") + "SELECT " +
			m.one(y, "nullif("+y+", "+y+")", m.one(subqueryColumns[kind]...)) + " FROM t" + m.where(depth) + ")"
	case 9:
		return "j" + m.one(" IN ", " NOT IN ") + m.one("(VALUES (1), (2), (NULL))", "(VALUES (-1), (0))",
			"(SELECT a FROM (VALUES (1, 'x'), (3, 'y')) AS v (a, b) WHERE b > 'x')", "(WITH w(a) AS (VALUES (2)) SELECT a FROM w)")
	case 0, 1, 2:
		return x + m.one(" IN ", " NOT IN ", " = ANY ", " <> ALL ") + "(SELECT " + y + " FROM t" + m.where(depth) + ")"
	case 3:
		return x + m.one(" IN ", " NOT IN ") + "(SELECT " + m.one(m.aggregate(kind, y), y) + " FROM t" + m.where(depth) +
			" GROUP BY " + y + ")"
	case 4:
		return m.one("", "NOT ") + "EXISTS (SELECT " + m.one("1", y, "n, s") + " FROM t" + m.where(depth) + ")"
	case 5:
		other := m.kind()
		return "(" + x + ", " + m.column(other) + ")" + m.one(" IN ", " NOT IN ") + "(SELECT " + y + ", " +
			m.column(other) + " FROM t" + m.where(depth) + " ORDER BY n LIMIT 20)"
	case 6:
		return m.one("i", "j", "n") + m.one(" = ANY", " <> ALL", " > ANY", " < ALL") +
			m.one("('{1,2,3}')", "('{0, NULL}')", "('{5}')", "(ARRAY[1, 2])")
	case 7:
		return x + m.one(" IN ", " NOT IN ") + "(SELECT " + y + " FROM t" + m.where(depth) + " UNION SELECT " +
			m.column(kind) + " FROM t WHERE n < 5)"
	}
	return x + " " + m.one("=", "<>", "<", ">=") + " " + m.scalar(kind, depth)
}

func (m *subqueryMaker) aggregate(kind byte, x string) string {
	if kind == 'b' {
		return "bool_or(" + x + ")"
	}
	if kind == 's' {
		return "max(CAST(" + x + " AS text))"
	}
	return "max(" + x + ")"
}

func (m *subqueryMaker) query() string {
	where := ""
	if m.number(4) > 0 {
		where = " WHERE " + m.condition(2)
		if m.number(3) == 0 {
			where += m.one(" AND ", " OR ") + m.condition(1)
		}
	}
	a, b := m.kind(), m.kind()
	switch m.number(6) {
	case 5:
		return "SELECT a, count(*) AS n, sum(b) AS s, max(c) AS c FROM (VALUES (1, 2.5, 'x'), (1, NULL, 'y'), (NULL, 3, NULL), " +
			"(2, -1.25, 'z')) AS v (a, b, c)" + m.one("", " WHERE a IN (SELECT i FROM t)", " WHERE b > 0") + " GROUP BY a"
	case 0:
		return "SELECT j % 3 AS k, count(*) AS c, " + m.scalar(a, 2) + " AS x FROM t" + where + " GROUP BY 1" +
			m.one("", " HAVING count(*) > "+m.scalar('i', 1), " HAVING max(i) IN (SELECT "+m.column('i')+" FROM t)")
	case 1:
		return fmt.Sprintf("WITH w AS (SELECT %s AS x, n FROM t%s) SELECT x, count(*) AS c FROM w WHERE x IN (SELECT x "+
			"FROM w WHERE n > 3) GROUP BY x", m.column(a), m.where(1))
	case 2:
		return "SELECT CASE WHEN " + m.condition(1) + " THEN 1 ELSE 0 END AS c, count(*) AS n FROM t" + where +
			" GROUP BY 1"
	case 3:
		return "SELECT " + m.scalar(a, 2) + " AS x, " + m.scalar(b, 1) + " AS y, " + m.condition(1) + " AS z, n FROM t" +
			where
	}
	return "SELECT n, " + m.column(a) + " AS x FROM t" + where
}
