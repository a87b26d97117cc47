package lookup

import (
	"bytes"
	"fmt"
	"math/bits"
	"runtime"
	"strings"
	"unsafe"

	"github.com/velo-engine/velo/core/groupkey"
	"github.com/velo-engine/velo/internal/arena"
	"github.com/velo-engine/velo/internal/prefetch"
	"github.com/velo-engine/velo/record"
)

// A shape says where the words of a row lie. A row is the words of its key, then a word for each
// column, then a bit for each column that is NULL if any column may be.
type shape struct {
	schema *record.Schema
	// key are the columns of the primary key, in the order in which values are looked up.
	key []int
	// layout makes words of the key. Its columns are the columns of keySchema.
	layout    *groupkey.Layout
	keySchema *record.Schema
	// values is the word of column 0, and nulls the first word of NULL bits; it is stride if there
	// are none.
	values, nulls int
	// stride is the number of words of a row, which may have words at its end that mean nothing.
	stride int
}

func newShape(schema *record.Schema, key []int) (*shape, error) {
	s := &shape{schema: schema, key: key}
	var fields []record.Field
	columns := make([]int, len(key))
	for i, c := range key {
		f := schema.Field(c)
		// A text that is NULL has no bytes to look at, so the layout has to know. The word of
		// another type may be anything: a probe leaves out the row afterwards.
		fields = append(fields, record.Field{
			Name: fmt.Sprintf("key%d", i), Type: f.Type, Nullable: f.Type.Kind() == record.String,
		})
		columns[i] = i
	}
	var err error
	s.keySchema, err = record.NewSchema(schema.Name(), fields...)
	if err != nil {
		return nil, err
	}
	s.layout, err = groupkey.NewLayout(s.keySchema, columns)
	if err != nil {
		return nil, err
	}
	s.values = s.layout.Words()
	s.nulls = s.values + schema.Len()
	s.stride = s.nulls
	for i := range schema.Len() {
		if schema.Field(i).Nullable {
			s.stride = s.nulls + (schema.Len()+63)/64
		}
	}
	s.stride = padded(s.stride)
	return s, nil
}

// padded returns the words that a row of that many words takes: more than it needs, if then every
// row lies in one cache line and takes at most a third more memory. A table with a text as its key
// and two more columns has rows of six words, and half of them would lie in two lines. A lookup of
// such a row takes a sixth less time with eight words (BenchmarkLookup/text/1000000). To prefetch
// both lines instead gained nothing.
func padded(words int) int {
	switch words {
	case 3:
		return 4
	case 6, 7:
		return 8
	}
	return words
}

// A Version is all rows of a table at one time. It does not change.
//
// As all keys are known when it is made, it has a perfect hash function: each key has a slot of its
// own, so a lookup is one load of the key's displacement, one of the row, and a comparison, without
// a branch that depends on the data. The function is from "Hash, displace, and compress"
// (Belazzougui, Botelho, Dietzfelbinger, 2009), without the compression: keys fall into buckets of
// about four, and each bucket has the first displacement with which all its keys get slots that are
// free; buckets with many keys choose first.
//
// The slots that are left over have the key of some row. No lookup of that key looks there, so no
// lookup finds them.
type Version struct {
	*shape
	number uint64
	count  int
	// rows has the rows by their slots. They lie in memory, which lives as long as the version:
	// what reads rows ends with runtime.KeepAlive(v).
	rows   []uint64
	memory *arena.Region
	// texts has the bytes of all texts, and of keys that are longer than their words.
	texts []byte
	// displacements has the displacement of each bucket; the upper bits of a hash say which.
	displacements []uint16
	// shift is how far a hash is shifted right to give its bucket.
	shift uint
	// slots is the number of slots.
	slots uint64
	// rest are the rows whose hash is the hash of another key, which have no slot by it.
	rest []uint64
}

// Number is 1 for the first version of a table, 2 for the second.
func (v *Version) Number() uint64 { return v.number }

// Len is the number of rows.
func (v *Version) Len() int { return v.count }

// Bytes is the memory of the version.
func (v *Version) Bytes() int { return 8*len(v.rows) + cap(v.texts) + 2*cap(v.displacements) }

// Odd numbers without a pattern.
const (
	displace = 0x9e3779b97f4a7c15
	spread   = 0xd6e8feb86659fd93
)

// slot is the slot of a hash in a bucket with a displacement.
//
//gcassert:inline
func slot(hash uint64, displacement uint16, slots uint64) uint64 {
	x := (hash ^ uint64(displacement)*displace) * spread
	s, _ := bits.Mul64(x^x>>32, slots)
	return s
}

