package lookup

import (
	"fmt"
	"math"
	"math/bits"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"github.com/velo-engine/velo/core/groupkey"
	"github.com/velo-engine/velo/internal/arena"
	"github.com/velo-engine/velo/record"
)

// Limits of a table.
const (
	// MaxRows bounds the rows of a version.
	MaxRows = 1 << 30

	// DefaultMaxBytes is what the rows of a load may take if Config.MaxBytes does not say it.
	DefaultMaxBytes = 1 << 30

	// MaxTextBytes bounds the bytes of all texts of a version, because a view has 32 bits.
	MaxTextBytes = math.MaxUint32
)

// maxShared bounds how many texts of a column a builder remembers, so that rows with the same text
// share its bytes.
const maxShared = 4096

// A Builder takes the rows of a load.
type Builder struct {
	shape *shape
	// limit bounds the rows, and most the bytes.
	limit, most int

	rows   []uint64
	hashes []uint64
	texts  []byte
	// shared has the views of texts that came before, for each column.
	shared []map[string]uint64
	keys   *groupkey.Keys
	batch  *record.Batch // the key columns of the batch that is appended
	// lines are the lines that the source has given for the rows.
	lines []lineRun
}

// A lineRun says that the rows from row on lie in lines that follow each other, from line on. If
// line is 0 their lines are not known.
type lineRun struct {
	row  int
	line int64
}

// noteLine notes the line of a row. The rows come in their order.
func (b *Builder) noteLine(row int, line int64) {
	if line != b.lineOf(row) {
		b.lines = append(b.lines, lineRun{row, line})
	}
}

// lineOf returns the line of a row; 0 if it is not known.
func (b *Builder) lineOf(row int) int64 {
	i := sort.Search(len(b.lines), func(i int) bool { return b.lines[i].row > row }) - 1
	if i < 0 || b.lines[i].line == 0 {
		return 0
	}
	return b.lines[i].line + int64(row-b.lines[i].row)
}

func newBuilder(s *shape, limit, most int) *Builder {
	b := &Builder{shape: s, limit: limit, most: most}
	b.shared = make([]map[string]uint64, s.schema.Len())
	for i := range b.shared {
		b.shared[i] = map[string]uint64{}
	}
	return b
}

// Schema is the schema of the rows.
func (b *Builder) Schema() *record.Schema { return b.shape.schema }

// Len is the number of rows that have been appended.
func (b *Builder) Len() int { return len(b.hashes) }

// Append copies the rows of a batch, whose columns must be the columns of Schema. The error says
// that a record was rejected, that a column which may not be NULL is NULL, or that a limit is
// reached; the load must end with it, because a table is loaded whole or not at all.
func (b *Builder) Append(batch *record.Batch) error { return b.AppendLines(batch, nil) }

// AppendLines is Append with the line of each row in its source, so that the error about a key
// that comes twice can name them; 0 is the line of a row that is not known.
func (b *Builder) AppendLines(batch *record.Batch, lines []int64) error {
	if err := b.check(batch); err != nil {
		return err
	}
	n := batch.Len()
	if n == 0 {
		return nil
	}
	if lines != nil && len(lines) != n {
		return fmt.Errorf("lookup: table %q: %d lines for %d rows", b.shape.schema.Name(), len(lines), n)
	}
	for i := range n {
		line := int64(0)
		if lines != nil {
			line = lines[i]
		}
		b.noteLine(b.Len()+i, line)
	}
	s := b.shape
	if b.keys == nil || b.batch.Cap() < n {
		b.keys, b.batch = s.layout.NewKeys(batch.Cap()), record.NewBatch(s.keySchema, batch.Cap())
	}
	for i, c := range s.key {
		*b.batch.Column(i) = *batch.Column(c)
		b.batch.Column(i).Valid = nil
	}
	b.batch.SetLen(n)
	s.layout.Encode(b.batch, 0, n, b.keys)
	b.hashes = append(b.hashes, b.keys.Hashes...)
	begin := len(b.rows)
	b.rows = append(b.rows, make([]uint64, n*s.stride)...)
	rows := b.rows[begin:]
	for w, words := range b.keys.Words {
		for i, word := range words[:n] {
			rows[i*s.stride+w] = word
		}
	}
	if b.keys.Long > 0 {
		b.keepLong(rows, n)
	}
	for c := range s.schema.Len() {
		b.column(rows, batch, c)
	}
	if len(b.texts) > MaxTextBytes {
		return fmt.Errorf("lookup: the texts of table %q have more than %d bytes", s.schema.Name(),
			uint64(MaxTextBytes))
	}
	return nil
}

