package result

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"

	"github.com/velo-engine/velo/core/expr"
	"github.com/velo-engine/velo/core/layout"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/record"
)

// ErrSorterFull says that the records of a plan with OrderBy need more memory than they may have.
var ErrSorterFull = errors.New("no room for the records that are to be sorted")

// A Sorter keeps the records of a plan that passes them through, for its OrderBy, Limit and Offset.
// With a limit it keeps about twice as many as the limit lets through, otherwise all. Only one
// goroutine may use it.
//
// A record is a row of words, one for each column, followed by its NULL bits. The word of a text is
// a place in text and a length.
type Sorter struct {
	layout *layout.Layout
	limit  int    // the bytes that it may take
	most   uint64 // the rows that Limit and Offset need; MaxUint64 without a limit
	stride int    // the words of a row

	// words has the rows.
	words []uint64
	// text has the bytes of the texts.
	text []byte
	// rows are the numbers of the rows: first the rows that have been sorted, in their order, then
	// the others in the order in which they came.
	rows []uint32
	// cut says that rows[most-1] is the last of the first most rows of all that have been added so
	// far. Rows that come after it in the order are dropped.
	cut bool

	// spareWords and spareText are the memory that trim copies to next.
	spareWords []uint64
	spareText  []byte
}

// NewSorter makes an empty Sorter that may take about limit bytes. The error says that the plan has
// nothing to sort.
func NewSorter(p *plan.Plan, limit int) (*Sorter, error) {
	l, err := p.Layout()
	if err != nil {
		return nil, err
	}
	if !l.PassThrough || len(l.Order) == 0 && l.Arranged == nil {
		return nil, fmt.Errorf("plan %s has no records to sort", l.Name)
	}
	s := &Sorter{layout: l, limit: limit, most: math.MaxUint64, stride: l.Source.Len() + (l.Source.Len()+63)/64}
	if p.Limit != nil && l.Arranged == nil && *p.Limit <= math.MaxUint64-p.Offset {
		s.most = *p.Limit + p.Offset
	}
	return s, nil
}

// sortable is a record: row of a batch, or words of the sorter if batch is nil.
type sortable struct {
	batch *record.Batch
	row   int
	words []uint64
}

// cell is a value of a record.
type cell struct {
	null bool
	bits uint64
	text []byte
}

// Add keeps the records of a batch that a partition has passed through, as far as they are among
// the first. The error is ErrSorterFull.
func (s *Sorter) Add(b *record.Batch) error {
	if s.most == 0 {
		return nil
	}
	for i := range b.Len() {
		r := sortable{batch: b, row: i}
		if s.cut && s.compare(r, s.stored(s.rows[s.most-1])) >= 0 {
			continue // it came later than that record, so it is not before it if they tie
		}
		if len(s.rows) == math.MaxUint32 {
			return s.full()
		}
		s.rows = append(s.rows, uint32(len(s.rows)))
		s.append(s, r)
		if n := uint64(len(s.rows)); n/2 >= s.most && n-s.most > minTop {
			s.trim()
		}
	}
	if 8*(cap(s.words)+cap(s.spareWords))+cap(s.text)+cap(s.spareText)+4*cap(s.rows) > s.limit {
		return s.full()
	}
	return nil
}

func (s *Sorter) full() error {
	return fmt.Errorf("plan %s: %w: %d records are there, and they may take %d bytes; with a LIMIT fewer are "+
		"kept", s.layout.Name, ErrSorterFull, len(s.rows), s.limit)
}

// append adds a record of from. For a record in a batch, from is s itself.
func (s *Sorter) append(from *Sorter, r sortable) {
	at := len(s.words)
	s.words = slices.Grow(s.words, s.stride)[:at+s.stride]
	row := s.words[at:]
	columns := s.layout.Source.Len()
	clear(row[columns:])
	for c := range columns {
		v := from.cell(r, c)
		switch {
		case v.null:
			row[c] = 0
			row[columns+c/64] |= 1 << (c % 64)
		case s.layout.Source.Field(c).Type.Kind() == record.String:
			row[c] = uint64(len(s.text))<<textBits | uint64(len(v.text))
			s.text = append(s.text, v.text...)
		default:
			row[c] = v.bits
		}
	}
}