// Find looks for a row by its key: a value for each column of the key, of the kinds that
// groupkey.Layout.EncodeValues takes. place is for Word, Text and Null. It is the twin of
// Probe.Find.
func (v *Version) Find(key ...any) (place uint64, found bool, err error) {
	for _, k := range key {
		if k == nil {
			return 0, false, nil
		}
	}
	words, heap, err := v.layout.EncodeValues(key...)
	if err != nil || v.count == 0 {
		return 0, false, err
	}
	hash := v.layout.HashKey(words)
	s := slot(hash, v.displacements[hash>>(v.shift&63)], v.slots)
	defer runtime.KeepAlive(v)
	for _, place := range append([]uint64{s * uint64(v.stride)}, v.rest...) {
		if v.layout.Equal(v.rows[place:place+uint64(v.values)], v.texts, words, heap) {
			return place, true, nil
		}
	}
	return 0, false, nil
}

// Word is the value of a column of a fixed type in the row at a place that Find gave; see
// record.Column for its form.
func (v *Version) Word(place uint64, column int) uint64 {
	defer runtime.KeepAlive(v)
	return v.rows[int(place)+v.values+column]
}

// Text is the value of a text column in the row at a place. It must not be changed.
func (v *Version) Text(place uint64, column int) []byte {
	w := v.Word(place, column)
	at := *(*record.View)(unsafe.Pointer(&w))
	return v.texts[at.Off : uint64(at.Off)+uint64(at.Len)]
}

// Null says whether a column is NULL in the row at a place.
func (v *Version) Null(place uint64, column int) bool {
	defer runtime.KeepAlive(v)
	return v.stride > v.nulls && v.rows[int(place)+v.nulls+column>>6]>>(column&63)&1 != 0
}

// viewWord is a text as a row has it: a record.View as a word.
func viewWord(off, n int) uint64 {
	return *(*uint64)(unsafe.Pointer(&record.View{Off: uint32(off), Len: uint32(n)}))
}

// Texts are the bytes that the views of text columns are of.
func (v *Version) Texts() []byte { return v.texts }

// Gather puts the word of a column of each row into to: a view into Texts if it is a text. places
// come from Probe.Find, and valid says which of them are of rows that were found. It puts into some
// which values are not NULL.
func (v *Version) Gather(column int, places, valid, to, some []uint64) {
	if v.count == 0 {
		clear(some[:(len(places)+63)/64])
		clear(to[:len(places)]) // no view of an older version
		return
	}
	rows, at := v.rows, uint64(v.values+column)
	to = to[:len(places)]
	nullable, word, bit := v.schema.Field(column).Nullable, uint64(v.nulls+column>>6), uint(column&63)
	for w := range (len(places) + 63) / 64 {
		// The place of a row that is not valid may be anything. It becomes 0, and what is read
		// there does not count.
		ok := valid[w]
		of := places[64*w : min(64*w+64, len(places))]
		into := to[64*w:][:len(of)]
		if ok == ^uint64(0) {
			for i, p := range of {
				into[i] = rows[p+at]
			}
		} else {
			for i, p := range of {
				into[i] = rows[p&-(ok>>(i&63)&1)+at]
			}
		}
		if nullable {
			for i, p := range of {
				ok &^= rows[p&-(ok>>(i&63)&1)+word] >> bit & 1 << (i & 63)
			}
		}
		some[w] = ok
	}
	runtime.KeepAlive(v)
}

// A Probe looks up the keys of stripes of rows, on one thread.
type Probe struct {
	table *Table
	keys  *groupkey.Keys
	batch *record.Batch
	// far are offsets of rows to prefetch, and differs what differs between a row and a key.
	far, differs []uint64
}

// NewProbe makes a probe for stripes of up to rows rows.
func (t *Table) NewProbe(rows int) *Probe {
	return &Probe{
		table: t, keys: t.shape.layout.NewKeys(rows), batch: record.NewBatch(t.shape.keySchema, rows),
		far: make([]uint64, rows), differs: make([]uint64, rows),
	}
}

// Column is where the caller puts the values of a column of the key before Find: slices of its own
// for n rows. Valid is looked at only for texts.
func (p *Probe) Column(i int) *record.Column { return p.batch.Column(i) }

