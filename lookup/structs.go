package lookup

import (
	"context"

	"github.com/velo-engine/velo/record"
)

// Rows makes a Load of a function that returns all rows as structs, whose fields are the columns as
// record.EncoderOf maps them.
//
//	lookup.Rows(func(ctx context.Context) ([]Account, error) { return db.Accounts(ctx) })
func Rows[T any](all func(ctx context.Context) ([]T, error)) func(context.Context, *Builder) error {
	return func(ctx context.Context, b *Builder) error {
		encoder, err := record.EncoderOf[T](b.Schema())
		if err != nil {
			return err
		}
		rows, err := all(ctx)
		if err != nil {
			return err
		}
		batch := record.NewBatch(b.Schema(), 0)
		for len(rows) > 0 {
			batch.Reset()
			n, err := encoder.AppendAll(batch, rows)
			if err != nil {
				return err
			}
			if err := b.Append(batch); err != nil {
				return err
			}
			rows = rows[n:]
		}
		return nil
	}
}
