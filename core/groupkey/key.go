package groupkey

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"reflect"
	"time"

	"github.com/velo-engine/velo/record"
)

const (
	// shortString is how many bytes of a string fit in the words of a key.
	shortString = 23

	// stringWords is the number of words of a String column in a key.
	stringWords = 3

	stringNull = 0xfe // byte 23 of a string that is NULL
	stringLong = 0xff // byte 23 of a string longer than shortString
)

// MaxKeyColumns bounds the columns of a key: the NULL bits are one word.
const MaxKeyColumns = 64

// keyColumn is a column of a key.
type keyColumn struct {
	source   int // its position in the schema
	word     int // its first word
	typ      record.Type
	nullable bool
}

// A Layout says how the key columns of a schema lie in words. It never changes after it has been
// made.
type Layout struct {
	columns  []keyColumn
	words    int
	nullWord int // word of the NULL bits, or -1 if there is none
	strings  []int
	nullable bool // at least one column is nullable
	extra    int  // number of columns at the end that do not make a key
	seeds    seeds
}

// NewLayout is the layout for these columns of a schema, given by position. Without columns, all
// records are one group.
func NewLayout(schema *record.Schema, columns []int) (*Layout, error) {
	if len(columns) > MaxKeyColumns {
		return nil, fmt.Errorf("groupkey: %d key columns, at most %d are allowed", len(columns), MaxKeyColumns)
	}
	l := &Layout{nullWord: -1, seeds: hashSeeds}
	nullBits := false
	for _, source := range columns {
		f := schema.Field(source)
		l.columns = append(l.columns, keyColumn{source, l.words, f.Type, f.Nullable})
		l.nullable = l.nullable || f.Nullable
		if f.Type.Kind() == record.String {
			l.strings = append(l.strings, l.words)
			l.words += stringWords
		} else {
			nullBits = nullBits || f.Nullable
			l.words++
		}
	}
	if nullBits {
		l.nullWord = l.words
		l.words++
	}
	return l, nil
}

// WithExtra returns the layout with the last n columns as extra: they do not count when a record is
// checked for having no key.
func (l *Layout) WithExtra(n int) *Layout {
	with := *l
	with.extra = n
	return &with
}

// Prefix returns the first columns of a key as a key of prefix, which has just these columns. It
// may be a part of the key; otherwise it is made in scratch, which is returned for the next call.
func (l *Layout) Prefix(scratch, key []uint64, prefix *Layout) (of, grown []uint64) {
	n := prefix.words
	if prefix.nullWord < 0 {
		return key[:n], scratch
	}
	scratch = append(append(scratch[:0], key[:n-1]...), key[l.nullWord]&(1<<len(prefix.columns)-1))
	return scratch, scratch
}

// AppendMasked appends a key of l that has those columns of a key of from that keep says, NULL in
// the place of the others, and last as the value of one more column. The columns of from come first
// in from and in l, where all of them may be NULL; the last column of l is a bigint that is not.
func (l *Layout) AppendMasked(to, key []uint64, from *Layout, keep []bool, last uint64) []uint64 {
	begin := len(to)
	to = append(to, make([]uint64, l.words)...)
	masked := to[begin:]
	for i, kept := range keep {
		w, f := l.columns[i].word, from.columns[i].word
		null := !kept || from.IsNull(key, i)
		switch text := l.columns[i].typ.Kind() == record.String; {
		case text && null:
			masked[w+2] = stringNull << 56
		case text:
			copy(masked[w:w+stringWords], key[f:f+stringWords])
		case null:
			masked[l.nullWord] |= 1 << i
		default:
			masked[w] = key[f]
		}
	}
	masked[l.columns[len(keep)].word] = last
	return to
}

// Words is the number of words of a key.
func (l *Layout) Words() int { return l.words }

// Columns is the number of key columns.
func (l *Layout) Columns() int { return len(l.columns) }