// check says what is wrong with a batch.
func (b *Builder) check(batch *record.Batch) error {
	s := b.shape.schema
	from := batch.Schema()
	if from.Len() != s.Len() {
		return fmt.Errorf("lookup: table %q has %d columns, the batch has %d", s.Name(), s.Len(), from.Len())
	}
	if rejects := batch.Rejects(); len(rejects) > 0 {
		r := rejects[0]
		if r.Line > 0 {
			return fmt.Errorf("lookup: table %q: line %d: %w", s.Name(), r.Line, r.Reason)
		}
		return fmt.Errorf("lookup: table %q: a record after record %d: %w", s.Name(), b.Len(), r.Reason)
	}
	for i := range s.Len() {
		want, have := s.Field(i), from.Field(i)
		if want.Name != have.Name || want.Type != have.Type {
			return fmt.Errorf("lookup: column %d of table %q is %s %v, the batch has %s %v", i, s.Name(), want.Name,
				want.Type, have.Name, have.Type)
		}
	}
	for i := range s.Len() {
		if f := s.Field(i); !f.Nullable || b.shape.isKey(i) {
			c := batch.Column(i)
			for row := 0; c.Valid != nil && row < batch.Len(); row++ {
				if c.Null(row) {
					return fmt.Errorf("lookup: table %q: column %s of record %d is NULL, expected a value", s.Name(),
						f.Name,
						b.Len()+row+1)
				}
			}
		}
	}
	if bytes := 8*len(b.rows) + len(b.texts) + 8*batch.Len()*b.shape.stride; bytes > b.most {
		return fmt.Errorf("lookup: table %q needs more than %d bytes for %d rows, which is its limit (MaxBytes, or "+
			"the option max.bytes)", s.Name(), b.most, b.Len()+batch.Len())
	}
	if b.Len()+batch.Len() > b.limit {
		return fmt.Errorf("lookup: table %q has more than %d rows, which is its limit", s.Name(), b.limit)
	}
	return nil
}

// isKey says whether a column is part of the key.
func (s *shape) isKey(column int) bool {
	for _, k := range s.key {
		if k == column {
			return true
		}
	}
	return false
}

// keepLong copies the bytes of keys that do not fit their words.
func (b *Builder) keepLong(rows []uint64, n int) {
	for text, w := range b.shape.layout.Strings() {
		for i := range n {
			row := rows[i*b.shape.stride:]
			if !groupkey.IsLong(row[w+2]) {
				continue
			}
			off, size := groupkey.LongPlace(row[w+1])
			row[w+1] = groupkey.PlaceLong(uint64(len(b.texts)), size)
			b.texts = append(b.texts, b.keys.Heaps[text][off:off+size]...)
		}
	}
}

// column copies a column of a batch into rows.
func (b *Builder) column(rows []uint64, batch *record.Batch, column int) {
	s := b.shape
	c, n := batch.Column(column), batch.Len()
	for i := range n {
		row := rows[i*s.stride:]
		switch {
		case c.Null(i):
			row[s.nulls+column>>6] |= 1 << (column & 63)
		case s.schema.Field(column).Type.Kind() == record.String:
			row[s.values+column] = b.text(column, c.View(i))
		default:
			row[s.values+column] = c.Words()[i]
		}
	}
}

