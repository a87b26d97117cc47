package query_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/velo-engine/velo/query"
	"github.com/velo-engine/velo/result"
)

// Goal: functions as people type them give what PostgreSQL gives, and for other spellings what the
// database gives that has them. Method: one row, each expression for itself.
func TestTypedFunctions(t *testing.T) {
	x := table{
		"at timestamp, s text, n text, i bigint, f double precision, d decimal(10,3)",
		[]string{"2024-07-04 15:06:07.089|Hello wörld|NULL|-7|2.675|12.345"},
	}
	for text, want := range map[string]string{
		`concat_ws('-', s, n, i)`: "Hello wörld--7", `concat_ws(n, s, s)`: "NULL", `initcap('hELLO wORLD-x')`: "Hello World-X",
		`translate('12345', '143', 'ax')`: "a2x5", `ends_with(s, 'rld')`: "TRUE", `endswith(n, 'x')`: "NULL",
		`overlay('Txxxxas' PLACING 'hom' FROM 2 FOR 4)`: "Thomas", `overlay('abc', 'X', 2)`: "aXc", `to_hex(255)`: "ff",
		`bit_length('ö')`: "16", `instr(s, 'w')`: "7", `contains(s, 'wör')`: "TRUE", `ifnull(n, 'x')`: "x", `nvl2(n, 1, 2)`: "2",
		`if(i < 0, 'neg', 'pos')`: "neg", `regexp_extract(s, '(l+)o', 1)`: "ll", `regexp_extract(s, 'z')`: "",
		`regexp_instr(s, 'w')`: "7", `regexp_full_match(s, 'Hello.*')`: "TRUE", `s SIMILAR TO '%(w|z)_rld'`: "TRUE",
		`'abc' SIMILAR TO 'a'`: "FALSE", `s ~ '^Hel'`: "TRUE", `s ~ 'rld$'`: "TRUE", `s COLLATE "C" > 'A'`: "TRUE",
		`i & 3`: "1", `i | 8`: "-7", `i # 1`: "-8", `~i`: "6", `1 << 10`: "1024", `-8 >> 1`: "-4", `xor(5, 1)`: "4",
		`bit_count(255)`: "8", `gcd(12, i * 6)`: "6", `lcm(4, 6)`: "12", `factorial(5)`: "120", `round(f, 2)`: "2.68",
		`round(d, -1)`: "10", `trunc(d, 1)`: "12.3", `round(15, -1)`: "20", `trunc(-17.5)`: "-17", `log(2, 8)`: "3",
		`log2(8.0)`: "3", `cbrt(27)`: "3", `degrees(pi())`: "180", `width_bucket(5.35, 0.024, 10.06, 5)`: "3", `fmod(7, 4)`: "3",
		`year(at)`: "2024", `second(at)`: "7", `monthname(at)`: "July", `date_diff('day', DATE '2024-01-01', at)`: "185",
		`date_diff('month', TIMESTAMP '2023-12-31', at)`: "7", `last_day(at)`: "2024-07-31T00:00:00Z",
		`CAST(DATE '2024-02-29' + 1 AS text)`: "2024-03-01", `DATE '2024-03-01' - DATE '2024-02-01'`: "29",
		`make_date(2024, 2, 29)`: "2024-02-29T00:00:00Z", `make_timestamp(2024, 1, 2, 3, 4, 5.5)`: "2024-01-02T03:04:05.5Z",
		`strftime(at, '%Y/%m/%d %H:%M')`: "2024/07/04 15:06", `strftime('%j', at)`: "186", `epoch_ms(1500)`: "1970-01-01T00:00:01.5Z",
		`epoch_ms(at)`: "1720105567089", `time_bucket(INTERVAL '1 week', at)`: "2024-07-01T00:00:00Z",
		`time_bucket(INTERVAL '3 months', at)`: "2024-07-01T00:00:00Z", `to_date('04/07/2024', 'DD/MM/YYYY')`: "2024-07-04T00:00:00Z",
		`extract(century FROM at)`: "21", `date_trunc('decade', at)`: "2020-01-01T00:00:00Z", `date_add(at, INTERVAL 1 DAY)`: "2024-07-05T15:06:07.089Z",
		`TRY_CAST(s AS bigint)`: "NULL", `TRY_CAST('12' AS bigint)`: "12", `try(1 / (i + 7))`: "NULL", `try_strptime(s, '%Y-%m-%d')`: "NULL",
		`format('%s|%5s|%-6s|%%|%1$s', i, d, true)`: "-7|12.345|t     |%|-7", `format('%3s%s', n, n)`: "   ",
		`pg_typeof(d)`: "numeric", `pg_typeof(at)`: "timestamp with time zone", `pg_typeof(i + 1)`: "bigint",
		`isnull(n, 'x')`: "x", `isnull(n)`: "TRUE",
		`i BETWEEN SYMMETRIC 0 AND -10`: "TRUE", `n NOT NULL`: "FALSE", `bigint '5' + 1`: "6", `current_date > DATE '2024-01-01'`: "TRUE",
		`now() = current_timestamp`: "TRUE", `@ i`: "7", `|/ 16`: "4", `s ~~ 'Hel%'`: "TRUE", `s !~~* '%WÖR%'`: "FALSE",
		`s ^@ 'Hel'`: "TRUE", `i = ANY(ARRAY[1, -7])`: "TRUE", `i <> ALL(ARRAY[1, 2])`: "TRUE", `i > ALL(ARRAY[1, -9])`: "FALSE",
		`at + INTERVAL 'P1DT2H'`: "2024-07-05T17:06:07.089Z", `at + INTERVAL '1-2' YEAR TO MONTH`: "2025-09-04T15:06:07.089Z",
		`at - INTERVAL '1 day ago'`: "2024-07-05T15:06:07.089Z", `at + INTERVAL '1 hour' * 1.5`: "2024-07-04T16:36:07.089Z",
		`at + INTERVAL '1:30' MINUTE TO SECOND`: "2024-07-04T15:07:37.089Z", `at + INTERVAL '1h30m'`: "2024-07-04T16:36:07.089Z",
		`to_char(at, 'FMDDth FMMonth Y,YYY CC J')`: "4th July 2,024 21 2460496", `to_char(at, 'HH12:MI a.m. RM FF3 SSSSS')`: "03:06 p.m. VII  089 54367",
		`round(f::numeric, 2)`: "2.68", `div(i, 2)`: "-3", `i == -7`: "TRUE", `CAST(at - TIMESTAMP '2024-07-03' AS text)`: "1 day 15:06:07.089",
		`CAST(TIMESTAMP '2024-07-03' - at AS text)`: "-1 days -15:06:07.089", `extract(hour FROM at - TIMESTAMP '2024-07-03')`: "15",
		`extract(day FROM TIMESTAMP '2024-07-01' - at)`: "-3",
		`s LIKE ANY (ARRAY['x%', '%rld'])`:              "TRUE", `s LIKE ALL ('{Hel%,%x}')`: "FALSE",
		`s NOT LIKE ANY (ARRAY['Hel%', 'x'])`: "TRUE",
		`s ILIKE SOME (ARRAY['hel%'])`:        "TRUE", `s NOT ILIKE ALL (ARRAY['x%', 'y%'])`: "TRUE",
		`make_interval(days => 3)::text`:                        "3 days",
		`make_interval(0, 0, 1, secs := 1.5, hours => 2)::text`: "7 days 02:00:01.5",
		`make_interval()::text`:                                 "00:00:00", `make_date(day => 3, year => 2020, month => 1)`: "2020-01-03T00:00:00Z",
		`num_nulls(i, NULL, s, n)`: "2", `num_nonnulls(NULL)`: "0", `num_nonnulls(i, n, at)`: "2",
		`'{"a": [1, 2]}'::json -> 'a'`: "[1, 2]", `json '[1]' ->> 0`: "1", `CAST(' {"b":1} ' AS json)`: ` {"b":1} `,
		`TRY_CAST(s AS json)`: "NULL", `json_extract_path_text('{"a":{"b":"x"}}', 'a', 'b')`: "x",

		`to_char(INTERVAL '3 days 04:05:06.078901', 'DD DDD HH24 HH12 HH MI SS')`:                 "03 003 04 04 04 05 06",
		`to_char(INTERVAL '3 days 04:05:06.078901', 'DD MS US FF3 SSSS AM FMHH24 "d"')`:           "03 078 078901 078 14706 AM 4 d",
		`to_char(INTERVAL '-3 days -04:05:06.078901', 'DD DDD HH24 HH12 MI SS')`:                  "-3 -03 -04 -04 -05 -06",
		`to_char(INTERVAL '-3 days -04:05:06.078901', 'MS US FF3 SSSS AM FMDD FMHH24 FMMS DDth')`: "-78 -78901 -78 -14706 AM -3 -4 -78 -3rd",
		`to_char(INTERVAL '-00:00:00.078901', 'DD|HH24|HH12|MI|SS|MS|US|FF2|SSSS')`:               "00|00|12|00|00|-78|-78901|-7|0",
		`to_char(INTERVAL '-13 hours', 'AM HH12 HH24 p.m.')`:                                      "AM -01 -13 a.m.",
		`to_char(at - TIMESTAMP '2024-07-01', 'HH24:MI:SS pm')`:                                   "15:06:07 pm",
		`to_char(at - TIMESTAMP '2024-07-01' + INTERVAL '10 hours', 'FMDD HH24:MI')`:              "4 01:06",
	} {
		rows, reasons, _ := x.query(t, `SELECT first(`+text+`, at) AS x FROM t`)
		if len(rows) != 1 || rows[0] != want || len(reasons) != 0 {
			t.Errorf("%s: %q, set aside %q, expected %q", text, rows, reasons, want)
		}
	}
}