// Strings are the first words of the String columns: the places where a key may point into a heap.
func (l *Layout) Strings() []int { return l.strings }

// IsLong says whether the third word of a String column means that the string lies in the heap.
func IsLong(third uint64) bool { return third>>56 == stringLong }

// LongPlace is where the bytes of a long string lie in the heap. word is the second of its words.
func LongPlace(word uint64) (off, n uint64) { return word >> 32, word & math.MaxUint32 }

// PlaceLong makes the second word of a long string that lies at off in the heap.
func PlaceLong(off, n uint64) uint64 { return off<<32 | n }

// Keys are the encoded keys of some rows of a batch, column-wise: word w of row i is Words[w][i].
// Keys is scratch memory that Encode fills and reuses.
type Keys struct {
	Words  [][]uint64
	Hashes []uint64

	// Long is the number of strings longer than 23 bytes. If it is 0, no word points into a heap.
	Long int
	// LongBytes has the number of bytes of these strings in each row. It is valid only if Long is
	// not 0.
	LongBytes []uint64
	// Heaps has the bytes that the strings lie in, for each String column in the order of
	// KeyLayout.Strings. It is valid only if Long is not 0.
	Heaps [][]byte

	// Keyless is the number of rows all of whose key columns are NULL. Their hash is 0.
	Keyless int

	// own has memory for the words; Words may refer to a column's memory instead.
	own    [][]uint64
	others []uint32 // scratch of encodeStrings: the rows that packShort left
}

// NewKeys makes scratch memory for up to rows rows.
func (l *Layout) NewKeys(rows int) *Keys {
	k := &Keys{Words: make([][]uint64, l.words), Hashes: make([]uint64, rows), own: make([][]uint64, l.words)}
	for i := range k.own {
		k.own[i] = make([]uint64, rows)
	}
	if len(l.strings) > 0 {
		k.LongBytes = make([]uint64, rows)
		k.Heaps = make([][]byte, len(l.strings))
		k.others = make([]uint32, rows+vectorKeys)
	}
	return k
}

// Encode writes the keys of the rows [from, to) of b into k, and their hashes. Long strings stay
// where they are: word 1 points into the Bytes of their column. The words are valid until b changes
// or k is used again. Nothing is allocated.
func (l *Layout) Encode(b *record.Batch, from, to int, k *Keys) {
	n := to - from
	k.Long, k.Keyless = 0, 0
	k.Hashes = k.Hashes[:n]
	var nulls []uint64
	if l.nullWord >= 0 {
		nulls = k.own[l.nullWord][:n]
		clear(nulls)
		k.Words[l.nullWord] = nulls
	}
	text := 0
	for i := range l.columns {
		kc := &l.columns[i]
		c := b.Column(kc.source)
		w := kc.word
		if kc.typ.Kind() == record.String {
			k.Heaps[text] = c.Bytes
			text++
			k.Words[w], k.Words[w+1], k.Words[w+2] = k.own[w][:n], k.own[w+1][:n], k.own[w+2][:n]
			l.encodeStrings(c, from, k, w)
			continue
		}
		if c.Valid == nil && kc.typ != record.Float64 {
			k.Words[w] = c.Words()[from:to] // the column's own memory
			continue
		}
		dst := k.own[w][:n]
		k.Words[w] = dst
		if kc.typ == record.Float64 {
			for j, f := range c.Float64s[from:to] {
				dst[j] = floatKey(f)
			}
		} else {
			copy(dst, c.Words()[from:to])
		}
		if c.Valid != nil {
			for j := range dst {
				if c.Null(from + j) {
					dst[j] = 0
					nulls[j] |= 1 << i
				}
			}
		}
	}
	l.hash(k)
	if l.nullable {
		l.findKeyless(k)
	}
}

// HashAll fills k.Hashes, for n keys whose words the caller has put into k.Words. It is the twin of
// HashKey for many keys.
func (l *Layout) HashAll(k *Keys, n int) {
	k.Hashes = k.Hashes[:n]
	l.hash(k)
	if l.nullable {
		l.findKeyless(k)
	}
}

