// Package batches reads records ahead of time.
package batches

import "github.com/velo-engine/velo/record"

// Prepare polls until there are n records or more, or no more come. Each batch is new and has room
// for rows rows.
func Prepare(poll func(*record.Batch) error, schema *record.Schema, n, rows int) (batches []*record.Batch) {
	for made := 0; made < n; {
		b := record.NewBatch(schema, rows)
		err := poll(b)
		made += b.Len()
		batches = append(batches, b)
		if err != nil {
			break
		}
	}
	return batches
}