// Goal: groups and their rows as people ask for them. Method: one table with NULLs and rows that tie.
func TestTypedQueries(t *testing.T) {
	x := table{"k text, v bigint, f double precision, at timestamp", []string{
		"a|1|1|2024-01-01 00:00:01", "a|2|4|2024-01-01 00:00:02", "a|2|5|2024-01-01 00:00:03", "b|5|2|2024-01-01 00:00:04",
		"b|NULL|3|2024-01-01 00:00:05", "c|7|8|2024-01-01 00:01:06", "NULL|2|NULL|2024-01-01 00:01:07",
	}}
	x.check(t, []userCase{
		{`SELECT DISTINCT count(*) AS n FROM t GROUP BY k ORDER BY n`, []string{"1", "2", "3"}, nil},
		{`SELECT DISTINCT count(*) AS n FROM t GROUP BY k ORDER BY 1 DESC LIMIT 1 OFFSET 1`, []string{"2"}, nil},
		{`SELECT k, count(*) AS n FROM t GROUP BY ALL ORDER BY ALL`, []string{"a 3", "b 2", "c 1", "NULL 1"}, nil},
		{`SELECT k, count(*) AS n FROM t GROUP BY ALL HAVING n > 1 ORDER BY -n`, []string{"a 3", "b 2"}, nil},
		{
			`SELECT k, median(v) AS m, percentile_disc(0.5) WITHIN GROUP (ORDER BY v DESC) AS d, mode() WITHIN GROUP (ORDER BY v) AS o FROM t GROUP BY k ORDER BY k`,
			[]string{"a 2 2 2", "b 5 5 5", "c 7 7 7", "NULL 2 2 2"},
			nil,
		},
		{
			`SELECT k, string_agg(v, '+' ORDER BY at DESC) AS s, array_agg(v ORDER BY at) AS a, count(DISTINCT v) AS n, sum(DISTINCT v) AS d FROM t GROUP BY k ORDER BY k`,
			[]string{"a 2+2+1 {1,2,2} 2 3", "b 5 {5,NULL} 1 5", "c 7 {7} 1 7", "NULL 2 {2} 1 2"},
			nil,
		},
		{`SELECT count(DISTINCT v) AS v, count(DISTINCT k) AS k, count(DISTINCT f) FILTER (WHERE v > 1) AS f, avg(DISTINCT v) AS a FROM t`, []string{"4 3 4 3.75"}, nil},
		{`SELECT median(v) AS m, string_agg(k, ',' ORDER BY k) AS s FROM t WHERE v > 100`, []string{"NULL NULL"}, nil},
		{
			`SELECT k, sum(v) AS s, grouping(k) AS g FROM t WHERE v < 6 GROUP BY ROLLUP(k) ORDER BY g, k`,
			[]string{"a 5 0", "b 5 0", "NULL 2 0", "NULL 12 1"},
			nil,
		},
		{`SELECT k, count(*) AS n FROM t WHERE v > 100 GROUP BY CUBE(k)`, []string{"NULL 0"}, nil},
		{
			`SELECT k, sum(sum(v)) OVER (ORDER BY k) AS s, row_number() OVER (ORDER BY count(*) DESC, k) AS r FROM t GROUP BY k ORDER BY k`,
			[]string{"a 5 1", "b 10 2", "c 17 3", "NULL 19 4"},
			nil,
		},
		{`SELECT k FROM t GROUP BY k QUALIFY rank() OVER (ORDER BY count(*) DESC) <= 2 ORDER BY k`, []string{"a", "b"}, nil},
		{
			`SELECT window_start, first(v) AS a, last(v) AS z, count_if(v > 1) AS n, any_value(k) AS k FROM t GROUP BY tumble(at, INTERVAL '1 minute') ORDER BY 1`,
			[]string{"2024-01-01T00:00:00Z 1 NULL 3 a", "2024-01-01T00:01:00Z 7 2 2 c"},
			nil,
		},
		{`SELECT max(at) - min(at) AS d, max(at - TIMESTAMP '2023-12-31') AS m FROM t`, []string{"00:01:06 1 day 00:01:07"}, nil},
		{
			`SELECT CAST(CAST(at AS date) AS text) AS d, CAST(at AS date) - DATE '2023-12-31' AS n, CAST(max(CAST(at AS date)) AS text) AS m FROM t GROUP BY CAST(at AS date)`,
			[]string{"2024-01-01 1 2024-01-01"},
			nil,
		},
		{`SELECT sum(CAST(v AS numeric) * '1.5'::numeric) AS s FROM t`, []string{"28.5"}, nil},
		{`SELECT geomean(f) AS g, total(v) AS t, count_star() AS n FROM t WHERE k = 'a' AND f <> 5`, []string{"2 3 2"}, nil},
		{
			`SELECT TUMBLE_START(at, INTERVAL '1' MINUTE) AS s, tumble_end(at, INTERVAL '1' MINUTE) AS e, count(*) AS n FROM t GROUP BY TUMBLE(at, INTERVAL '1' MINUTE) ORDER BY s`,
			[]string{"2024-01-01T00:00:00Z 2024-01-01T00:01:00Z 5", "2024-01-01T00:01:00Z 2024-01-01T00:02:00Z 2"},
			nil,
		},
		{`SELECT bit_and(v) AS a, bit_or(v) AS o, bit_xor(v) AS x, regr_count(f, v) AS n FROM t WHERE k = 'a'`, []string{"0 3 1 3"}, nil},
	})
}