// hash fills k.Hashes from the words, column by column.
func (l *Layout) hash(k *Keys) {
	h := k.Hashes
	if l.words == 0 {
		clear(h)
		return
	}
	for i := range l.columns {
		if w := l.columns[i].word; l.columns[i].typ.Kind() == record.String {
			hashStrings(h, i == 0, k.Words[w], k.Words[w+1], k.Words[w+2], &l.seeds)
		} else {
			hashWords(h, i == 0, k.Words[w], &l.seeds)
		}
	}
	if l.nullWord >= 0 {
		hashWords(h, false, k.Words[l.nullWord], &l.seeds)
	}
}

// findKeyless counts the rows without any key and gives them hash 0, so that they go to shard 0 in
// every process.
func (l *Layout) findKeyless(k *Keys) {
	if l.extra > 0 {
		l.findKeylessPairs(k)
		return
	}
	if len(l.columns) == 1 && l.columns[0].typ.Kind() == record.String {
		for i, w2 := range k.Words[2][:len(k.Hashes)] {
			if w2>>56 == stringNull {
				k.Hashes[i] = 0
				k.Keyless++
			}
		}
		return
	}
	for i := range k.Hashes {
		if l.allNull(k, i, len(l.columns)) {
			k.Hashes[i] = 0
			k.Keyless++
		}
	}
}

// findKeylessPairs is findKeyless for layouts with extra columns. Rows without a key may have many
// different values in the extra columns, so the hash is 0 only if these are NULL too.
func (l *Layout) findKeylessPairs(k *Keys) {
	n := len(l.columns) - l.extra
	for i := range k.Hashes {
		if !l.allNull(k, i, n) {
			continue
		}
		if n > 0 {
			k.Keyless++
		}
		if l.allNull(k, i, len(l.columns)) {
			k.Hashes[i] = 0
		}
	}
}

// allNull says whether the first n columns of a row are NULL.
func (l *Layout) allNull(k *Keys, row, n int) bool {
	for i := range l.columns[:n] {
		if kc := &l.columns[i]; kc.typ.Kind() == record.String {
			if k.Words[kc.word+2][row]>>56 != stringNull {
				return false
			}
		} else if !kc.nullable || k.Words[l.nullWord][row]>>i&1 == 0 {
			return false
		}
	}
	return true
}

// HashKey is the hash of one key. It is the twin of hash.
func (l *Layout) HashKey(key []uint64) uint64 {
	switch {
	case l.words == 0:
		return 0
	case l.words == 1 && !l.nullable:
		return mix(l.seeds.start, key[0], l.seeds.mul)
	}
	null := l.nullable
	for i := range l.columns {
		null = null && l.IsNull(key, i)
	}
	if null {
		return 0
	}
	h := l.seeds.start
	for i := range l.columns {
		if w := l.columns[i].word; l.columns[i].typ.Kind() == record.String {
			h = mixString(h, key[w], key[w+1], key[w+2], &l.seeds)
		} else {
			h = mix(h, key[w], l.seeds.mul)
		}
	}
	if l.nullWord >= 0 {
		h = mix(h, key[l.nullWord], l.seeds.mul)
	}
	return h
}

// Reseed makes the words of n keys that another process has encoded, with the same columns, keys of
// this one. The first word of a long string is a hash with seeds of the process; everything else
// stays. The error says that a long string does not lie in the heap.
func (l *Layout) Reseed(k *Keys, n int, heap []byte) error {
	for _, s := range l.strings {
		first, places := k.Words[s][:n], k.Words[s+1][:n]
		for i, third := range k.Words[s+2][:n] {
			if !IsLong(third) {
				continue
			}
			off, size := LongPlace(places[i])
			if size <= shortString || off+size > uint64(len(heap)) {
				return fmt.Errorf("groupkey: a long string of %d bytes at %d, the heap has %d bytes", size, off, len(heap))
			}
			first[i] = hashLong(heap[off:off+size], &l.seeds)
		}
	}
	return nil
}

