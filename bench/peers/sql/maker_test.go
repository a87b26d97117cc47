package sql

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// grammar is what velo's SQL has, by the kind of the result: i bigint, f double precision, q the
// same in eighths (whose sums are exact), y the same where the last digits are the library's and
// nothing may depend on them, d decimal, s text, b boolean, t timestamp, a an aggregate, p a small
// whole number of a group, u a count of different values (a query has one column for that), z one
// that may fail, h a condition of groups. A % and a letter is an argument of that kind; more
// letters are constants: %n a digit, %l a pattern, %v an interval, %c a field of a time, %k a unit,
// %w what words are cut at, %m and %x times as texts. A first character ! is for wild tables only.
//
// Each text is a construct: an oracle says by it what it calls otherwise, or has not (oracle.says).
var grammar = map[byte][]string{
	'i': {
		"(%i + %i)", "(%i - %i)", "(%i * %i)", "(%i / %i)", "(%i % %i)", "mod(%i, %n)", "abs(%i)", "sign(%i)", "(- %i)",
		"(+ %i)", "floor(%i)", "ceil(%i)", "round(%i)", "trunc(%i)", "round(%i, 2)",
		"CASE WHEN %b THEN %i ELSE %i END", "CASE WHEN %b THEN %i WHEN %b THEN %i END",
		"CASE %i WHEN %i THEN %i WHEN %n THEN %i ELSE %i END", "coalesce(%i, %i)", "coalesce(%i, NULL, %i)",
		"greatest(%i, %i)", "least(%i, %i, %i)", "nullif(%i, %i)", "length(%s)", "char_length(%s)",
		"position(%s IN %s)", "position('a' IN %s)",
		"CAST(%f AS bigint)", "CAST(%q AS bigint)", "CAST(%d AS bigint)", "%i::bigint", "CAST(%b AS bigint)",
		"CAST(%r AS bigint)", "extract(%c FROM %t)", "date_part('hour', %t)", "extract(day FROM ts)",
		"(%i % 3)", "(%i - i)",
	},
	'f': {
		"(%f + %f)", "(%f - %f)", "(%f * %f)", "(%f / %f)", "(%f + %i)", "(%i / %f)", "(%f * %d)", "(%d / %d)",
		"(%i / %d)", "(- %f)", "abs(%f)", "sign(%f)", "floor(%f)", "ceil(%f)", "ceiling(%f)",
		"round(%f)", "trunc(%f)", "round(%f, 2)", "round(%f, 0)", "sqrt(%f)", "sqrt(abs(%f))",
		"CASE WHEN %b THEN %f END", "CASE WHEN %b THEN %f ELSE %i END", "coalesce(%f, %f)", "coalesce(%f, %n)",
		"greatest(%f, %f)", "least(%f, %i)", "nullif(%f, %f)",
		"CAST(%i AS double precision)", "CAST(%d AS double precision)", "CAST(%r AS double precision)",
		"extract(epoch FROM %t)", "extract(second FROM %t)", "extract(epoch FROM (%t - %t))",
		"extract(millisecond FROM %t)", "%q",
	},
	'y': {
		"power(%f, %n)", "power(%f, %f)", "(%f ^ %n)", "pow(%i, 2)", "ln(%f)", "ln(abs(%f))", "exp(%f)", "exp(%i)",
		"(2 ^ %q)",
	},
	'q': {
		"(%q + %q)", "(%q - %q)", "(%q * f)", "floor(%q)", "ceil(%q)", "abs(%q)", "(- %q)", "(%q + j)",
		"CAST(j AS double precision)", "CASE WHEN %b THEN %q END", "coalesce(%q, j)", "greatest(%q, %q)",
		"least(%q, j)", "nullif(%q, %q)",
	},
	'd': {
		"(%d + %d)", "(%d - %d)", "(%d * %n.5)", "(d * d)", "(%d * j)", "(%d % %d)", "(%d + %i)", "(%i - %d)",
		"abs(%d)", "sign(%d)", "(- %d)", "floor(%d)", "ceil(%d)", "round(%d)", "trunc(%d)", "round(%d, 1)",
		"round(%d, 9)",
		"CAST(%i AS decimal(18, 2))", "CAST(%q AS decimal(12, 1))", "CAST(%f AS decimal(18, 3))",
		"CAST(%f AS numeric(18, 17))", "CAST(%d AS decimal(9, 1))", "CAST(%r AS decimal(12, 2))", "coalesce(%d, %i)",
		"greatest(%d, %d)", "least(%d, %n)",
		"nullif(%d, %d)", "CASE WHEN %b THEN %d ELSE %d END", "CASE WHEN %b THEN %d END",
	},
	's': {
		"lower(%s)", "upper(%s)", "trim(%s)", "ltrim(%s)", "rtrim(%s)", "btrim(%s, 'a')", "ltrim(%s, 'ab')",
		"trim(BOTH 'az' FROM %s)", "trim(TRAILING 'b' FROM %s)", "(%s || %s)", "(%s || %i)", "(%b || %s)",
		"concat(%s, %s)",
		"concat(%s, %i, %s)", "concat(%s, %b)", "substring(%s, %n)", "substring(%s, %n, %n)",
		"substring(%s FROM %n FOR %n)", "substring(%s, -1, %n)", "substr(%s, 2)", "replace(%s, 'a', 'xy')",
		"replace(%s, %s, %s)",
		"split_part(%s, %w, %n)", "split_part(%s, %w, -1)", "split_part(%s, %s, 1)", "coalesce(%s, '?')",
		"coalesce(%s, %s)", "nullif(%s, %s)", "greatest(%s, %s)", "least(%s, %s)", "CASE WHEN %b THEN %s ELSE %s END",
		"CASE %s WHEN 'a' THEN %s WHEN %s THEN 'y' END", "CAST(%i AS text)", "CAST(%q AS text)", "CAST(%f AS text)",
		"CAST(%b AS text)", "CAST(d AS text)", "CAST(ts AS text)", "CAST(%s AS varchar(2))", "r",
	},
	'b': {
		"(%b AND %b)", "(%b OR %b)", "(NOT %b)", "(%b = %b)", "(%b <> %b)", "(%b IS TRUE)", "(%b IS NOT TRUE)",
		"(%b IS FALSE)", "(%b IS NOT UNKNOWN)", "coalesce(%b, FALSE)", "CASE WHEN %b THEN %b ELSE %b END",
		"CAST(%i AS boolean)", "(%s LIKE %l)", "(%s NOT LIKE %l)", "(%s ILIKE %l)", `(%s LIKE 'a!%%' ESCAPE '!')`,
		"(%s LIKE 'a_b' ESCAPE '')", "(%i IN (%n, %n, 7))", "(%i NOT IN (%n, %n, 7))", "(%i IN (1, NULL, %n))",
		"(%i NOT IN (1, NULL))",
		"(%s IN ('a', 'abc', 'zzz'))", "(%i IN (j, 3, i))", "(%f IN (1, 2.5, 0))", "(%d IN (1, 2.5))",
		"(%i BETWEEN %i AND %i)", "(%f NOT BETWEEN %f AND %n)", "(%s BETWEEN 'a' AND %s)", "(%d BETWEEN %d AND %n)",
		"(%t BETWEEN %t AND %t)",
		"(%i IS NULL)", "(%f IS NOT NULL)", "(%s IS NULL)", "(%t IS NULL)", "(%d IS NOT NULL)", "(%b IS NULL)",
		"(%i = %i)", "(%i <> %i)", "(%i < %i)", "(%i <= %i)", "(%i > %i)", "(%i >= %i)", "(%f = %f)", "(%f < %f)",
		"(%f >= %f)", "(%f <> %f)", "(%f > %f)", "(%s = %s)", "(%s <> %s)", "(%s < %s)", "(%s >= %s)", "(%t = %t)",
		"(%t < %t)", "(%t >= %t)", "(%d = %d)", "(%d < %d)", "(%d >= %d)", "(%i < %f)", "(%i = %d)", "(%d > %i)",
		"(%d <= %f)",
		"(%i > 2.5)", "(%i <= 7.0)", "(%i <> 2.5)", "(%f = 2.5)", "(%d = 2.5)", "(%i IS DISTINCT FROM %i)",
		"(%f IS NOT DISTINCT FROM %f)", "(%s IS DISTINCT FROM %s)", "(%d IS DISTINCT FROM %d)",
		"(%b IS DISTINCT FROM %b)",
		"((%i, %s) < (%i, %s))", "((%i, %d) >= (%i, %n))", "((%i, %s) = (%n, %s))", "((%b, %i) <> (%b, %n))",
		"((%i, %s) IN ((%n, %s), (j, s)))", "((%i, %b) IS DISTINCT FROM (%n, %b))", "((%i, %s) NOT IN ((%n, NULL)))",
		"(%s GLOB 'a*')", "(%s GLOB '?[a-mz]*')", "(%s NOT GLOB '*[^a-c]')",
		"((%t, %t) OVERLAPS (%t, %t))", "((ts, %v) OVERLAPS (%t, u))", "(%s LIKE ANY (ARRAY['a%', '_b%']))",
		"(%s NOT LIKE ALL (ARRAY['a%', '_b%']))",
		"((%t - %t) > %v)", "!(%i = -9223372036854775808)", "!(%i < 9223372036854775807)", "CAST(r AS boolean)",
		"(%t IN (ts, TIMESTAMP '2023-11-15 06:30:00'))", "(%t > CAST(%m AS timestamptz))", "(ts <= %x)",
	},
	't': {
		"date_trunc(%k, %t)", "(%t + %v)", "(%v + %t)", "(%t - %v)", "(%t + (%v - %v))",
		"(%t + %n * INTERVAL '90 minutes')", "(%t + (%t - %t))", "to_timestamp(%i)", "to_timestamp(%f)",
		"CAST(CAST(%t AS date) AS timestamp)", "coalesce(%t, %t)", "greatest(%t, %t)",
		"least(%t, %t)", "nullif(%t, %t)", "CASE WHEN %b THEN %t ELSE %t END", "TIMESTAMP '2023-11-15 06:30:00'",
		"CAST('2024-02-29 23:59:59.5' AS timestamp)",
	},
	'a': {
		"count(*)", "count(%i)", "count(%s)", "count(%f)", "count(%b)", "count(1)", "sum(%i)", "avg(%i)", "min(%i)",
		"max(%i)", "sum(%q)", "avg(%q)", "min(%f)", "max(%f)", "min(%q)", "sum(%d)", "avg(%d)", "min(%d)", "max(%d)",
		"min(%t)", "max(%t)", "min(%s)", "max(%s)", "bool_and(%b)", "bool_or(%b)", "every(%b)", "var_pop(%i)",
		"var_samp(%i)", "variance(f)", "var_pop(f)", "stddev_pop(%i)", "stddev_samp(f)", "stddev(%d)", "var_samp(%d)",
		"min(DISTINCT %i)", "max(DISTINCT %s)", "approx_count_distinct(s)", "approx_count_distinct(j)",
		"sem(%q)", "first(%i ORDER BY n)",
		"last(%s ORDER BY n DESC)", "any_value(%i ORDER BY n DESC)", "first_value(n ORDER BY nullif(n, 3) DESC)",
		"last_value(n ORDER BY nullif(n, 3))", "arbitrary(%b ORDER BY n)", "avg(NULL)",
		"approx_count_distinct(b)", "min_by(%i, j)", "max_by(%s, j)", "min_by(%s, f)", "max_by(d, i)", "first(%i, ts)",
		"last(%f, ts)", "last(%b, u)",
		"min(%y)", "max(%y)", "count(%y)",
	},
	'u': {
		"count(DISTINCT %i)", "count(DISTINCT %s)", "count(DISTINCT f)", "count(DISTINCT %b)", "count(DISTINCT d)",
		"count(DISTINCT ts)", "count(DISTINCT r)", "count(DISTINCT j) FILTER (WHERE %b)",
	},
	'p': {
		"count(*)", "count(i)", "sum(j)", "min(j)", "max(j)", "(%p + %p)", "(%p - %p)", "(%p * 2)", "(%p / 2)",
		"(%p % 4)", "coalesce(%p, 0)", "abs(%p)", "CASE WHEN %h THEN %p ELSE 0 END", "nullif(%p, %p)",
		"greatest(%p, %p)",
	},
	'z': {"(%p / %p)", "(%p % %p)", "(1000 / %p)"},
	'h': {
		"(%p > 2)", "(%p <= %p)", "(%p = %p)", "(max(f) IS NOT NULL)", "(min(s) < 'b')", "(avg(j) > 0.5)",
		"(%h AND %h)", "(%h OR %h)", "(NOT %h)", "(%p IN (1, 2, 3))", "(%p BETWEEN 1 AND 5)", "bool_or(b)",
		"(max(ts) > TIMESTAMP '2023-11-15 06:30:00')",
		"(min(s) LIKE 'a%')", "(sum(d) >= 10.5)", "(count(*) FILTER (WHERE %b) > 1)",
	},
}