// Goal: what is not there is refused by its name, and unknown functions before anything else.
func TestTypedFaults(t *testing.T) {
	schema, err := query.Columns("t", "k text, v bigint, at timestamp")
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		`SELECT nothing, lenght(k) FROM t`:                                                   `no function "lenght"; did you mean "length"?`,
		`SELECT v FROM t WHERE row_number() OVER () = 1`:                                     "can be in SELECT, QUALIFY and ORDER BY only",
		`SELECT v FROM t QUALIFY v > 1`:                                                      "QUALIFY without a function with OVER",
		`SELECT row_number() FROM t`:                                                         "row_number needs OVER",
		`SELECT count(DISTINCT v) OVER () FROM t`:                                            "count(DISTINCT ...) cannot be OVER rows",
		`SELECT sum(v) OVER (ORDER BY k RANGE 1 PRECEDING) FROM t`:                           "expected a constant",
		`SELECT sum(v) OVER (ROWS -1 PRECEDING) FROM t`:                                      "not negative",
		`SELECT (v, v) + 1 FROM t`:                                                           "can only be compared",
		`SELECT (v, v) FROM t`:                                                               "can only be compared",
		`SELECT v FROM t WHERE (v, k) = (1, 'a', 2)`:                                         "expected a row of 2 values",
		`SELECT v FROM t WHERE (v, k) IN (1, 2)`:                                             "expected a row of 2 values",
		`SELECT v FROM t WHERE k GLOB '[a'`:                                                  "its [ has no ] after it",
		`SELECT v FROM t WHERE k GLOB '[c-a]'`:                                               "ends before it begins",
		`SELECT sum(v) OVER w FROM t`:                                                        `no window "w"`,
		`SELECT sum(v) OVER (ORDER BY k EXCLUDE TIES) FROM t`:                                "EXCLUDE comes after a frame",
		`SELECT sum(v) OVER (ORDER BY k ROWS 1 PRECEDING EXCLUDE NOTHING) FROM t`:            "expected CURRENT ROW, GROUP, TIES or NO OTHERS",
		`SELECT string_agg(k, ',') OVER () FROM t`:                                           "string_agg depends on an order: write ORDER BY in OVER",
		`SELECT array_agg(v) FROM t`:                                                         "array_agg depends on an order",
		`SELECT string_agg(DISTINCT k, ',' ORDER BY v) FROM t`:                               "ordered by its argument only",
		`SELECT median(k) FROM t`:                                                            "percentile_cont(text) is not defined",
		`SELECT DISTINCT count(*) FROM t GROUP BY k ORDER BY k`:                              "is not in SELECT",
		`SELECT rollup(k) FROM t`:                                                            "ROLLUP belongs into GROUP BY",
		`SELECT grouping(v) FROM t GROUP BY ROLLUP(k)`:                                       "expected what is in GROUP BY",
		`SELECT k, count(*) FROM t GROUP BY ROLLUP(k) EMIT CHANGES`:                          "sets of keys are not emitted as they change",
		`SELECT count(DISTINCT k) FROM t GROUP BY ROLLUP(v), session(at, INTERVAL '1 s')`:    "sessions",
		`SELECT k, sum(count(*)) OVER () FROM t GROUP BY k EMIT CHANGES`:                     "OVER would change all rows",
		`SELECT k COLLATE "de_DE" FROM t`:                                                    "COLLATE is not supported",
		`SELECT tumble_start(at, INTERVAL '1 s') FROM t GROUP BY tumble(at, INTERVAL '2 s')`: "needs the same window in GROUP BY",

		`SELECT make_interval(day => 3) FROM t`:                    `no argument "day", expected years, months`,
		`SELECT make_interval(days => 3, 4) FROM t`:                "expected an argument with a name, as before",
		`SELECT make_interval(days => 3, days => 4) FROM t`:        "the argument days is given twice",
		`SELECT make_interval(0, years => 4) FROM t`:               "the argument years is given twice",
		`SELECT make_date(2020, month => 4) FROM t`:                "make_date lacks its argument day",
		`SELECT left(k, n => 4) FROM t`:                            "write those of left without names",
		`SELECT v := 3 FROM t`:                                     ":= is not a comparison, expected =",
		`SELECT (at, at, at) OVERLAPS (at, at) FROM t`:             "two rows of two values each",
		`SELECT (v, v) OVERLAPS (v, v) FROM t`:                     "OVERLAPS of bigint, expected periods",
		`SELECT k LIKE ANY (SELECT 'a') FROM t`:                    "of a query are not supported",
		`SELECT k LIKE ANY (k) FROM t`:                             "ANY and ALL are of ARRAY[...]",
		`SELECT v::json FROM t`:                                    "bigint cannot become json",
		`SELECT k::jsonb FROM t`:                                   "write json, which keeps the text as it is",
		`SELECT json_extract(k, '$.a') = 'x' FROM t`:               "a string keeps its quotes, and 'x' is no JSON",
		`SELECT 'x' <> k -> 'a' FROM t`:                            "->>, #>> and json_extract_string",
		`SELECT k #> '{a,0}' IN ('1', 'x') FROM t`:                 "'x' is no JSON",
		`SELECT to_char(make_interval(hours => v), 'HH24') FROM t`: "has hours and no days",
		`SELECT to_char(at - at, 'YYYY') FROM t`:                   "of an interval has YYYY",
		`SELECT to_char(INTERVAL '1 month', 'MM') FROM t`:          "months and years have no fixed length",

		`SELECT k FROM t LIMIT 1, 2 OFFSET 3`: "OFFSET is given twice",
	} {
		if _, err := query.Compile(text, schema); err == nil {
			t.Errorf("%s is accepted", text)
		} else if first, _, _ := strings.Cut(err.Error(), "\n"); !strings.Contains(first, want) {
			t.Errorf("%s\n%v\nexpected %q", text, err, want)
		}
	}
}