// EncodeValues makes the key of one group from a value per key column: bool, any integer, float64,
// string, []byte, time.Time, Decimal, or nil for NULL. Long strings lie in the returned heap. The
// error names the column and what it accepts.
func (l *Layout) EncodeValues(values ...any) (key []uint64, heap []byte, err error) {
	if len(values) != len(l.columns) {
		return nil, nil, fmt.Errorf("groupkey: %d key values, the key has %d columns", len(values), len(l.columns))
	}
	key = make([]uint64, l.words)
	for i, v := range values {
		kc := &l.columns[i]
		if v == nil {
			if !kc.nullable {
				return nil, nil, fmt.Errorf("groupkey: key column %d (%v) is not nullable", i, kc.typ)
			}
			if kc.typ.Kind() == record.String {
				key[kc.word+2] = stringNull << 56
			} else {
				key[l.nullWord] |= 1 << i
			}
			continue
		}
		if kc.typ.Kind() == record.String {
			var s []byte
			switch v := v.(type) {
			case string:
				s = []byte(v)
				if kc.typ.IsLogical() {
					var err error
					_, s, err = record.ParseLogical(nil, kc.typ, v)
					if err != nil {
						return nil, nil, fmt.Errorf("groupkey: key column %d is %v: %w", i, kc.typ, err)
					}
				}
			case []byte:
				s = v
				err := record.CheckLogicalText(kc.typ, s)
				if err != nil {
					return nil, nil, fmt.Errorf("groupkey: key column %d is %v: %w", i, kc.typ, err)
				}
			case record.Literal:
				var err error
				_, s, err = literal(kc.typ, v)
				if err != nil {
					return nil, nil, fmt.Errorf("groupkey: key column %d: %w", i, err)
				}
			case [16]byte:
				s = v[:]
				if kc.typ != record.UUID {
					return nil, nil, fmt.Errorf("groupkey: key column %d is %v, a %T does not fit", i, kc.typ, v)
				}
			case record.Decimal128:
				s = v.AppendBytes(nil)
				if !kc.typ.IsWide() || int(v.Scale) != kc.typ.Scale() {
					return nil, nil, fmt.Errorf("groupkey: key column %d is %v, %T %v does not fit", i, kc.typ, v, v)
				}
			default:
				return nil, nil, fmt.Errorf("groupkey: key column %d is %v, a %T does not fit", i, kc.typ, v)
			}
			key[kc.word], key[kc.word+1], key[kc.word+2] = packString(s, uint64(len(heap)), &l.seeds)
			if len(s) > shortString {
				heap = append(heap, s...)
			}
			continue
		}
		w, err := fixedWord(kc.typ, v)
		if err != nil {
			return nil, nil, fmt.Errorf("groupkey: key column %d: %w", i, err)
		}
		key[kc.word] = w
	}
	return key, heap, nil
}

// literal is the value of a Literal, as a value of a column of type t.
func literal(t record.Type, v record.Literal) (word uint64, text []byte, err error) {
	if v.Type != t {
		return 0, nil, fmt.Errorf("%v, a literal of type %v does not fit", t, v.Type)
	}
	return record.ParseLogical(nil, t, v.Text)
}

