package result

import "iter"

// Raw yields the rows of the groups as they lie in memory, in pieces of size bytes, of which the
// last may be shorter, as core/table has them. It leaves out the rows of shards that other
// partitions have now. A piece is valid until the next one. The cut that shows the groups must stay
// pinned.
func (g *Groups) Raw(size int) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		if g.Away == nil {
			rows := g.Table.RawRows(0, g.Table.Len())
			for len(rows) > 0 {
				n := min(len(rows), size)
				if !yield(rows[:n]) {
					return
				}
				rows = rows[n:]
			}
			return
		}
		piece := make([]byte, 0, size+g.Table.RowBytes())
		for i := range g.Table.Len() {
			if g.isAway(i) {
				continue
			}
			piece = append(piece, g.Table.RawRows(i, 1)...)
			if len(piece) < size {
				continue
			}
			if !yield(piece[:size]) {
				return
			}
			piece = append(piece[:0], piece[size:]...)
		}
		if len(piece) > 0 {
			yield(piece)
		}
	}
}