// records runs a query that passes records through and keeps them to the end.
func (x table) records(t *testing.T, text string) (rows []string) {
	t.Helper()
	b := x.batch(t)
	pl, err := query.Compile(text, b.Schema())
	if err != nil {
		t.Fatalf("%s\n%v", text, err)
	}
	l, err := pl.Layout()
	if err != nil {
		t.Fatal(err)
	}
	s, err := result.NewSorter(pl, 1<<20)
	if err != nil {
		t.Fatalf("%s\n%v", text, err)
	}
	if err := s.Add(l.Stage.New(b.Len()).Run(b).Batch); err != nil {
		t.Fatal(err)
	}
	for b := range s.Batches(2) {
		for i := range b.Len() {
			var row []string
			for c := range b.Schema().Len() {
				row = append(row, format(b, c, i))
			}
			rows = append(rows, strings.Join(row, " "))
		}
	}
	return rows
}

// Goal: functions over records see all records, in their partitions and orders. Method: records with
// ties and NULLs, one query for each kind of function, frame and clause.
func TestTypedRecords(t *testing.T) {
	x := table{"k text, v bigint, f double precision, n bigint", []string{
		"a|1|1|1", "a|2|4|2", "a|2|5|3", "b|5|2|4", "b|NULL|3|5", "c|7|8|6",
	}}
	for text, want := range map[string]string{
		`SELECT n, row_number() OVER (PARTITION BY k ORDER BY v, n) AS r FROM t ORDER BY n`:                                                       "1 1|2 2|3 3|4 1|5 2|6 1",
		`SELECT n, rank() OVER w AS r, dense_rank() OVER w AS d FROM t WINDOW w AS (ORDER BY v DESC) ORDER BY n`:                                  "1 6 5|2 4 4|3 4 4|4 3 3|5 1 1|6 2 2",
		`SELECT n, lag(v) OVER (ORDER BY n) AS l, lead(v, 2, 0) OVER (ORDER BY n) AS r FROM t ORDER BY n`:                                         "1 NULL 2|2 1 5|3 2 NULL|4 2 7|5 5 0|6 NULL 0",
		`SELECT n, sum(v) OVER (ORDER BY n ROWS 1 PRECEDING) AS s, count(*) OVER () AS c FROM t ORDER BY n`:                                       "1 1 6|2 3 6|3 4 6|4 7 6|5 5 6|6 7 6",
		`SELECT n, min(k) OVER (ORDER BY n DESC) AS m, first_value(v) OVER (PARTITION BY k ORDER BY n) AS f FROM t ORDER BY n`:                    "1 a 1|2 a 1|3 a 1|4 b 5|5 b 5|6 c 7",
		`SELECT n, sum(v) OVER (ORDER BY v RANGE BETWEEN 1 PRECEDING AND CURRENT ROW) AS s FROM t ORDER BY n`:                                     "1 1|2 5|3 5|4 5|5 NULL|6 7",
		`SELECT n, ntile(4) OVER (ORDER BY n) AS q, percent_rank() OVER (ORDER BY n) AS p FROM t ORDER BY n LIMIT 3 OFFSET 1`:                     "2 1 0.2|3 2 0.4|4 2 0.6",
		`SELECT k, v FROM t QUALIFY row_number() OVER (PARTITION BY k ORDER BY v DESC NULLS LAST, n) = 1 ORDER BY k`:                              "a 2|b 5|c 7",
		`SELECT DISTINCT k, count(*) OVER (PARTITION BY k) AS c FROM t ORDER BY k`:                                                                "a 3|b 2|c 1",
		`SELECT n, sum(v) FILTER (WHERE k = 'a') OVER (ORDER BY n) AS s FROM t WHERE n > 1 ORDER BY n DESC`:                                       "6 4|5 4|4 4|3 4|2 2",
		`SELECT v, nth_value(n, 2) OVER (PARTITION BY k ORDER BY n) AS s FROM t`:                                                                  "1 NULL|2 2|2 2|5 NULL|NULL 5|7 NULL",
		`SELECT n, avg(f) OVER (ORDER BY n GROUPS BETWEEN 1 PRECEDING AND 1 FOLLOWING) AS a FROM t ORDER BY n LIMIT 2`:                            "1 2.5|2 3.3333333333333335",
		`SELECT n, sum(v) OVER (ORDER BY v ROWS UNBOUNDED PRECEDING EXCLUDE CURRENT ROW) AS s FROM t ORDER BY n`:                                  "1 NULL|2 1|3 3|4 5|5 17|6 10",
		`SELECT n, sum(v) OVER (ORDER BY v RANGE UNBOUNDED PRECEDING EXCLUDE GROUP) AS s FROM t ORDER BY n`:                                       "1 NULL|2 1|3 1|4 5|5 17|6 10",
		`SELECT n, sum(v) OVER (ORDER BY v RANGE UNBOUNDED PRECEDING EXCLUDE TIES) AS s FROM t ORDER BY n`:                                        "1 1|2 3|3 3|4 10|5 17|6 17",
		`SELECT n, first_value(n) OVER (ORDER BY n ROWS 1 PRECEDING EXCLUDE CURRENT ROW) AS s FROM t ORDER BY n`:                                  "1 NULL|2 1|3 2|4 3|5 4|6 5",
		`SELECT n, nth_value(n, 2) OVER (ORDER BY n ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING EXCLUDE CURRENT ROW) AS s FROM t ORDER BY n LIMIT 3`: "1 NULL|2 3|3 4",
		`SELECT n, string_agg(CAST(v AS text), '/') OVER (ORDER BY n) AS s FROM t ORDER BY n`:                                                     "1 1|2 1/2|3 1/2/2|4 1/2/2/5|5 1/2/2/5|6 1/2/2/5/7",
		`SELECT n, group_concat(v) OVER (ORDER BY n ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING EXCLUDE CURRENT ROW) AS s FROM t ORDER BY n`:         "1 2|2 1,2|3 2,5|4 2|5 5,7|6 NULL",
		`SELECT n, string_agg(k, '') FILTER (WHERE v > 2) OVER (PARTITION BY k ORDER BY n) AS s FROM t ORDER BY n`:                                "1 NULL|2 NULL|3 NULL|4 b|5 b|6 c",
		`SELECT n FROM t WHERE (k, v) > ('a', 2) ORDER BY n`:                                                                                      "4|5|6",
		`SELECT n FROM t WHERE (k, v) IN (('a', 2), ('b', NULL), ('c', 7)) ORDER BY n`:                                                            "2|3|6",
		`SELECT n, (k, v) NOT IN (('b', 2)) AS x FROM t ORDER BY n`:                                                                               "1 TRUE|2 TRUE|3 TRUE|4 TRUE|5 NULL|6 TRUE",
		`SELECT n FROM t WHERE k GLOB '[!ac]' ORDER BY n`:                                                                                         "4|5",
		`SELECT n, k || '%x' GLOB '?%*' AS p, k || ']' GLOB '[]a]]' AS q FROM t ORDER BY n LIMIT 1`:                                               "1 TRUE TRUE",
		`SELECT n FROM t OFFSET 4`:   "5|6",
		`SELECT n FROM t LIMIT 2, 1`: "3",
		`SELECT n, 10 / (v - 2) AS q, sum(v) OVER () AS s FROM t ORDER BY n LIMIT 2`: "1 -10 17|2 NULL 17",
	} {
		if got := strings.Join(x.records(t, text), "|"); got != want {
			t.Errorf("%s\n%s\nexpected\n%s", text, got, want)
		}
	}
}

