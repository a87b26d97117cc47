package groupkey

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/velo-engine/velo/record"
)

// Goal: keys are equal exactly where their values are, whichever of the ways a key is made, and
// equal keys have equal hashes. Method: random rows of every type, against the values as text; the
// rows encoded as a batch (the fast path), from Go values, and hashed one by one (the twins).
func TestKeys(t *testing.T) { eachVariant(t, testKeys) }

func testKeys(t *testing.T) {
	fields := []record.Field{
		{Name: "i", Type: record.Int64, Nullable: true},
		{Name: "f", Type: record.Float64, Nullable: false},
		{Name: "s", Type: record.String, Nullable: true},
		{Name: "b", Type: record.Bool, Nullable: false},
		{Name: "t", Type: record.Timestamp, Nullable: true},
		{Name: "d", Type: record.DecimalOf(9, 2), Nullable: false},
		{Name: "s2", Type: record.String, Nullable: false},
	}
	s := schemaOf(t, fields...)
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 7))
		var columns []int
		for i := range fields {
			if rng.IntN(2) == 0 {
				columns = append(columns, i)
			}
		}
		l, err := NewLayout(s, columns)
		if err != nil {
			t.Fatal(err)
		}
		const rows = 60
		b := record.NewBatch(s, rows)
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
				case record.Decimal:
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
func heapOf(l *Layout, k *Keys, key []uint64) (heap []byte) {
	for j, w := range l.Strings() {
		if IsLong(key[w+2]) {
			off, n := LongPlace(key[w+1])
			key[w+1] = PlaceLong(uint64(len(heap)), n)
			heap = append(heap, k.Heaps[j][off:off+n]...)
		}
	}
	return heap
}

func randomRow(rng *rand.Rand, fields []record.Field) []any {
	row := make([]any, len(fields))
	for i, f := range fields {
		n := int64(rng.IntN(4))
		switch {
		case f.Nullable && rng.IntN(3) == 0:
			row[i] = nil
		case f.Type == record.Int64:
			row[i] = n
		case f.Type == record.Float64:
			row[i] = []float64{0, math.Copysign(0, -1), math.NaN(), 1.5}[n]
		case f.Type == record.String:
			row[i] = []string{"", "abc", strings.Repeat("y", 22+rng.IntN(3)), strings.Repeat("z", 40)}[n]
		case f.Type == record.Bool:
			row[i] = n&1 == 0
		case f.Type == record.Timestamp:
			row[i] = time.Unix(0, n).UTC()
		default:
			row[i] = record.Decimal{Unscaled: n, Scale: uint8(f.Type.Scale())}
		}
	}
	return row
}