// ofPostgres are constructs that are compared with PostgreSQL alone: the others have them not, or
// otherwise. They belong to the grammar.
var ofPostgres = map[byte][]string{
	'i': {
		"(%i & %i)", "(%i | %i)", "(%i # %i)", "(~ %i)", "(%i << 3)", "(%i >> %n)", "gcd(%i, %i)", "lcm(%i, %n)",
		"factorial(%n)", "ascii(%s)", "octet_length(%s)", "bit_length(%s)", "strpos(%s, %s)",
		"width_bucket(%f, -10, 10, 5)", "width_bucket(%q, 8, -8, %n)", "regexp_count(%s, '[a-c]')",
		"regexp_instr(%s, 'b')", "extract(decade FROM %t)", "extract(century FROM %t)", "extract(millennium FROM %t)",
		"round(%i, -1)", "trunc(%i, -2)", "extract(day FROM %t - %t)", "extract(year FROM age(ts, u))", "extract(month FROM age(u, ts))",
		"extract(day FROM age(u, %t))", "extract(hour FROM %t - ts)",
		"extract(minute FROM u - %t)", "extract(microseconds FROM %t - %t)",
		"json_array_length('[' || %i || ', 2]')",
	},
	'f': {"extract(second FROM %t - %t)", "round(%f, -1)", "trunc(%f, 1)", "trunc(%f, -2)"},
	'd': {"round(%d, -1)", "trunc(%d, 1)", "trunc(%d, -2)"},
	'y': {
		"sin(%q)", "cos(%q)", "tan(%n)", "atan(%f)", "cbrt(%f)", "degrees(%q)", "radians(%f)", "tanh(%f)", "sinh(%n)",
		"asin(%q)", "acos(%q)", "acosh(%f)", "atanh(%q)", "log(%f)", "atan2(%q, %q)", "pi()", "log10(%q)", "asinh(%f)",
	},
	's': {
		`(('{"a": [' || %i || ', {"b": true}]}') #>> '{a,0}')`, `(('{"a": [' || %i || ', {"b": "x"}]}') #> '{a,1,b}')`,
		`json_typeof(('[' || %i || ', {}]') #> '{1}')`, `json_extract_path_text('{"a": "x' || %i || '"}', 'a')`,
		`to_char(%i, '999,990')`, `to_char(%f, '999,990')`, `to_char(%d, '999,990')`, `to_char(%i, 'S0999')`, `to_char(%f, 'S0999')`, `to_char(%d, 'S0999')`, `to_char(%i, '999D99MI')`, `to_char(%f, '999D99MI')`, `to_char(%d, '999D99MI')`, `to_char(%i, 'FM990.099')`, `to_char(%f, 'FM990.099')`, `to_char(%d, 'FM990.099')`, `to_char(%i, '9G999.9PR')`, `to_char(%f, '9G999.9PR')`, `to_char(%d, '9G999.9PR')`, `to_char(%i, 'FM999.99')`, `to_char(%f, 'FM999.99')`, `to_char(%d, 'FM999.99')`, `to_char(%i, '999S')`, `to_char(%f, '999S')`, `to_char(%d, '999S')`, `to_char(%i, '0000.0')`, `to_char(%f, '0000.0')`, `to_char(%d, '0000.0')`, `to_char(%i, 'FM0.0S')`, `to_char(%f, 'FM0.0S')`, `to_char(%d, 'FM0.0S')`, `to_char(%i, 'S99.9 "x"9')`, `to_char(%f, 'S99.9 "x"9')`, `to_char(%d, 'S99.9 "x"9')`, `to_char(%i, 'FM9,999PR')`, `to_char(%f, 'FM9,999PR')`, `to_char(%d, 'FM9,999PR')`, `to_char(%i, '99,999.999')`, `to_char(%f, '99,999.999')`, `to_char(%d, '99,999.999')`, `to_char(%i, 'MI0999')`, `to_char(%f, 'MI0999')`, `to_char(%d, 'MI0999')`, `to_char(%i, 'FM999MI')`, `to_char(%f, 'FM999MI')`, `to_char(%d, 'FM999MI')`, `to_char(%i, '9.')`, `to_char(%f, '9.')`, `to_char(%d, '9.')`, `to_char(%i, 'FM9.99')`, `to_char(%f, 'FM9.99')`, `to_char(%d, 'FM9.99')`,
		"initcap(%s)", "translate(%s, 'abl', 'xy')", "concat_ws('-', %s, %i, %s)", "concat_ws(%s, 'a', %s)",
		"to_hex(%i)", "overlay(%s PLACING 'zz' FROM 2)", "overlay(%s PLACING %s FROM %n FOR %n)", "left(%s, %n)",
		"right(%s, -2)", "lpad(%s, 5, 'xy')", "rpad(%s, %n)", "repeat(%s, %n)", "reverse(%s)",
		"regexp_replace(%s, '[a-c]+', '<\\&>', 'g')", "regexp_substr(%s, 'b.')", "chr(%n + 97)", "md5(%s)",
		"CAST(CAST(%t AS date) AS text)", "CAST(%t - %t AS text)", "age(ts, u)", "age(u, %t)", "to_char(%t, 'YYYY-MM-DD HH24:MI:SS.US Day FMDDD Q')",
	},
	'b': {
		"(%s ~ '^a')", "(%s ~ 'b$')", "(%s ~* 'A.*b')", "(%s !~ '^(a|x)')", "(%s ~ '^abc$')", "(%s ~ 'l')",
		"(%s SIMILAR TO '%(a|b)_*')", "(%s NOT SIMILAR TO '[a-c]+')", "(%i BETWEEN SYMMETRIC %i AND %i)",
		"(%f NOT BETWEEN SYMMETRIC %f AND %n)", "starts_with(%s, 'a')", "(CAST(%t AS date) - CAST(%t AS date) > %n)",
		"(DATE '2024-02-29' + %i < %t)",
	},
	// w are aggregates of all values of a group at once.
	'w': {
		"sum(DISTINCT %i)", "avg(DISTINCT %q)", "var_pop(DISTINCT %i)", "sum(DISTINCT %d)", "count(DISTINCT %s)",
		"count(DISTINCT %i)", "percentile_cont(0.3) WITHIN GROUP (ORDER BY %q)",
		"percentile_cont(0.25) WITHIN GROUP (ORDER BY %d DESC)", "percentile_disc(0.7) WITHIN GROUP (ORDER BY %i)",
		"percentile_disc(0.2) WITHIN GROUP (ORDER BY %s DESC)", "percentile_disc(0.5) WITHIN GROUP (ORDER BY %t)",
		"mode() WITHIN GROUP (ORDER BY %i)", "mode() WITHIN GROUP (ORDER BY %s)", "median(%q)",
		"string_agg(%s, '-' ORDER BY n)", "string_agg(%s, '' ORDER BY %i DESC, n)",
		"string_agg(DISTINCT s, ',' ORDER BY s DESC)", "array_agg(%i ORDER BY n)", "array_agg(%s ORDER BY %q, n DESC)",
		"array_agg(DISTINCT j)", "bit_xor(DISTINCT %i)", "array_agg(%b ORDER BY n)",
	},
	'a': {
		"corr(%q, j)", "covar_pop(%q, %q)", "covar_samp(f, j)", "regr_slope(j, f)", "regr_intercept(%q, j)",
		"regr_r2(f, j)", "regr_count(%f, %i)", "regr_avgx(%q, j)", "regr_avgy(%q, j)", "regr_sxx(f, j)",
		"regr_syy(f, j)", "regr_sxy(f, j)", "bit_and(%i)", "bit_or(%i)", "bit_xor(%i)",
	},
	't': {
		"CAST(make_date(2024, 2, %n) AS timestamp)", "make_timestamp(2024, 1, %n, 13, 5, %n + 0.25)", "date_trunc('decade', %t)",
		"date_trunc('century', %t)", "(%t + INTERVAL '1 month')", "date_bin('15 minutes', %t, TIMESTAMP '2001-01-01')",
	},
}