// fixedWord is the word in a key for a value of a fixed type.
func fixedWord(t record.Type, v any) (uint64, error) {
	switch v := v.(type) {
	case bool:
		if t == record.Bool {
			if v {
				return 1, nil
			}
			return 0, nil
		}
	case float64:
		if t == record.Float64 {
			return floatKey(v), nil
		}
	case time.Time:
		if t == record.Timestamp {
			return uint64(v.UnixNano()), nil
		}
	case time.Duration:
		switch {
		case t == record.Int64 || t == record.Interval:
			return uint64(v), nil
		case t == record.TimeOfDay && record.CheckLogical(t, uint64(v)) == nil:
			return uint64(v), nil
		}
	case record.Literal:
		word, _, err := literal(t, v)
		return word, err
	case record.Decimal:
		if t.IsDecimal() && int(v.Scale) == t.Scale() {
			return uint64(v.Unscaled), nil
		}
	default:
		// Any other integer, signed or not: a Go service has its ids in many types.
		r := reflect.ValueOf(v)
		switch {
		case t == record.Int64 && r.CanInt():
			return uint64(r.Int()), nil
		case t == record.Int64 && r.CanUint() && r.Uint() <= math.MaxInt64:
			return r.Uint(), nil
		}
	}
	return 0, fmt.Errorf("%v, a %T (%v) does not fit", t, v, v)
}

// Equal says whether two keys are equal. Each comes with the heap that its long strings lie in.
func (l *Layout) Equal(a []uint64, aHeap []byte, b []uint64, bHeap []byte) bool {
	long := false
	for _, s := range l.strings {
		long = long || IsLong(a[s+2])
	}
	for i, w := range a[:l.words] {
		if w != b[i] && !(long && l.isLongPlace(a, i)) {
			return false
		}
	}
	if !long {
		return true
	}
	for _, s := range l.strings {
		if IsLong(a[s+2]) && !bytes.Equal(longBytes(a[s+1], aHeap), longBytes(b[s+1], bHeap)) {
			return false
		}
	}
	return true
}

func (l *Layout) isLongPlace(key []uint64, word int) bool {
	for _, s := range l.strings {
		if word == s+1 {
			return IsLong(key[s+2])
		}
	}
	return false
}

// AppendKey appends bytes that identify a key. Equal keys have equal bytes, wherever their long
// strings lie, and different keys have different bytes.
func (l *Layout) AppendKey(to []byte, key []uint64, heap []byte) []byte {
	for _, w := range key[:l.words] {
		to = binary.LittleEndian.AppendUint64(to, w)
	}
	begin := len(to) - 8*l.words
	for _, s := range l.strings {
		if IsLong(key[s+2]) {
			long := longBytes(key[s+1], heap)
			// the length instead of the place
			binary.LittleEndian.PutUint64(to[begin+8*(s+1):], uint64(len(long)))
			to = append(to, long...)
		}
	}
	return to
}

func longBytes(place uint64, heap []byte) []byte {
	off, n := LongPlace(place)
	return heap[off : off+n]
}

// IsNull says whether key column i of a key is NULL.
func (l *Layout) IsNull(key []uint64, i int) bool {
	kc := &l.columns[i]
	if kc.typ.Kind() == record.String {
		return key[kc.word+2]>>56 == stringNull
	}
	return kc.nullable && key[l.nullWord]>>i&1 == 1
}

// Word is the value of key column i, which is not a String: what a batch has in Int64s, or the bits
// of a float64.
func (l *Layout) Word(key []uint64, i int) uint64 { return key[l.columns[i].word] }

// AppendString appends the bytes of key column i, a String, to to. It appends nothing if the string
// is NULL.
func (l *Layout) AppendString(to []byte, key []uint64, heap []byte, i int) []byte {
	w := key[l.columns[i].word:]
	switch n := w[2] >> 56; n {
	case stringNull:
		return to
	case stringLong:
		return append(to, longBytes(w[1], heap)...)
	default:
		var p [24]byte
		binary.LittleEndian.PutUint64(p[:], w[0])
		binary.LittleEndian.PutUint64(p[8:], w[1])
		binary.LittleEndian.PutUint64(p[16:], w[2])
		return append(to, p[:n]...)
	}
}

// floatKey is the word of a float64 in a key. -0 becomes 0, and every NaN the same NaN.
//
//gcassert:inline
func floatKey(f float64) uint64 {
	if f == 0 {
		return 0
	}
	if f != f {
		return 0x7ff8000000000001
	}
	return math.Float64bits(f)
}
