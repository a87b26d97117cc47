package table

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/velo-engine/velo/core/groupkey"
	"github.com/velo-engine/velo/internal/testgen"
	"github.com/velo-engine/velo/record"
)

// Goal: rows that are appended are found like rows that were made, with their states, in a process
// with other seeds. Method: some rows of a table, picked at random, are appended to another, and
// FindOrCreate makes the others: it is the twin. Then every key is looked up and added to.
func TestAppend(t *testing.T) { eachVariant(t, testAppend) }

func testAppend(t *testing.T) {
	s, err := record.NewSchema("s", record.Field{Name: "i", Type: record.Int64},
		record.Field{Name: "s", Type: record.String}, record.Field{Name: "n", Type: record.Int64, Nullable: true})
	if err != nil {
		t.Fatal(err)
	}
	for seed := range testgen.Seeds(24) {
		rng := rand.New(rand.NewPCG(seed, 6))
		columns := [][]int{{0}, {1}, {0, 1, 2}, {2}, {2, 1}, {0, 0, 0, 0}}[seed%6]
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) { appendSome(t, rng, s, columns) })
	}
}

func appendSome(t *testing.T, rng *rand.Rand, s *record.Schema, columns []int) {
	l, err := groupkey.NewLayout(s, columns)
	if err != nil {
		t.Fatal(err)
	}
	undo := groupkey.Reseed()
	other, err := groupkey.NewLayout(s, columns)
	undo()
	if err != nil {
		t.Fatal(err)
	}
	init := make([]uint64, 1+rng.IntN(6))
	from, to := newTable(t, l, init), newTable(t, other, init)
	n := 1 + rng.IntN(1<<(1+rng.IntN(15)))
	for i := range n {
		var values []any
		for _, c := range columns {
			values = append(values, []any{i, strings.Repeat("x", i%40) + fmt.Sprint(i), []any{i, nil}[min(1, i%9/8)]}[c])
		}
		key, heap, err := l.EncodeValues(values...)
		if err != nil {
			t.Fatal(err)
		}
		row := from.findOrCreateOne(l.HashKey(key), key, heap)
		_, states := from.Row(row)
		states[len(states)-1] = uint64(i) + 1
	}
	if rng.IntN(2) == 0 {
		to.Room(from.Len(), 0, 0)
	}
	const stripe = 512
	scratch, off := other.NewKeys(stripe), make([]uint64, stripe)
	copy(scratch.Words, newColumns(other.Words(), stripe))
	all := rng.IntN(2) == 0
	for first := 0; first < from.Len(); {
		n := min(from.Len()-first, 1+rng.IntN(stripe))
		rows := from.RawRows(first, n)
		for i := range n {
			key, _ := from.Row(first + i)
			for w := range key {
				scratch.Words[w][i] = key[w]
			}
		}
		if err := other.Reseed(scratch, n, from.Heap()); err != nil {
			t.Fatal(err)
		}
		other.HashAll(scratch, n)
		var which, rest []uint32
		for i := range uint32(n) {
			if all || rng.IntN(3) > 0 {
				which = append(which, i)
			} else {
				rest = append(rest, i)
			}
		}
		added := to.Append(rows, which, scratch.Hashes, scratch.Words, from.Heap(), off)
		if len(added.Off) != len(which) {
			t.Fatalf("%d of %d rows found room", len(added.Off), len(which))
		}
		for j, i := range which {
			if _, states := to.Row(to.RowAt(added.Off[j])); states[len(states)-1] != last(rows, n, i, from) {
				t.Fatalf("row %d was added with state %d, expected %d", i, states[len(states)-1], last(rows, n, i, from))
			}
		}
		for _, i := range rest {
			key := make([]uint64, other.Words())
			for w := range key {
				key[w] = scratch.Words[w][i]
			}
			if hash := other.HashKey(key); hash != scratch.Hashes[i] {
				t.Fatalf("HashAll makes %x of a key, HashKey %x", scratch.Hashes[i], hash)
			}
			_, states := to.Row(to.findOrCreateOne(other.HashKey(key), key, from.Heap()))
			states[len(states)-1] = last(rows, n, i, from)
		}
		first += n
	}
	if to.Len() != from.Len() {
		t.Fatalf("%d rows, expected %d", to.Len(), from.Len())
	}
	for i := range from.Len() {
		key, states := from.Row(i)
		want := string(l.AppendKey(nil, key, from.Heap()))
		one := other.NewKeys(1)
		copy(one.Words, newColumns(other.Words(), 1))
		for w := range key {
			one.Words[w][0] = key[w]
		}
		if err := other.Reseed(one, 1, from.Heap()); err != nil {
			t.Fatal(err)
		}
		other.HashAll(one, 1)
		mine := make([]uint64, len(key))
		for w := range mine {
			mine[w] = one.Words[w][0]
		}
		row, ok := to.Get(one.Hashes[0], mine, from.Heap())
		if !ok {
			t.Fatalf("key %x is not found", want)
		}
		if _, got := to.Row(row); got[len(got)-1] != states[len(states)-1] {
			t.Fatalf("key %x has state %d, expected %d", want, got[len(got)-1], states[len(states)-1])
		}
	}
}

// last is the last word of the states of row i of n.
func last(rows []byte, n int, i uint32, t *Table) uint64 {
	row := rows[int(i)*(len(rows)/n):]
	return binary.LittleEndian.Uint64(row[8*(t.keyWords+len(t.init)-1):])
}

func newColumns(columns, rows int) (words [][]uint64) {
	for range columns {
		words = append(words, make([]uint64, rows))
	}
	return words
}

// findOrCreateOne is FindOrCreate for one key.
func (t *Table) findOrCreateOne(hash uint64, key []uint64, heap []byte) (row int) {
	var words [][]uint64
	for _, w := range key {
		words = append(words, []uint64{w})
	}
	rows := t.FindOrCreate([]uint64{hash}, words, heap, make([]uint64, 1))
	return t.RowAt(rows.Off[0])
}

// Goal: rows that find no room are counted, and the others are there. Method: a table for 100.
func TestAppendShed(t *testing.T) {
	k := newKeysTable(t, Memory{Groups: 100})
	var keys []int64
	for i := range int64(150) {
		keys = append(keys, i)
	}
	from := newKeysTable(t, Memory{})
	from.add(keys)
	b := record.NewBatch(k.schema, len(keys))
	var which []uint32
	for i, key := range keys {
		b.Add(0)
		b.SetInt64(0, key)
		which = append(which, uint32(i))
	}
	k.layout.Encode(b, 0, b.Len(), k.scratch)
	rows := k.Append(from.RawRows(0, 150), which, k.scratch.Hashes, k.scratch.Words, nil, k.off)
	records, cause := k.Shed()
	if len(rows.Off) != 100 || k.Len() != 100 || records != 50 || cause == nil {
		t.Errorf("%d places, %d rows, %d shed (%v), expected 100, 100 and 50", len(rows.Off), k.Len(), records, cause)
	}
	for _, key := range keys[:100] {
		k.want[key] = 1
	}
	k.check()
}
