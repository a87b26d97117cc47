package record

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// Goal: keys are equal exactly where their values are, whichever of the ways a key is made, and equal keys have equal
// hashes. Method: random rows of every type, against the values as text; the rows encoded as a batch (the fast path), from
// Go values, and hashed one by one (the twins).
func TestKeys(t *testing.T) {
	fields := []Field{
		{"i", Int64, true}, {"f", Float64, false}, {"s", String, true}, {"b", Bool, false}, {"t", Timestamp, true}, {"d", DecimalOf(9, 2), false}, {"s2", String, false},
	}
	s := mustSchema(t, fields...)
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 7))
		var columns []int
		for i := range fields {
			if rng.IntN(2) == 0 {
				columns = append(columns, i)
			}
		}
		l, err := NewKeyLayout(s, columns)
		if err != nil {
			t.Fatal(err)
		}
		const rows = 60
		b := NewBatch(s, rows)
		var values [][]any
		for range rows {
			row := randomRow(rng, fields)
			text := 0
			for _, v := range row {
				if v, ok := v.(string); ok {
					text += len(v)
				}
			}
			if !b.Add(text) {
				break
			}
			for i, v := range row {
				switch v := v.(type) {
				case nil:
					b.SetNull(i)
				case int64:
					b.SetInt64(i, v)
				case float64:
					b.SetFloat64(i, v)
				case string:
					b.SetString(i, v)
				case bool:
					b.SetBool(i, v)
				case time.Time:
					b.SetTime(i, v)
				case Decimal:
					b.SetInt64(i, v.Unscaled)
				}
			}
			values = append(values, row)
		}
		type made struct {
			key  []uint64
			heap []byte
			hash uint64
			text string
			null bool
		}
		var keys []made
		scratch := l.NewKeys(rows)
		from := rng.IntN(b.Len())
		l.Encode(b, from, b.Len(), scratch)
		keyless := 0
		for i := range b.Len() - from {
			var part []any
			null := len(columns) > 0
			for _, c := range columns {
				v := values[from+i][c]
				null = null && v == nil
				if f, ok := v.(float64); ok && f == 0 {
					v = 0.0
				}
				part = append(part, v)
			}
			if null {
				keyless++
			}
			text := fmt.Sprintf("%#v", part)
			key := make([]uint64, l.Words())
			for w := range key {
				key[w] = scratch.Words[w][i]
			}
			heap := heapOf(l, scratch, key)
			if h := l.HashKey(key); h != scratch.Hashes[i] {
				t.Fatalf("seed %d: hash %x in a batch, %x alone", seed, scratch.Hashes[i], h)
			}
			if null && scratch.Hashes[i] != 0 {
				t.Fatalf("seed %d: the hash of no key is %x", seed, scratch.Hashes[i])
			}
			keys = append(keys, made{key, heap, scratch.Hashes[i], text, null})
			again, heap2, err := l.EncodeValues(part...)
			if err != nil {
				t.Fatal(err)
			}
			keys = append(keys, made{again, heap2, l.HashKey(again), text, null})
			for c := range columns {
				if l.IsNull(key, c) != (part[c] == nil) {
					t.Fatalf("seed %d: column %d of %s: IsNull is wrong", seed, c, text)
				}
				if v, ok := part[c].(string); ok && string(l.AppendString(nil, key, heap, c)) != v {
					t.Fatalf("seed %d: %q came back as %q", seed, v, l.AppendString(nil, key, heap, c))
				}
			}
		}
		if scratch.Keyless != keyless {
			t.Fatalf("seed %d: %d keyless rows, expected %d", seed, scratch.Keyless, keyless)
		}
		for _, x := range keys {
			for _, y := range keys {
				equal := l.Equal(x.key, x.heap, y.key, y.heap)
				if equal != (x.text == y.text) {
					t.Fatalf("seed %d: %s and %s: equal is %v", seed, x.text, y.text, equal)
				}
				if equal && x.hash != y.hash {
					t.Fatalf("seed %d: equal keys %s with hashes %x and %x", seed, x.text, x.hash, y.hash)
				}
			}
		}
	}
}

// heapOf gathers the long strings of a key, which point into several columns, into one heap.
func heapOf(l *KeyLayout, k *Keys, key []uint64) (heap []byte) {
	for j, w := range l.Strings() {
		if IsLong(key[w+2]) {
			off, n := LongPlace(key[w+1])
			key[w+1] = PlaceLong(uint64(len(heap)), n)
			heap = append(heap, k.Heaps[j][off:off+n]...)
		}
	}
	return heap
}

func randomRow(rng *rand.Rand, fields []Field) []any {
	row := make([]any, len(fields))
	for i, f := range fields {
		n := int64(rng.IntN(4))
		switch {
		case f.Nullable && rng.IntN(3) == 0:
			row[i] = nil
		case f.Type == Int64:
			row[i] = n
		case f.Type == Float64:
			row[i] = []float64{0, math.Copysign(0, -1), math.NaN(), 1.5}[n]
		case f.Type == String:
			row[i] = []string{"", "abc", strings.Repeat("y", 22+rng.IntN(3)), strings.Repeat("z", 40)}[n]
		case f.Type == Bool:
			row[i] = n&1 == 0
		case f.Type == Timestamp:
			row[i] = time.Unix(0, n).UTC()
		default:
			row[i] = Decimal{n, uint8(f.Type.Scale())}
		}
	}
	return row
}

// Goal: values of the wrong type or number are refused by name.
func TestEncodeValuesFaults(t *testing.T) {
	s := mustSchema(t, Field{"i", Int64, false}, Field{"s", String, true})
	l, err := NewKeyLayout(s, []int{0, 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range [][]any{{1}, {1, "a", 2}, {"x", "y"}, {nil, "a"}, {1, 2}, {uint64(math.MaxUint64), "a"}, {1.5, "a"}} {
		if _, _, err := l.EncodeValues(bad...); err == nil {
			t.Errorf("%v was taken", bad)
		}
	}
	for _, good := range [][]any{{1, "a"}, {int8(1), []byte("a")}, {uint32(1), nil}} {
		if _, _, err := l.EncodeValues(good...); err != nil {
			t.Errorf("%v: %v", good, err)
		}
	}
}

// Goal: hashes spread: no shard and no slot of a table gets much more than its share, for keys as they come in practice.
func TestHashSpreads(t *testing.T) {
	const n = 1 << 16
	for name, key := range map[string]func(i uint64) uint64{
		"counting": func(i uint64) uint64 { return i },
		"steps":    func(i uint64) uint64 { return i << 32 },
		"floats":   func(i uint64) uint64 { return math.Float64bits(float64(i)) },
	} {
		var top, below [256]int
		for i := range uint64(n) {
			h := mix(hashSeed, key(i))
			top[h>>56]++
			below[h<<8>>56]++
		}
		for i := range top {
			if top[i] > 2*n/256 || below[i] > 2*n/256 || top[i] < n/512 || below[i] < n/512 {
				t.Errorf("%s: %d and %d keys in piece %d, expected about %d (seed %x)", name, top[i], below[i], i, n/256, hashSeed)
				break
			}
		}
	}
}
