package sql

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/query"
	"github.com/velo-engine/velo/readers"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/writers"
)

// ofTypes are expressions over times (c, d), intervals (v, w), uuids (u, x) and byteas (a, b). %c,
// %v, %u and %b are constants of these types. An interval is compared by its length, because velo
// keeps no more of it.
var ofTypes = []string{
	"c", "d", "u", "x", "a", "b", "c + v", "c - v", "v + c", "extract(epoch FROM c - d)", "c - %v", "c < d", "c = %c",
	"c BETWEEN %c AND %c", "c IN (%c, %c)", "extract(hour FROM c)", "extract(minute FROM c)", "extract(epoch FROM c)",
	"extract(second FROM c)", "extract(microseconds FROM d)", "c::text", "c::text::time", "(TIMESTAMP '2026-03-02' + v)::time",
	"v::time", "extract(epoch FROM c::interval)", "greatest(c, d)", "least(c, d, %c)", "coalesce(d, c)", "nullif(c, d)",
	"CASE WHEN c < d THEN c ELSE d END", "extract(epoch FROM DATE '2026-03-02' + c)::bigint", "c IS DISTINCT FROM d",
	"extract(epoch FROM TIMESTAMP '2026-03-02 12:00' - c)::bigint", "c > d OR d IS NULL",
	"extract(epoch FROM v)", "extract(epoch FROM v + w)", "extract(epoch FROM v - w)", "extract(epoch FROM -v)",
	"extract(epoch FROM v * 3)", "extract(epoch FROM 1.5 * v)", "extract(epoch FROM v / 4)", "v < w", "v = w", "v >= %v",
	"v BETWEEN w AND %v", "v IN (%v, %v)", "extract(epoch FROM greatest(v, w))", "extract(epoch FROM coalesce(w, v))",
	"extract(epoch FROM nullif(v, w))", "v IS DISTINCT FROM w", "extract(epoch FROM TIMESTAMP '2026-03-02' + v)::bigint",
	"extract(epoch FROM (v::text)::interval)", "extract(epoch FROM CASE WHEN v < w THEN v ELSE w END)",
	"v", "extract(hour FROM v)", "extract(day FROM v)", "v::text",
	"u < x", "u = x", "u = %u", "u >= %u", "u IN (%u, %u)", "u::text", "u::text::uuid", "upper(u::text)::uuid",
	"greatest(u::text, x::text)::uuid", "coalesce(x, u)", "nullif(u, x)", "u IS DISTINCT FROM x",
	"('{' || u::text || '}')::uuid", "replace(u::text, '-', '')::uuid", "CASE WHEN u < x THEN u ELSE x END",
	"a < b", "a = b", "a = %b", "a <> %b", "b > %b", "a || b", "a || %b", "%b || b", "length(a)", "octet_length(b)",
	"substring(a, 2)", "substring(a, 1, 3)", "substring(a FROM 0 FOR 3)", "substr(b, 3, 2)", "substring(a, -1, 4)",
	"encode(a, 'hex')", "encode(a, 'base64')", "encode(a, 'escape')", "decode(encode(a, 'hex'), 'hex')",
	"decode(encode(a, 'base64'), 'base64')", "decode(encode(b, 'escape'), 'escape')", "md5(a)", "sha256(a)", "sha224(b)",
	"sha384(a)", "sha512(b)", "a::text", "a::text::bytea", "coalesce(b, a)", "nullif(a, b)", "greatest(a, b)", "least(a, b)",
	"a IN (%b, %b)", "a IS DISTINCT FROM b", "convert_to(encode(a, 'hex'), 'UTF8')",
	"CASE WHEN a < b THEN a ELSE b END", "position(b IN a)", "position('\\x00'::bytea IN a)", "trim(%b FROM a)",
	"btrim(a, b)", "ltrim(a, '\\x0061'::bytea)", "rtrim(a, '\\xff00'::bytea)", "overlay(a PLACING b FROM 2)",
	"overlay(a PLACING '\\x6262'::bytea FROM 1 FOR 3)", "extract(epoch FROM date_trunc('hour', v))",
	"extract(epoch FROM date_trunc('minute', w))", "extract(epoch FROM date_trunc('day', v))",
	"extract(epoch FROM date_trunc('milliseconds', v))", "justify_hours(v)",
	"extract(epoch FROM make_interval(0, 0, n::int % 3, 2, -3, n::int, 1.5))",
}