// text keeps a text and returns its view.
func (b *Builder) text(column int, text []byte) uint64 {
	if len(text) == 0 {
		return viewWord(0, 0)
	}
	if at, ok := b.shared[column][string(text)]; ok {
		return at
	}
	at := viewWord(len(b.texts), len(text))
	b.texts = append(b.texts, text...)
	if len(b.shared[column]) < maxShared {
		b.shared[column][string(text)] = at
	}
	return at
}

// bucketRows is how many keys a bucket has on average, at most.
const bucketRows = 4

// build makes the version. The error says that a key comes twice.
func (b *Builder) build(number uint64) (*Version, error) {
	n := b.Len()
	v := &Version{shape: b.shape, number: number, count: n, texts: b.texts}
	if n == 0 {
		return v, nil
	}
	size := max(2, 1<<bits.Len(uint((n-1)/bucketRows))) // a shift by 64 bits would be one by none
	v.displacements, v.shift = make([]uint16, size), uint(65-bits.Len(uint(size)))
	buckets, err := b.byBucket(v)
	if err != nil {
		return nil, err
	}
	var slots []uint64
	for extra := n/4 + 1; slots == nil; extra *= 2 {
		v.slots = uint64(n + extra)
		slots = b.place(v, buckets)
	}
	return v, b.arrange(v, slots)
}

// buckets has the rows by the buckets of their hashes: bucket i has rows[begins[i]:ends[i]].
type buckets struct {
	rows, begins, ends []uint32
}

// byBucket finds the rows of each bucket. A row whose hash another key has comes into v.rest, as
// its number.
func (b *Builder) byBucket(v *Version) (*buckets, error) {
	by := &buckets{rows: make([]uint32, len(b.hashes)), begins: make([]uint32, len(v.displacements)+1)}
	for _, h := range b.hashes {
		by.begins[h>>(v.shift&63)+1]++
	}
	for i := range v.displacements {
		by.begins[i+1] += by.begins[i]
	}
	by.ends = slices.Clone(by.begins[:len(v.displacements)])
	for i, h := range b.hashes {
		bucket := h >> (v.shift & 63)
		begin, end := by.begins[bucket], by.ends[bucket]
		same := slices.IndexFunc(by.rows[begin:end], func(other uint32) bool { return b.hashes[other] == h })
		if same < 0 {
			by.rows[end] = uint32(i)
			by.ends[bucket]++
			continue
		}
		if other := by.rows[begin:end][same]; b.sameKey(other, uint32(i)) {
			return nil, b.twice(int(other), i)
		}
		for _, other := range v.rest {
			if b.sameKey(uint32(other), uint32(i)) {
				return nil, b.twice(int(other), i)
			}
		}
		v.rest = append(v.rest, uint64(i))
	}
	return by, nil
}

// place finds the displacement of each bucket and returns the slot of each row. It returns nil if a
// bucket finds no room: there should be more slots.
func (b *Builder) place(v *Version, by *buckets) []uint64 {
	slots := make([]uint64, len(b.hashes))
	taken := make([]uint64, v.slots/64+1)
	most := uint32(0)
	for i, end := range by.ends {
		most = max(most, end-by.begins[i])
	}
	for size := most; size > 0; size-- {
		for bucket, end := range by.ends {
			if end-by.begins[bucket] != size {
				continue
			}
			of, d := by.rows[by.begins[bucket]:end], 0
			for d <= math.MaxUint16 && !b.fits(v, of, uint16(d), taken, slots) {
				d++
			}
			if d > math.MaxUint16 {
				return nil
			}
			v.displacements[bucket] = uint16(d)
		}
	}
	// Rows that have no slot by their hash take one of those that are left over.
	free := v.slots - 1
	for _, row := range v.rest {
		for taken[free/64]>>(free%64)&1 != 0 {
			free--
		}
		taken[free/64] |= 1 << (free % 64)
		slots[row] = free
	}
	return slots
}