// Goal: values of the wrong type or number are refused by name.
func TestEncodeValuesFaults(t *testing.T) {
	s := schemaOf(t, record.Field{Name: "i", Type: record.Int64, Nullable: false},
		record.Field{Name: "s", Type: record.String, Nullable: true})
	l, err := NewLayout(s, []int{0, 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range [][]any{
		{1},
		{1, "a", 2},
		{"x", "y"},
		{nil, "a"},
		{1, 2},
		{uint64(math.MaxUint64), "a"},
		{1.5, "a"},
	} {
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

// wordKeys are keys of one or two words as they come in practice.
var wordKeys = map[string]func(i uint64) []uint64{
	"counting":       func(i uint64) []uint64 { return []uint64{i} },
	"steps":          func(i uint64) []uint64 { return []uint64{i << 32} },
	"small steps":    func(i uint64) []uint64 { return []uint64{i << 8} },
	"round numbers":  func(i uint64) []uint64 { return []uint64{i * 1e6} },
	"a prime":        func(i uint64) []uint64 { return []uint64{i * 7919} },
	"times":          func(i uint64) []uint64 { return []uint64{i * 60e9} },
	"floats":         func(i uint64) []uint64 { return []uint64{math.Float64bits(float64(i))} },
	"floats, prices": func(i uint64) []uint64 { return []uint64{math.Float64bits(float64(i) / 100)} },
	"digits": func(i uint64) []uint64 {
		return []uint64{binary.LittleEndian.Uint64(fmt.Appendf(nil, "..%05d\x17", i))}
	},
	"few and many":   func(i uint64) []uint64 { return []uint64{i % 3, i / 3} },
	"many and few":   func(i uint64) []uint64 { return []uint64{i / 3, i % 3} },
	"a square":       func(i uint64) []uint64 { return []uint64{i % 256, i / 256} },
	"with zero":      func(i uint64) []uint64 { return []uint64{i, 0} },
	"twice the same": func(i uint64) []uint64 { return []uint64{i, i} },
}

// drawSome are the seeds of some processes, others in each run.
func drawSome(n int) (all []seeds) {
	rng := rand.New(rand.NewPCG(hashSeeds.start, 1))
	for range n {
		all = append(all, drawSeeds(rng.Uint64))
	}
	return all
}

func hashOfWords(words []uint64, s *seeds) uint64 {
	h := s.start
	for _, w := range words {
		h = mix(h, w, s.mul)
	}
	return h
}

// Goal: hashes spread: no shard, no slot of a table and no tag gets much more than its share, for
// keys as they come in practice, of words, in any process, and of text; and no two are equal.
func TestHashSpreads(t *testing.T) {
	for name, key := range wordKeys {
		for _, s := range drawSome(4) {
			checkSpread(t, fmt.Sprintf("%s, seeds %x", name, s), func(i uint64) uint64 {
				return hashOfWords(key(i), &s)
			})
		}
	}
	for name, key := range map[string]func(i uint64) string{
		"numbers":  func(i uint64) string { return fmt.Sprint(i) },
		"padded":   func(i uint64) string { return fmt.Sprintf("%08d", i) },
		"in front": func(i uint64) string { return fmt.Sprintf("%05d-the-same-text", i) },
		"middle":   func(i uint64) string { return fmt.Sprintf("customer-%05d-eu", i) },
		"end":      func(i uint64) string { return fmt.Sprintf("the-same-customer-%05d", i) },
		"apart":    func(i uint64) string { return fmt.Sprintf("%03d-the-same-text-%03d", i/256, i%256) },
		"zeros":    func(i uint64) string { return strings.Repeat("\x00", int(i%12)) + fmt.Sprintf("%d!", i/12) },
		"bytes":    func(i uint64) string { return string(binary.LittleEndian.AppendUint16(nil, uint16(i))) },
	} {
		checkSpread(t, name, func(i uint64) uint64 { return hashOfText(key(i), &hashSeeds) })
	}
}

func checkSpread(t *testing.T, name string, hash func(i uint64) uint64) {
	t.Helper()
	const n = 1 << 16
	names := [...]string{"shard", "slot", "next bits", "tag", "rest"}
	var counts [len(names)][256]int
	hashes := make([]uint64, n)
	for i := range hashes {
		h := hash(uint64(i))
		hashes[i] = h
		for piece, of := range [...]uint64{h >> 56, h << 8 >> 56, h << 16 >> 56, h >> 13 & 0xff, h >> 20 & 0xff} {
			counts[piece][of]++
		}
	}
	slices.Sort(hashes)
	if distinct := len(slices.Compact(hashes)); distinct != n {
		t.Errorf("%s: %d hashes of %d keys (seeds %x)", name, distinct, n, hashSeeds)
	}
	for piece, count := range counts {
		for i, c := range count {
			// eight standard deviations are a half more
			if most := 2 * n / 256; c > most || piece < 3 && c > most*3/4 || c < n/640 {
				t.Errorf("%s: %d keys in %s %d, expected about %d (seeds %x)", name, c, names[piece], i, n/256,
					hashSeeds)
				break
			}
		}
	}
}

// Goal: keys do not crowd in the buckets of a table that owns some shards: not more of them find
// theirs full than chance has it. Without the second multiplication of mix, a third of keys like 0,
// 1, 2, ... after a small number did, in one process of some hundred, and in one of some thousand
// so many in a row that the table had no place for them. Method: buckets of 10, 6 keys for each; of
// random keys 2 in 100 find theirs full.
func TestHashCrowds(t *testing.T) {
	const buckets, rows, each = 1 << 10, 10, 6
	for name, key := range wordKeys {
		for _, s := range drawSome(100) {
			var counts [buckets]int
			for i, n := uint64(0), 0; n < buckets*each; i++ {
				if h := hashOfWords(key(i), &s); h>>63 == 0 { // the other half of the shards is somebody else's
					counts[h<<8>>(64-10)]++
					n++
				}
			}
			out := 0
			for _, c := range counts {
				out += max(0, c-rows)
			}
			if out > buckets*each/20 {
				t.Errorf("%s: %d of %d keys find their bucket full (seeds %x)", name, out, buckets*each, s)
			}
		}
	}
}

// hashOfText is the hash of a key that is one short text.
func hashOfText(text string, s *seeds) uint64 {
	w0, w1, w2 := packString([]byte(text), 0, s)
	return mixString(s.start, w0, w1, w2, s)
}

// Goal: who chooses keys that collide under other seeds than ours, wins nothing. Method: words
// found by search, texts found by search, and texts by algebra (the first word makes the first
// product 0, so the second does not count), which share a place in an index of 2^12 under some
// seeds. Under others they lie like random keys.
func TestAdversary(t *testing.T) {
	const n, places = 512, 1 << 12
	place := func(h uint64) uint64 { return h << 8 >> 52 }
	rng := rand.New(rand.NewPCG(1, 2))
	theirs := drawSeeds(rng.Uint64)
	for name, hash := range map[string]func(i uint64, s *seeds) uint64{
		"words":          func(i uint64, s *seeds) uint64 { return mix(s.start, i, s.mul) },
		"texts":          func(i uint64, s *seeds) uint64 { return hashOfText(fmt.Sprintf("%d:user", i), s) },
		"texts, algebra": func(i uint64, s *seeds) uint64 { return mixString(s.start, theirs.words[0], i, 16<<56, s) },
	} {
		var crafted []uint64
		for i := uint64(0); len(crafted) < n; i++ {
			if place(hash(i, &theirs)) == place(hash(0, &theirs)) {
				crafted = append(crafted, i)
			}
		}
		worst, pairs := 0, 0
		const rounds = 20
		for range rounds {
			ours := drawSeeds(rng.Uint64)
			var count [places]int
			for _, i := range crafted {
				p := place(hash(i, &ours))
				pairs += count[p]
				count[p]++
				worst = max(worst, count[p])
			}
		}
		before := float64(pairs) / (rounds * n) // keys in its place before a key, in the mean
		// Of random keys, 9 in one place have a chance of one in a million, and there is 1/16
		// before a key.
		if worst > 8 || before > 0.1 {
			t.Errorf("%s: %d of %d keys that collide under other seeds have one place under ours, %.3f are before a key", name, worst, n, before)
		}
	}
}

func schemaOf(t testing.TB, fields ...record.Field) *record.Schema {
	t.Helper()
	s, err := record.NewSchema("s", fields...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