// ofTypesAll are aggregates.
var ofTypesAll = []string{
	"min(c)", "max(c)", "count(c)", "count(DISTINCT c)", "min(d)", "max(d)", "count(DISTINCT u)", "count(DISTINCT a)",
	"count(x)", "count(b)", "extract(epoch FROM min(v))", "extract(epoch FROM max(v))", "extract(epoch FROM sum(v))",
	"extract(epoch FROM sum(w))", "count(DISTINCT v)", "extract(epoch FROM sum(v + w))", "extract(epoch FROM avg(w))",
	"extract(epoch FROM max(c - d))", "min(c + v)", "min(u::text)::uuid", "max(a::text)", "extract(epoch FROM avg(c - d))",
	"sum(v) > avg(w)", "max(c) - min(c) < '12:00'",
}

// Goal: times, intervals, uuids and byteas have PostgreSQL's semantics. Method: expressions and
// aggregates over random rows, as keys of groups and in SELECT; the texts of the results are equal.
func TestTypes(t *testing.T) {
	o := newPostgres(t).(*postgres)
	s, err := record.NewSchema("k", record.Field{Name: "n", Type: record.Int64},
		record.Field{Name: "c", Type: record.TimeOfDay}, record.Field{Name: "d", Type: record.TimeOfDay, Nullable: true},
		record.Field{Name: "v", Type: record.Interval}, record.Field{Name: "w", Type: record.Interval, Nullable: true},
		record.Field{Name: "u", Type: record.UUID}, record.Field{Name: "x", Type: record.UUID, Nullable: true},
		record.Field{Name: "a", Type: record.Bytes}, record.Field{Name: "b", Type: record.Bytes, Nullable: true})
	if err != nil {
		t.Fatal(err)
	}
	rounds := 4
	if v, err := strconv.Atoi(os.Getenv("VELO_DIFF")); err == nil {
		rounds = max(rounds, v/500)
	}
	compared := 0
	for seed := range rounds {
		rng := rand.New(rand.NewPCG(uint64(seed), 23))
		b := record.NewBatch(s, 0)
		var values []string
		for n := range 1 + rng.IntN(200) {
			b.Add(400)
			b.SetInt64(0, int64(n))
			row := []string{strconv.Itoa(n)}
			for i := 1; i < s.Len(); i++ {
				f := s.Field(i)
				if f.Nullable && rng.IntN(5) == 0 {
					b.SetNull(i)
					row = append(row, "NULL")
					continue
				}
				text := typeText(rng, f.Type)
				word, bytes, err := record.ParseLogical(nil, f.Type, text)
				if err != nil {
					t.Fatal(err)
				}
				if f.Type.IsFixed() {
					b.SetInt64(i, int64(word))
				} else {
					b.SetBytes(i, bytes)
				}
				row = append(row, "'"+text+"'")
			}
			values = append(values, "("+strings.Join(row, ", ")+")")
		}
		execAll(t, o.conn,
			"DROP TABLE IF EXISTS k",
			"CREATE TABLE k (n bigint, c time, d time, v interval, w interval, u uuid, x uuid, a bytea, b bytea)",
			"INSERT INTO k VALUES "+strings.Join(values, ", "),
		)
		run := func(text, theirs string) {
			want, theirFault := theirRows(t, o.conn, theirs)
			got, err := typeRows(text, s, b)
			if theirFault != nil || err != nil {
				t.Errorf("seed %d: %s: %v, and PostgreSQL: %v", seed, text, err, theirFault)
				return
			}
			compared += len(got)
			for k, v := range got { // PostgreSQL rounds the days and the time of an average apart
				a, err := strconv.Atoi(v)
				b, err2 := strconv.Atoi(want[k])
				parts := strings.Contains(text, "avg(") || strings.Contains(text, "v / 4")
				if parts && err == nil && err2 == nil && (a-b == 1 || b-a == 1) {
					got[k] = want[k]
				}
			}
			if !maps.Equal(got, want) {
				for _, k := range slices.Sorted(maps.Keys(want)) {
					if got[k] != want[k] {
						t.Errorf("seed %d: %s: for %s it is %s, expected %s", seed, text, k, got[k], want[k])
						break
					}
				}
			}
		}
		for _, e := range ofTypes {
			e = withConstants(rng, e)
			run("SELECT n, "+e+" AS r FROM k GROUP BY 1, 2", "SELECT n::text, ("+e+")::text FROM k")
			run("SELECT min(n) AS n, max(("+e+")::text) AS r FROM k GROUP BY n % 1000", "SELECT n::text, ("+e+")::text FROM k")
		}
		for _, e := range ofTypesAll {
			e = withConstants(rng, e)
			run("SELECT n % 7 AS g, "+e+" AS r FROM k GROUP BY n % 7", "SELECT (n % 7)::text, ("+e+")::text FROM k GROUP BY n % 7")
		}
	}
	t.Logf("%d rounds, %d values compared", rounds, compared)
}