// fits gives the rows of a bucket their slots with a displacement, if they are free.
func (b *Builder) fits(v *Version, of []uint32, displacement uint16, taken, slots []uint64) bool {
	for i, row := range of {
		s := slot(b.hashes[row], displacement, v.slots)
		if taken[s/64]>>(s%64)&1 != 0 {
			for _, back := range of[:i] {
				taken[slots[back]/64] &^= 1 << (slots[back] % 64)
			}
			return false
		}
		taken[s/64] |= 1 << (s % 64)
		slots[row] = s
	}
	return true
}

// arrange puts the rows into their slots.
func (b *Builder) arrange(v *Version, slots []uint64) error {
	stride := uint64(v.stride)
	size := int(8 * v.slots * stride)
	v.memory = arena.New(nil, size)
	if err := v.memory.Grow(size); err != nil {
		return fmt.Errorf("lookup: table %q: memory for %d rows: %w", v.schema.Name(), v.count, err)
	}
	v.rows = unsafe.Slice((*uint64)(v.memory.Base()), size/8)
	used := make([]bool, v.slots)
	for i, s := range slots {
		copy(v.rows[s*stride:(s+1)*stride], b.rows[uint64(i)*stride:])
		used[s] = true
	}
	for i, row := range v.rest {
		v.rest[i] = slots[row] * stride
	}
	// A slot that is left over has a key that is never looked for there.
	for s, is := range used {
		if !is {
			copy(v.rows[uint64(s)*stride:], b.rows[:v.values])
		}
	}
	return nil
}

// sameKey says whether two rows have the same key.
func (b *Builder) sameKey(i, j uint32) bool {
	s := b.shape
	row := func(i uint32) []uint64 { return b.rows[int(i)*s.stride : int(i)*s.stride+s.values] }
	return s.layout.Equal(row(i), b.texts, row(j), b.texts)
}

// twice is the error for a key that two rows have.
func (b *Builder) twice(i, j int) error {
	return fmt.Errorf("lookup: table %q: the key %s comes twice, in %s and %s; a key is unique", b.shape.schema.Name(),
		b.keyText(i), b.where(i), b.where(j))
}

// where says where row i came from.
func (b *Builder) where(i int) string {
	line := b.lineOf(i)
	if line > 0 {
		return fmt.Sprintf("line %d", line)
	}
	return fmt.Sprintf("record %d", i+1)
}

// keyText writes the key of a row as SQL would.
func (b *Builder) keyText(row int) string {
	s := b.shape
	v := &Version{shape: s, rows: b.rows[row*s.stride:], texts: b.texts}
	var parts []string
	for _, c := range s.key {
		word := v.Word(0, c)
		column := record.Column{Int64s: []int64{int64(word)}, Float64s: []float64{math.Float64frombits(word)}}
		if s.schema.Field(c).Type.Kind() == record.String {
			column.Bytes = v.Text(0, c)
			column.Views = []record.View{{Len: uint32(len(column.Bytes))}}
		}
		parts = append(parts, valueText(s.schema.Field(c).Type, &column, 0))
	}
	return strings.Join(parts, ", ")
}

// valueText writes a value that is not NULL as SQL would.
func valueText(t record.Type, c *record.Column, row int) string {
	switch {
	case t.IsWide():
		return string(c.AppendLogical(nil, t, row))
	case t.IsLogical():
		return "'" + string(c.AppendLogical(nil, t, row)) + "'"
	case t == record.String:
		return "'" + strings.ReplaceAll(string(c.View(row)), "'", "''") + "'"
	case t == record.Float64:
		return strconv.FormatFloat(c.Float64s[row], 'g', -1, 64)
	case t == record.Bool:
		return strconv.FormatBool(c.Int64s[row] != 0)
	case t == record.Timestamp:
		return "'" + time.Unix(0, c.Int64s[row]).UTC().Format(time.RFC3339Nano) + "'"
	case t.IsDecimal():
		return string(record.Decimal{Unscaled: c.Int64s[row], Scale: uint8(t.Scale())}.Append(nil))
	}
	return strconv.FormatInt(c.Int64s[row], 10)
}