func init() {
	for kind, of := range ofPostgres {
		grammar[kind] = append(grammar[kind], of...)
		for _, text := range of {
			for _, says := range []map[string]string{duckSays, liteSays} {
				says[text] = ""
			}
		}
	}
}

// leaves are what an expression ends with.
var leaves = map[byte][]string{
	'u': {"count(DISTINCT j)", "count(DISTINCT s)"},
	'i': {"i", "i", "j", "t.j", `"j"`, "%n", "(-%n)", "!9223372036854775807", "!(-9223372036854775808)"},
	'f': {"f", "g", "g", "%n.5e0"}, 'q': {"f"}, 'd': {"d", "d", "e", "%n.25"}, 's': {"s", "s", "s", "'abc'", "'ab'"},
	'r': {"r"}, 'y': {"f"}, 'z': {"(1000 / sum(j))"},
	'b': {"b", "b", "(i IS NULL)", "(j > 3)", "(s = 'abc')", "(f < g)"}, 't': {"ts", "u"}, 'a': {"count(*)"},
	'p': {"count(*)", "sum(j)", "max(j)"}, 'w': {"count(DISTINCT j)"}, 'h': {"(count(*) > 2)", "(sum(j) > 0)", "(min(j) < max(j))"},
}

var constants = map[byte][]string{
	'l': {"'a%'", "'%b_'", "'%'", "'_b%'", "'%a%b%'", "'abc'", "''", `'a\%b'`, "'%L%'", "'Ä%'", "'%_%_'"},
	'v': {
		"INTERVAL '90 minutes'", "INTERVAL '1 day'", "INTERVAL '1.5 s'", "INTERVAL '-2 hours'",
		"INTERVAL '1 week 01:30:00'", "INTERVAL '10' SECOND",
	},
	'c': {
		"minute", "hour", "day", "dow", "isodow", "doy", "week", "month", "quarter", "year", "isoyear",
		"microsecond",
	},
	'k': {
		"'microsecond'", "'millisecond'", "'second'", "'minute'", "'hour'", "'day'", "'week'", "'month'", "'quarter'",
		"'year'",
	},
	'm': {
		"'2023-11-15'", "'2023-11-15 06:30'", "'2023-11-15T06:30:00Z'", "'2023-11-15 06:30:00.123456+02'",
		"'2023-11-15 06:30:00-05:30'", "'1999-12-31 23:59:59.999999'", "'2023-02-30'", "'2023-11-15 24:61'", "'noon'",
	},
	'x': {"'2023-11-15'", "'2023-11-15 06:30'", "'2023-11-15T06:30:00'"},
	'w': {"'l'", "','", "'b'", "'lo'", "''"},
}