// typeText is a random value of a type. There are few, so that some are equal.
func typeText(rng *rand.Rand, t record.Type) string {
	few := func() byte { return []byte{0, 1, 'a', 0x7f, 0x80, 0xff}[rng.IntN(6)] }
	switch t {
	case record.TimeOfDay:
		if rng.IntN(10) == 0 {
			return []string{"00:00:00", "24:00:00", "23:59:59.999999"}[rng.IntN(3)]
		}
		return string(record.AppendClock(nil, rng.Int64N(86_400)*[]int64{1, 1_000_000}[rng.IntN(2)]*1000))
	case record.Interval:
		return string(record.AppendInterval(nil, (rng.Int64N(20)-10)*rng.Int64N(90_000_000_000)*1000))
	case record.UUID:
		id := make([]byte, 16)
		for i := range id {
			id[i] = 0x55
		}
		id[0], id[8], id[15] = few(), few(), few()
		return string(record.AppendLogical(nil, t, 0, id))
	}
	text := make([]byte, rng.IntN(4)+rng.IntN(2)*rng.IntN(100))
	for i := range text {
		text[i] = few()
	}
	return string(record.AppendLogical(nil, t, 0, text))
}

// withConstants puts constants into an expression. A number of seconds becomes microseconds,
// because PostgreSQL has it as a numeric and velo as a double.
func withConstants(rng *rand.Rand, e string) string {
	if strings.HasPrefix(e, "extract(epoch") && !strings.HasSuffix(e, "bigint") || strings.HasPrefix(e, "extract(second") {
		e = "(" + e + " * 1000000)::bigint"
	}
	for letter, t := range map[string]record.Type{
		"%c": record.TimeOfDay, "%v": record.Interval, "%u": record.UUID, "%b": record.Bytes,
	} {
		for strings.Contains(e, letter) {
			e = strings.Replace(e, letter, fmt.Sprintf("'%s'::%v", typeText(rng, t), t), 1)
		}
	}
	return e
}

// execAll runs statements in PostgreSQL.
func execAll(t *testing.T, conn *pgx.Conn, statements ...string) {
	t.Helper()
	for _, text := range statements {
		_, err := conn.Exec(t.Context(), text)
		if err != nil {
			t.Fatal(err)
		}
	}
}

// theirRows are the values of a query in PostgreSQL by their keys, and its fault.
func theirRows(t *testing.T, conn *pgx.Conn, sql string) (values map[string]string, fault error) {
	t.Helper()
	values = map[string]string{}
	rows, err := conn.Query(t.Context(), sql)
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		var key string
		var value *string
		if err := rows.Scan(&key, &value); err != nil {
			t.Fatal(err)
		}
		values[key] = "NULL"
		if value != nil {
			values[key] = *value
		}
	}
	return values, rows.Err()
}

// typeRows are the rows of a query of two columns.
func typeRows(text string, s *record.Schema, b *record.Batch) (map[string]string, error) {
	p, err := query.Compile(text, s)
	if err != nil {
		return nil, err
	}
	r, err := readers.NewMemory(s, []*record.Batch{b}, 1)
	if err != nil {
		return nil, err
	}
	rejected := ""
	e, err := engine.Start(context.Background(), engine.Config{
		Plan: p, Readers: []record.Reader{r}, Cores: 1, NoPin: true, EpochInterval: -1,
		OnReject: func(_ int, r record.Reject) { rejected = r.Reason.Error() },
	})
	if err != nil {
		return nil, err
	}
	defer e.Close()
	if err := e.Wait(); err != nil {
		return nil, err
	}
	if rejected != "" {
		return nil, fmt.Errorf("set aside: %s", rejected)
	}
	snapshot := e.Snapshot()
	defer snapshot.Close()
	all := map[string]string{}
	for b := range snapshot.Batches(100) {
		for row := range b.Len() {
			key, _ := writers.Text(b, 0, row)
			value, null := writers.Text(b, 1, row)
			if null {
				value = "NULL"
			}
			all[key] = value
		}
	}
	return all, nil
}