// textBits is how many bits of a text's word are its length. The texts of a record are shorter than
// that allows.
const textBits = 24

// stored is a row that is kept.
func (s *Sorter) stored(row uint32) sortable {
	return sortable{words: s.words[int(row)*s.stride:][:s.stride]}
}

// cell is the value of a column of a record.
func (s *Sorter) cell(r sortable, column int) cell {
	isText := s.layout.Source.Field(column).Type.Kind() == record.String
	if r.batch != nil {
		c := r.batch.Column(column)
		switch {
		case c.Null(r.row):
			return cell{null: true}
		case isText:
			return cell{text: c.View(r.row)}
		}
		return cell{bits: c.Words()[r.row]}
	}
	switch {
	case r.words[s.layout.Source.Len()+column/64]>>(column%64)&1 != 0:
		return cell{null: true}
	case isText:
		at := r.words[column] >> textBits
		return cell{text: s.text[at : at+r.words[column]&(1<<textBits-1)]}
	}
	return cell{bits: r.words[column]}
}

// compare orders two records by OrderBy.
func (s *Sorter) compare(a, b sortable) int {
	for _, o := range s.layout.Order {
		x, y := s.cell(a, o.Inner), s.cell(b, o.Inner)
		if o.Typ.Kind() == record.String && !x.null && !y.null {
			if c := bytes.Compare(x.text, y.text); c != 0 {
				if o.Desc {
					return -c
				}
				return c
			}
			continue
		}
		if c := o.Compare(expr.Value{Null: x.null, Bits: x.bits}, expr.Value{Null: y.null, Bits: y.bits}); c != 0 {
			return c
		}
	}
	return 0
}

// sort puts the numbers of the rows in the order of the rows. Rows that tie stay in the order in
// which they came.
func (s *Sorter) sort() {
	slices.SortFunc(s.rows, func(a, b uint32) int {
		if c := s.compare(s.stored(a), s.stored(b)); c != 0 {
			return c
		}
		return int(a) - int(b)
	})
}

// trim keeps only the first rows.
func (s *Sorter) trim() {
	s.sort()
	s.rows, s.cut = s.rows[:s.most], true
	words, text := s.words, s.text
	s.words, s.text = s.spareWords[:0], s.spareText[:0]
	from := Sorter{layout: s.layout, stride: s.stride, words: words, text: text}
	for i, row := range s.rows {
		s.append(&from, from.stored(row))
		s.rows[i] = uint32(i)
	}
	s.spareWords, s.spareText = words, text
}

// Batches yields the records in their order, from the plan's Offset up to its Limit, in batches of
// the plan's result. A batch is valid until the next.
func (s *Sorter) Batches(rows int) iter.Seq[*record.Batch] {
	if s.layout.Arranged != nil {
		return s.arranged(rows)
	}
	return func(yield func(*record.Batch) bool) {
		s.sort()
		first := min(s.layout.Offset, uint64(len(s.rows)))
		last := min(s.most, uint64(len(s.rows)))
		b := record.NewBatch(s.layout.Result, rows)
		for _, row := range s.rows[first:max(first, last)] {
			r := s.stored(row)
			text := 0
			for c := range s.layout.Result.Len() {
				text += len(s.cell(r, c).text)
			}
			if !b.Add(text) {
				if !yield(b) {
					return
				}
				b.Reset()
				b.Add(text)
			}
			for c := range s.layout.Result.Len() {
				switch v := s.cell(r, c); {
				case v.null:
					b.SetNull(c)
				case s.layout.Result.Field(c).Type.Kind() == record.String:
					b.SetBytes(c, v.text)
				default:
					b.Column(c).Words()[b.Len()-1] = v.bits
				}
			}
		}
		if b.Len() > 0 {
			yield(b)
		}
	}
}