// term is an expression as velo says it and as an oracle does. An empty one is what the oracle has
// not.
type term struct{ velo, theirs string }

// maker makes random SQL that means the same to velo and to an oracle.
type maker struct {
	*rand.Rand
	oracle oracle
	wild   bool
	narrow bool // the query has something that velo refuses because of a limit of its own: decimals, times
}

func (m *maker) one(of ...string) string { return of[m.IntN(len(of))] }

// make is a random expression of a kind, nested up to a depth. It is empty where the oracle has
// none.
func (m *maker) make(kind byte, depth int) term {
	for range 100 {
		from := grammar[kind]
		if depth <= 0 || m.IntN(4) == 0 || from == nil {
			from = leaves[kind]
		}
		text, wild := strings.CutPrefix(from[m.IntN(len(from))], "!")
		if wild && !m.wild {
			continue
		}
		if t := m.fill(text, depth-1); t.theirs != "" {
			m.narrow = m.narrow || kind == 'd' || kind == 't' || strings.Contains(text, "%d") ||
				strings.HasPrefix(text, "round(%f, ")
			return t
		}
	}
	return term{}
}

// fill puts arguments into a construct.
func (m *maker) fill(text string, depth int) term {
	theirs, other := m.oracle.says()[text]
	if other && theirs == "" {
		return term{}
	}
	var velo strings.Builder
	var args []term
	for i := 0; i < len(text); i++ {
		if text[i] != '%' || i+1 == len(text) || text[i+1] < 'a' || text[i+1] > 'z' {
			velo.WriteByte(text[i])
			continue
		}
		i++
		var a term
		switch k := text[i]; {
		case k == 'n':
			d := strconv.Itoa(m.IntN(10))
			a = term{d, d}
		case constants[k] != nil:
			c := m.one(constants[k]...)
			if a = (term{c, c}); m.oracle.says()[c] != "" {
				a.theirs = m.oracle.says()[c]
			}
		case grammar[k] == nil && leaves[k] == nil:
			velo.WriteString(text[i-1 : i+1]) // a pattern
			continue
		default:
			if a = m.make(k, depth); a.theirs == "" {
				return a
			}
		}
		velo.WriteString(a.velo)
		args = append(args, a)
	}
	if !other {
		theirs = velo.String()
		if len(args) > 0 {
			theirs = same(text, args)
		}
	} else {
		for i, a := range slices.Backward(args) {
			theirs = strings.ReplaceAll(theirs, "$"+strconv.Itoa(i+1), a.theirs)
		}
	}
	return term{velo.String(), theirs}
}