// Goal: OVERLAPS is PostgreSQL's for periods in any order, without length, and with NULLs. Method:
// all combinations of NULL and three times as the four ends, against PostgreSQL's rule, case by
// case.
func TestOverlaps(t *testing.T) {
	var rows, want []string
	for i := range 256 {
		ends := [4]int{i & 3, i >> 2 & 3, i >> 4 & 3, i >> 6} // 0 is NULL
		row := []string{strconv.Itoa(i)}
		for _, e := range ends {
			row = append(row, []string{"NULL", "2024-01-01", "2024-01-02", "2024-01-03"}[e])
		}
		rows, want = append(rows, strings.Join(row, "|")), append(want, strconv.Itoa(i)+" "+overlapsAsThere(ends))
	}
	x := table{"n bigint, a timestamp, b timestamp, c timestamp, d timestamp", rows}
	for _, text := range []string{"(a, b) OVERLAPS (c, d)", "(a, b - a) OVERLAPS (c, d - c)"} {
		got := x.records(t, "SELECT n, "+text+" AS o FROM t ORDER BY n")
		for i := range got {
			b, d := i>>2&3, i>>6
			length := strings.Contains(text, "-") && (i&3 == 0 && b > 0 || i>>4&3 == 0 && d > 0)
			if got[i] != want[i] && !length { // the length of a period without begin is NULL
				t.Errorf("%s of %s: %s, expected %s", text, rows[i], got[i], want[i])
			}
		}
	}
}

// overlapsAsThere is overlaps_timestamp of PostgreSQL. 0 is NULL.
func overlapsAsThere(ends [4]int) string {
	a, b, c, d := ends[0], ends[1], ends[2], ends[3]
	if a == 0 || b > 0 && a > b {
		a, b = b, a
	}
	if c == 0 || d > 0 && c > d {
		c, d = d, c
	}
	switch {
	case a == 0 || c == 0:
		return "NULL"
	case a < c:
		a, b, c, d = c, d, a, b
	}
	switch {
	case a == c && (b == 0 || d == 0), a > c && d == 0:
		return "NULL"
	case a == c, a < d:
		return "TRUE"
	case b == 0:
		return "NULL"
	}
	return "FALSE"
}
