package engine

import (
	"encoding/binary"
	"iter"

	"github.com/velo-engine/velo/internal/rowbytes"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/state"
)

// The rows that wait for a writer are kept as bytes (package rowbytes), because a batch is the
// engine's again after it was written, and a generation has them as bytes anyway.

// A parcel is a batch as bytes.
type parcel struct {
	epoch uint64 // the first epoch whose cut has the rows
	rows  int
	bytes []byte
}

// parcelsOf cuts bytes into parcels.
func parcelsOf(all []byte) (parcels []parcel, err error) {
	for len(all) > 0 {
		if len(all) < 8 || uint64(binary.LittleEndian.Uint32(all))+4 > uint64(len(all)) {
			return nil, rowbytes.ErrBroken
		}
		n := 4 + binary.LittleEndian.Uint32(all)
		parcels = append(parcels, parcel{rows: int(binary.LittleEndian.Uint32(all[4:])), bytes: all[:n]})
		all = all[n:]
	}
	return parcels, nil
}

// batchesOf yields the batches of parcels. failed is called with the error of one that cannot be
// read, and no more follow.
func batchesOf(schema *record.Schema, parcels []parcel, failed func(error)) iter.Seq[*record.Batch] {
	return func(yield func(*record.Batch) bool) {
		for _, p := range parcels {
			b, _, err := rowbytes.Read(schema, p.bytes)
			if err != nil {
				failed(err)
				return
			}
			if !yield(b) {
				return
			}
		}
	}
}

// piecesOf yields the bytes of parcels in pieces as state.Writing.Part takes them.
func piecesOf(parcels []parcel) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		piece := make([]byte, 0, state.PieceBytes)
		for _, p := range parcels {
			for rest := p.bytes; len(rest) > 0; {
				n := min(len(rest), cap(piece)-len(piece))
				piece = append(piece, rest[:n]...)
				rest = rest[n:]
				if len(piece) == cap(piece) {
					if !yield(piece) {
						return
					}
					piece = piece[:0]
				}
			}
		}
		if len(piece) > 0 {
			yield(piece)
		}
	}
}
