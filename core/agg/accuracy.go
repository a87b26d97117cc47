package agg

import (
	"fmt"

	"github.com/velo-engine/velo/record"
)

// Accuracy says for people how near the results of a function are to the exact ones. It begins with
// a comma, and is empty for functions that are exact.
func Accuracy(f Func) string {
	switch f := f.(type) {
	case distinct, distinctStates, distinctState:
		return fmt.Sprintf(", up to %d KiB beside the row; exact up to %d values, then with a standard error of 1.6 %%",
			registers>>10, exactHashes)
	case percentile, percentileStates, percentileState:
		return fmt.Sprintf(", up to %d KiB beside the row; within 1/128 of the value, over eight decades of values",
			MaxBlockBytes>>10)
	case topK:
		counters, of := MaxCounters, "values"
		if f.typ.Kind() == record.String {
			counters, of = MaxTextCounters, "texts of 53 bytes"
		}
		return fmt.Sprintf(", up to %d KiB beside the row; exact up to %d different %s, then counts are too large by "+
			"up to their error, at most 1/%d of all", MaxBlockBytes>>10, counters, of, counters*3/4)
	case sample:
		return fmt.Sprintf(", up to %d KiB beside the row; any %d records are equally likely", MaxBlockBytes>>10, f.k)
	}
	return ""
}