// same is a construct that the oracle says as velo does, with what it says for the arguments.
func same(text string, args []term) string {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] == '%' && i+1 < len(text) && len(args) > 0 {
			if k := text[i+1]; k == 'n' || constants[k] != nil || grammar[k] != nil || leaves[k] != nil {
				b.WriteString(args[0].theirs)
				args = args[1:]
				i++
				continue
			}
		}
		b.WriteByte(text[i])
	}
	return b.String()
}

// aggregate is one with a FILTER as often as not. $F in what the oracle says is where it has the
// condition.
func (m *maker) aggregate(kind byte) term {
	a, filter := m.make(kind, 3), term{}
	if a.theirs == "" {
		return a
	}
	if m.IntN(3) == 0 {
		filter = m.make('b', 2)
		a.velo += " FILTER (WHERE " + filter.velo + ")"
	}
	switch {
	case strings.Contains(a.theirs, "$F") && filter.velo == "":
		a.theirs = strings.ReplaceAll(a.theirs, "$F", "TRUE")
	case strings.Contains(a.theirs, "$F"):
		a.theirs = strings.ReplaceAll(a.theirs, "$F", filter.theirs)
	case filter.velo != "":
		a.theirs += " FILTER (WHERE " + filter.theirs + ")"
	}
	return a
}