// Find looks up n keys in a version of the probe's table. want says which of them are wanted, nil
// for all: a key with a NULL is not. It sets, for each row, where it was found, and in found which
// rows were. It allocates nothing, except while it keeps samples of keys that were not found.
func (p *Probe) Find(v *Version, n int, want, places, found []uint64) {
	p.batch.SetLen(n)
	v.layout.Encode(p.batch, 0, n, p.keys)
	differs := p.differs[:n]
	if v.count == 0 {
		fillOnes(differs)
	} else {
		v.search(p, places[:n], differs)
	}
	wanted, missing, first := 0, 0, -1
	for w := range (n + 63) / 64 {
		of := differs[64*w : min(64*w+64, n)]
		all := ^uint64(0) >> (64 - uint(len(of)))
		if want != nil {
			all &= want[w]
		}
		var not, differ uint64
		for _, d := range of {
			differ |= d
		}
		if differ != 0 { // most keys are there
			for i, d := range of {
				not |= (d | -d) >> 63 << (i & 63)
			}
		}
		not &= all
		found[w] = all &^ not
		wanted += bits.OnesCount64(all)
		if not != 0 {
			missing += bits.OnesCount64(not)
			if first < 0 {
				first = 64*w + bits.TrailingZeros64(not)
			}
		}
	}
	p.table.counters.looked(wanted, missing)
	if missing > 0 && p.table.counters.sampling() {
		p.table.counters.sample(p.text(first))
	}
}

func fillOnes(words []uint64) {
	for i := range words {
		words[i] = 1
	}
}

// text writes a key as SQL would.
func (p *Probe) text(row int) string {
	var parts []string
	for i := range p.table.shape.key {
		parts = append(parts, valueText(p.table.shape.keySchema.Field(i).Type, p.batch.Column(i), row))
	}
	return strings.Join(parts, ", ")
}

// farBytes is from how many bytes on it pays to prefetch the rows: they no longer fit the
// second-level cache.
const farBytes = 512 << 10

// search sets the place of each key, and differs to 0 if the key is there.
func (v *Version) search(p *Probe, places, differs []uint64) {
	k := p.keys
	hashes, shift, displacements, slots, stride := k.Hashes[:len(places)], v.shift&63, v.displacements, v.slots,
		uint64(v.stride)
	rows, words := v.rows, k.Words[0][:len(places)]
	differs = differs[:len(places)]
	if prefetch.Enabled && 8*len(rows) > farBytes {
		far := p.far[:len(places)]
		for i, h := range hashes {
			places[i] = slot(h, displacements[h>>shift], slots) * stride
			far[i] = places[i] * 8
		}
		prefetch.Each(unsafe.Pointer(unsafe.SliceData(rows)), far)
		for i, place := range places {
			differs[i] = rows[place] ^ words[i]
		}
	} else {
		for i, h := range hashes {
			place := slot(h, displacements[h>>shift], slots) * stride
			places[i], differs[i] = place, rows[place]^words[i]
		}
	}
	for w := 1; w < len(k.Words); w++ {
		words := k.Words[w][:len(places)]
		for i, place := range places {
			differs[i] |= rows[place+uint64(w)] ^ words[i]
		}
	}
	if k.Long > 0 {
		v.compareLong(k, places, differs)
	}
	if len(v.rest) > 0 {
		v.searchRest(k, places, differs)
	}
	runtime.KeepAlive(v)
}

// compareLong compares the keys that have texts in a heap, whose second word is a place.
func (v *Version) compareLong(k *groupkey.Keys, places, differs []uint64) {
	for i, n := range k.LongBytes[:len(places)] {
		if n != 0 && differs[i] != 0 && v.equalLong(k, i, places[i]) {
			differs[i] = 0
		}
	}
}

// searchRest looks for keys among the rows that have no slot.
func (v *Version) searchRest(k *groupkey.Keys, places, differs []uint64) {
	for i, d := range differs {
		for _, place := range v.rest {
			if d != 0 && v.equal(k, i, place) {
				places[i], differs[i] = place, 0
			}
		}
	}
}

// equal says whether a row has key i.
func (v *Version) equal(k *groupkey.Keys, i int, place uint64) bool {
	if k.Long > 0 {
		return v.equalLong(k, i, place)
	}
	for w, word := range v.rows[place : place+uint64(v.values)] {
		if word != k.Words[w][i] {
			return false
		}
	}
	return true
}

// equalLong is equal if some keys have texts that lie in a heap.
func (v *Version) equalLong(k *groupkey.Keys, i int, place uint64) bool {
	row := v.rows[place : place+uint64(v.values)]
	text := 0
	strings := v.layout.Strings()
	for w := 0; w < len(row); w++ {
		if text == len(strings) || w != strings[text] {
			if row[w] != k.Words[w][i] {
				return false
			}
			continue
		}
		if row[w] != k.Words[w][i] || row[w+2] != k.Words[w+2][i] {
			return false
		}
		if !groupkey.IsLong(row[w+2]) {
			if row[w+1] != k.Words[w+1][i] {
				return false
			}
		} else {
			off, n := groupkey.LongPlace(row[w+1])
			other, m := groupkey.LongPlace(k.Words[w+1][i])
			if !bytes.Equal(v.texts[off:off+n], k.Heaps[text][other:other+m]) {
				return false
			}
		}
		text++
		w += 2
	}
	return true
}
