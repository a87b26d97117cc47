package result

import (
	"encoding/binary"
	"iter"
	"math"

	"github.com/velo-engine/velo/core/expr"
	"github.com/velo-engine/velo/core/layout"
	"github.com/velo-engine/velo/record"
)

// distinct yields those rows of all that HAVING lets through, without rows that are equal to one
// before. It keeps the values of each different row in the Go heap while it runs.
func distinct(s *layout.Projection, all iter.Seq[Row]) iter.Seq[Row] {
	return func(yield func(Row) bool) {
		seen := map[string]struct{}{}
		var key []byte
		for row := range all {
			if !admits(s, row) {
				continue
			}
			key = key[:0]
			for i := range s.Columns {
				c := &s.Columns[i]
				t := row.groups.Layout.Result.Field(i).Type
				key = appendIdentity(key, t, projectedValue(c, row, t))
			}
			if _, ok := seen[string(key)]; ok {
				continue
			}
			seen[string(key)] = struct{}{}
			if !yield(row) {
				return
			}
		}
	}
}

// appendIdentity appends bytes that are the same for equal values of a type, and for no others.
// NULLs are equal, and so are all NaN and both zeros.
func appendIdentity(to []byte, t record.Type, v expr.Value) []byte {
	switch {
	case v.Null:
		return append(to, 0)
	case t.Kind() == record.String:
		to = binary.LittleEndian.AppendUint64(append(to, 1), uint64(len(v.Text)))
		return append(to, v.Text...)
	case t == record.Float64:
		f := math.Float64frombits(v.Bits)
		switch {
		case f == 0:
			v.Bits = 0
		case f != f:
			v.Bits = math.Float64bits(math.NaN())
		}
	}
	return binary.LittleEndian.AppendUint64(append(to, 1), v.Bits)
}