// of is a column made of a key.
func of(text string, k term) term {
	return term{strings.ReplaceAll(text, "%s", k.velo), strings.ReplaceAll(text, "%s", k.theirs)}
}

// sizes are the sizes of a window: slide or step and size as intervals, the size in microseconds
// too.
type sizes struct {
	kind, size, slide string
	micros            int64
}

// windows are those that GROUP BY has.
var windows = []sizes{
	{"tumble", "INTERVAL '1 hour'", "", 3600e6},
	{"tumble", "INTERVAL '7 minutes'", "", 420e6},
	{"tumble", "INTERVAL '1 day'", "", 86400e6},
	{"hop", "INTERVAL '3 hours'", "INTERVAL '1 hour'", 10800e6},
	{"hop", "INTERVAL '1 day'", "INTERVAL '8 hours'", 86400e6},
	{"cumulate", "INTERVAL '6 hours'", "INTERVAL '2 hours'", 21600e6},
}

// window is a window of GROUP BY, and how an oracle has it: rows that belong to several are joined
// with a series of w.
type window struct{ velo, series, start, end string }

// window is nil where the oracle has none of that kind.
func (m *maker) window(of sizes) *window {
	says := func(what string) string {
		return strings.NewReplacer("$1", of.size, "$2", strconv.FormatInt(of.micros, 10), "$3", of.slide).Replace(
			m.oracle.says()[of.kind+what])
	}
	w := &window{"tumble(ts, " + of.size + ")", says(".series"), says(".start"), says(".end")}
	if of.slide != "" {
		w.velo = of.kind + "(ts, " + of.slide + ", " + of.size + ")"
	}
	if w.start == "" {
		return nil
	}
	return w
}

