//go:build unix

package pg_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/velo-engine/velo/pg"
)

// sampleSQL makes the relations of sample in PostgreSQL.
const sampleSQL = `
	CREATE TABLE rates (pair text NOT NULL, rate double precision, PRIMARY KEY (pair));
	CREATE VIEW recent AS SELECT pair, rate FROM rates;
	CREATE MATERIALIZED VIEW volumes AS SELECT 'x'::text AS symbol, 1::bigint AS n,
		1.5::double precision AS avg_price, 1.25::numeric(18,2) AS turnover, true AS hot, now() AS last_at;
	CREATE UNIQUE INDEX volumes_key ON volumes (symbol) NULLS NOT DISTINCT;
	COMMENT ON MATERIALIZED VIEW volumes IS 'traded by symbol'`

// oidsOf are the OIDs of the relations of sample.
func oidsOf(t *testing.T, c *pgx.Conn) map[string]string {
	oids := map[string]string{}
	for _, row := range ask(t, c, nil, "SELECT relname, oid FROM pg_class WHERE relname IN "+
		"('rates', 'rates_pkey', 'recent', 'volumes', 'volumes_key')").rows {
		name, oid, _ := strings.Cut(row, "|")
		oids[name] = oid
	}
	if len(oids) != 5 {
		t.Fatalf("the relations are %v", oids)
	}
	return oids
}

var (
	ordered = regexp.MustCompile(`(?is)\border\s+by\b[^()]*$`)
	differs = regexp.MustCompile(`(?m)^-- differs: (.*)\n`)
)

// Goal: what clients ask the catalog is answered as PostgreSQL answers it. Method: each statement
// of testdata/corpus goes to PostgreSQL and to velo, which have relations of the same names;
// columns, their types, and rows are compared. OIDs of these relations are mapped.
//
// A line "-- differs: why" before a statement says that velo's rows are others; its columns are
// compared all the same.
func TestCorpus(t *testing.T) {
	theirs := newPostgres(t)
	stats := &pg.Stats{}
	ours, err := pgx.Connect(t.Context(), "postgres://velo@"+
		listen(
			t,
			pg.Config{Source: sample{}, Stats: stats, Log: slog.New(slog.DiscardHandler)},
		)+"/velo?sslmode=disable")
	must(t, err)
	defer func() { _ = ours.Close(context.Background()) }()
	theirOIDs, ourOIDs := oidsOf(t, theirs), oidsOf(t, ours)
	files, err := filepath.Glob("testdata/corpus/*.sql")
	must(t, err)
	n := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		must(t, err)
		for sql := range strings.SplitSeq(string(text), "\n;\n") {
			sql = strings.TrimSpace(sql)
			if sql == "" {
				continue
			}
			n++
			want, got := ask(t, theirs, theirOIDs, sql), ask(t, ours, ourOIDs, sql)
			if !ordered.MatchString(sql) {
				slices.Sort(want.rows)
				slices.Sort(got.rows)
			}
			marked := differs.MatchString(sql + "\n")
			if marked && slices.Equal(want.rows, got.rows) {
				t.Errorf(
					"%s: the rows of a statement that is marked as different are the same:\n%s",
					filepath.Base(file),
					sql,
				)
			}
			if want.err != got.err || !slices.Equal(want.columns, got.columns) ||
				!marked && !slices.Equal(want.rows, got.rows) {
				t.Errorf("%s:\n%s\n%s", filepath.Base(file), sql, difference(want, got))
			}
		}
	}
	t.Logf("%d statements", n)
	if n < 100 {
		t.Errorf("there are only %d statements", n)
	}
}

// difference shows what is not the same.
func difference(want, got answer) string {
	var b strings.Builder
	if want.err != got.err {
		fmt.Fprintf(&b, "SQLSTATE %q, want %q: %s\n", got.err, want.err, got.message)
	}
	if !slices.Equal(want.columns, got.columns) {
		fmt.Fprintf(&b, "columns %v\n   want %v\n", got.columns, want.columns)
	}
	shown := 0
	for i := range max(len(want.rows), len(got.rows)) {
		w, g := "-", "-"
		if i < len(want.rows) {
			w = want.rows[i]
		}
		if i < len(got.rows) {
			g = got.rows[i]
		}
		if w != g && shown < 4 {
			fmt.Fprintf(&b, "row %d: %s\n  want %s\n", i, g, w)
			shown++
		}
	}
	return b.String()
}
