package pg_test

import (
	"context"
	"fmt"
	"iter"
	"strings"

	"github.com/velo-engine/velo/pg"
	"github.com/velo-engine/velo/record"
)

// A sample is a Source with relations of every kind and without rows.
type sample struct{}

func (sample) Views() []pg.View {
	schema := func(name string, fields ...record.Field) *record.Schema {
		s, err := record.NewSchema(name, fields...)
		if err != nil {
			panic(err)
		}
		return s
	}
	null := func(name string, t record.Type) record.Field {
		return record.Field{Name: name, Type: t, Nullable: true}
	}
	return []pg.View{
		{
			Name: "rates", Kind: pg.Table, Key: []string{"pair"},
			Schema: schema("rates", record.Field{Name: "pair", Type: record.String}, null("rate", record.Float64)),
		},
		{
			Name: "recent", Kind: pg.Plain, Text: func() string {
				return "SELECT rates.pair,\n    rates.rate\n   FROM rates"
			},
			Schema: schema("recent", null("pair", record.String), null("rate", record.Float64)),
		},
		{
			Name: "volumes", Key: []string{"symbol"}, Comment: "traded by symbol",
			Text: func() string {
				return "SELECT 'x'::text AS symbol,\n    1::bigint AS n,\n    1.5::double precision AS avg_price,\n" +
					"    1.25::numeric(18,2) AS turnover,\n    true AS hot,\n    now() AS last_at"
			},
			Schema: schema("volumes", null("symbol", record.String), null("n", record.Int64),
				null("avg_price", record.Float64), null("turnover", record.DecimalOf(18, 2)), null("hot", record.Bool),
				null("last_at", record.Timestamp)),
		},
	}
}

func (s sample) Begin() (pg.Reading, error) { return s, nil }

func (sample) Close() {}

func (s sample) Select(_ context.Context, sql string, _ ...any) (pg.Rows, error) {
	for _, v := range s.Views() {
		if strings.Contains(sql, v.Name) {
			return none{v.Schema}, nil
		}
	}
	return nil, fmt.Errorf("no view in %s", sql)
}

// none are no rows.
type none struct{ schema *record.Schema }

func (n none) Schema() *record.Schema { return n.schema }

func (none) Batches() iter.Seq2[*record.Batch, error] {
	return func(func(*record.Batch, error) bool) {}
}

func (none) Close() error { return nil }