// statement is a query in its parts, so that parts of one that fails can be left out.
type statement struct {
	distinct      bool
	keys          []term
	refs          []int   // how GROUP BY names each key: 0 its text, 1 its number, 2 its name
	window        *window // the first two keys are its bounds
	columns       []term
	where, having *term
	order         []orderBy
	limit, offset int // limit -1: none
	narrow        bool
}

type orderBy struct {
	column       int
	as           int // 0 its number, 1 its name, 2 what it is
	desc         bool
	nulls, first bool // NULLS FIRST or LAST is said
}

var (
	quoted  = regexp.MustCompile(`'[^']*'`)
	inexact = regexp.MustCompile(`^(avg|var|std|cor|cov|reg|med|percentile_cont)|power|pow\(|exp\(|ln\(|\^`)
	column  = regexp.MustCompile(`\b(i|j|f|g|s|r|b|ts|u|d|e)\b`)
)

// statement is a random one.
func (m *maker) statement() *statement {
	m.narrow = false
	s := &statement{limit: -1}
	for range m.IntN(4) {
		k := m.make("iiisssbbbtdqf"[m.IntN(13)], 2)
		if k.theirs == "" {
			continue
		}
		if !column.MatchString(quoted.ReplaceAllString(k.velo, "")) {
			k = term{"j", "j"} // constants are refused, as PostgreSQL does
		}
		if !slices.Contains(s.keys, k) {
			s.keys, s.refs = append(s.keys, k), append(s.refs, m.IntN(3))
		}
	}
	s.distinct = len(s.keys) > 0 && m.IntN(12) == 0
	if w := windows[m.IntN(len(windows))]; !s.distinct && m.IntN(8) == 0 {
		s.window = m.window(w)
	}
	if s.window != nil {
		s.keys, s.refs = append([]term{{"window_start", s.window.start}, {"window_end", s.window.end}}, s.keys...),
			append([]int{0, 0}, s.refs...)
	}
	if !s.distinct {
		for range 1 + m.IntN(4) {
			s.columns = append(s.columns, m.aggregate('a'))
		}
		if m.IntN(3) == 0 {
			s.columns = append(s.columns, m.make("ppz"[m.IntN(3)], 3))
		}
		if m.IntN(4) == 0 {
			s.columns = append(s.columns, m.make('u', 3))
		}
		if m.IntN(5) == 0 {
			for range 1 + m.IntN(3) {
				if w := m.aggregate('w'); w.theirs != "" {
					s.columns = append(s.columns, w)
				}
			}
		}
		if len(s.keys) > 0 && m.IntN(3) == 0 {
			s.columns = append(s.columns,
				of(m.one("(%s IS NULL)", "CASE WHEN %s IS NOT NULL THEN count(*) END", "(%s IS NOT DISTINCT FROM %s)",
					"nullif(%s, %s)"), s.keys[m.IntN(len(s.keys))]))
		}
		if m.IntN(3) == 0 {
			h := m.make('h', 3)
			if len(s.keys) > 0 && m.IntN(3) == 0 {
				k := s.keys[m.IntN(len(s.keys))]
				h = term{"(" + h.velo + " OR " + k.velo + " IS NULL)", "(" + h.theirs + " OR " + k.theirs + " IS NULL)"}
			}
			s.having = &h
		}
	}
	if m.IntN(2) == 0 {
		w := m.make('b', 3)
		s.where = &w
	}
	if m.IntN(3) == 0 {
		// All keys, so that rows that tie are the same and LIMIT takes the same rows.
		all := m.Perm(len(s.keys))
		if len(s.columns) > 0 && m.IntN(2) == 0 {
			// What is rounded may tie in one of the two only.
			if c := m.IntN(len(s.columns)); !inexact.MatchString(s.columns[c].velo) {
				all = append([]int{len(s.keys) + c}, all...)
			}
		}
		for _, c := range all {
			s.order = append(s.order, orderBy{c, m.IntN(3), m.IntN(2) == 0, m.IntN(2) == 0, m.IntN(2) == 0})
		}
		if m.IntN(2) == 0 {
			s.limit = 1 + m.IntN(20)
		}
		if m.IntN(3) == 0 {
			s.offset = m.IntN(6)
		}
	}
	s.narrow = m.narrow
	return s
}

