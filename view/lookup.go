package view

import (
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/query"
	"github.com/velo-engine/velo/record"
)

const (
	// maxLookups bounds the statements that are kept compiled, and maxLookupText the text of each.
	maxLookups    = 256
	maxLookupText = 4096
)

// A lookup is a statement that finds one group by parameters alone, such as SELECT ... WHERE key =
// $1. It is compiled once for all values of its parameters.
type lookup struct {
	of   *entry
	plan *plan.Plan
	// value has, for each value of the key, the number of its parameter, from 0.
	value []int
}

// lookups has the statements that are kept.
type lookups map[string]*lookup

// prepared finds a statement that was compiled before, and the key of the group for these values.
// It returns false if the statement has to be compiled.
func (c *Catalog) prepared(sql string, values []any) (l *lookup, k plan.Key, ok bool) {
	c.mu.RLock()
	l = c.lookups[sql]
	c.mu.RUnlock()
	if l == nil || len(values) != len(l.value) {
		return nil, k, false
	}
	of := make([]any, len(l.value))
	for i, n := range l.value {
		if !isOf(l.of.Schema.Field(l.of.lookup[i]).Type, values[n]) {
			return nil, k, false
		}
		of[i] = values[n]
	}
	k, err := l.of.Plan.Key(of...)
	return l, k, err == nil
}

// isOf says whether a value has the type of a column, so that comparing the two converts neither.
func isOf(t record.Type, v any) bool {
	switch v := v.(type) {
	case bool:
		return t == record.Bool
	case int, int64, int32, int16, int8, uint8, uint16, uint32:
		return t == record.Int64
	case float64:
		return t == record.Float64
	case string:
		return t == record.String && utf8.ValidString(v) && strings.IndexByte(v, 0) < 0
	case time.Time:
		return t == record.Timestamp
	case record.Literal:
		_, _, err := record.ParseLogical(nil, t, v.Text)
		return t == v.Type && err == nil
	case record.Decimal128:
		return t.IsWide() && int(v.Scale) == t.Scale()
	case record.Decimal:
		return t.IsDecimal() && int(v.Scale) == t.Scale()
	}
	return false
}

// keep keeps a statement, if it is one that finds a group by parameters alone.
func (c *Catalog) keep(sql string, e *entry, p *plan.Plan) {
	if len(sql) > maxLookupText || e.lookup == nil || !isOne(p) {
		return
	}
	columns, ok := query.Lookup(sql)
	if !ok || len(columns) != len(e.lookup) {
		return
	}
	l := &lookup{of: e, plan: p}
	for _, column := range e.lookup {
		n := slices.Index(columns, e.Schema.Field(column).Name)
		if n < 0 {
			return
		}
		l.value = append(l.value, n)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.views[e.Name] != e {
		return // it was removed meanwhile
	}
	if len(c.lookups) >= maxLookups {
		clear(c.lookups)
	}
	c.lookups[sql] = l
}