// text is the statement as velo says it, or as the oracle does over the rows that from has.
func (s *statement) text(o oracle, from string) string {
	say := func(t term) string {
		if o == nil {
			return t.velo
		}
		return t.theirs
	}
	if s.window != nil && s.window.series != "" && o != nil {
		from = "(SELECT t.*, w FROM " + from + " CROSS JOIN " + s.window.series + " AS w) AS t"
	}
	var items []string
	for _, t := range append(slices.Clone(s.keys), s.columns...) {
		items = append(items, fmt.Sprintf("%s AS c%d", say(t), len(items)))
	}
	q := "SELECT "
	if s.distinct {
		q += "DISTINCT "
	}
	q += strings.Join(items, ", ") + " FROM " + from
	if s.where != nil {
		if o == nil {
			q += " WHERE " + s.where.velo
		} else {
			// A CASE keeps a database from reordering what AND joins.
			q += " WHERE CASE WHEN " + s.where.theirs + " THEN TRUE END"
		}
	}
	if len(s.keys) > 0 && !s.distinct {
		var keys []string
		for i, k := range s.keys {
			if i == 0 && s.window != nil && o == nil {
				k.velo = s.window.velo
			}
			keys = append(keys, []string{say(k), strconv.Itoa(i + 1), fmt.Sprintf("c%d", i)}[s.refs[i]])
		}
		q += " GROUP BY " + strings.Join(keys, ", ")
	}
	if s.having != nil {
		q += " HAVING " + say(*s.having)
	}
	for i, by := range s.order {
		q += []string{", ", " ORDER BY "}[map[bool]int{true: 1}[i == 0]]
		switch {
		case by.as == 1:
			q += fmt.Sprintf("c%d", by.column)
		case by.as == 2 && by.column < len(s.keys):
			q += say(s.keys[by.column])
		default:
			q += strconv.Itoa(by.column + 1)
		}
		if by.desc {
			q += " DESC"
		}
		// Where it is not said velo has PostgreSQL's order; only that one is asked for its own.
		if by.nulls || o != nil && !o.wild() {
			first := by.desc
			if by.nulls {
				first = by.first
			}
			q += map[bool]string{true: " NULLS FIRST", false: " NULLS LAST"}[first]
		}
	}
	if s.limit >= 0 {
		q += fmt.Sprintf(" LIMIT %d", s.limit)
	} else if s.offset > 0 && o != nil && o.name() == "SQLite" {
		q += " LIMIT -1"
	}
	if s.offset > 0 {
		q += fmt.Sprintf(" OFFSET %d", s.offset)
	}
	return q
}
