package table

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/velo-engine/velo/core/groupkey"
	"github.com/velo-engine/velo/internal/invariants"

	"github.com/velo-engine/velo/record"
)

// asAdversary is set where the test binary is run as somebody who does not know our seeds.
const asAdversary = "VELO_TEST_ADVERSARY"

// craftedBits is how many bits of the hash, after the bits of the shard, crafted keys share: the
// home in any index of up to as many.
const craftedBits = 12

// Goal: keys that somebody has made to collide in his own process cost ours about what other keys
// do. Method: the test runs itself in another process, which looks for numbers and texts that have
// one home under its seeds; here their looks are counted, in a near index and among the groups of a
// large one, and compared with the looks of keys that nobody chose. If processes had the same
// seeds, the mean would be hundreds of looks.
func TestAdversary(t *testing.T) {
	n := 1000
	if testing.Short() || invariants.Enabled {
		n = 250 // they take long to find, with the race detector above all
	}
	if os.Getenv(asAdversary) != "" {
		for _, kind := range []string{"number", "text"} {
			l, encode := adversaryKeys(t, kind)
			home := func(i int) uint64 { return l.HashKey(encode(i)) << shardBits >> (64 - craftedBits) }
			for i, found := 0, 0; found < n; i++ {
				if home(i) == home(0) {
					fmt.Println(i)
					found++
				}
			}
		}
		return
	}
	if faults := attack(t, n); len(faults) > 0 {
		t.Fatal(strings.Join(faults, "\n"))
	}
}

// attack is TestAdversary against one other process. It returns what took too many looks.
func attack(t *testing.T, n int) (faults []string) {
	cmd := exec.Command(os.Args[0], "-test.run=^TestAdversary$")
	cmd.Env = append(os.Environ(), asAdversary+"=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Skipf("no second process: %v", err)
	}
	defer cmd.Wait()
	in := bufio.NewReader(out)
	for _, kind := range []string{"number", "text"} {
		l, encode := adversaryKeys(t, kind)
		crafted, ordinary := make([]int, n), make([]int, n)
		for i := range crafted {
			if _, err := fmt.Fscanln(in, &crafted[i]); err != nil {
				t.Fatal(err)
			}
			ordinary[i] = i*7919 + 1
		}
		for _, others := range []int{0, 20_000} {
			fill := func(keys []int) (mean float64, most int) {
				tab := newTable(t, l, nil)
				add := func(i int) {
					key := encode(i)
					tab.reserve(1)
					tab.findOrCreate(l.HashKey(key), key, nil)
				}
				for i := range others {
					add(-1 - i)
				}
				for _, i := range keys {
					add(i)
				}
				return looks(tab, encode, keys)
			}
			mean, most := fill(crafted)
			usual, usualMost := fill(ordinary)
			what := fmt.Sprintf("%s, %d others: %.2f looks in the mean, %d at most; ordinary keys %.2f, %d", kind,
				others, mean, most, usual, usualMost)
			if t.Log(what); mean > 1.5*usual || most > 30 {
				faults = append(faults, what)
			}
		}
	}
	return faults
}

// adversaryKeys says how a number, or the text of it, is a key.
func adversaryKeys(t *testing.T, kind string) (l *groupkey.Layout, encode func(i int) []uint64) {
	typ := record.Int64
	if kind == "text" {
		typ = record.String
	}
	s, err := record.NewSchema("s", record.Field{Name: "k", Type: typ})
	if err != nil {
		t.Fatal(err)
	}
	if l, err = groupkey.NewLayout(s, []int{0}); err != nil {
		t.Fatal(err)
	}
	return l, func(i int) []uint64 {
		var v any = i
		if kind == "text" {
			v = fmt.Sprintf("user-%d", i)
		}
		key, _, err := l.EncodeValues(v)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
}

// looks is how many slots, or buckets, are looked at to find some keys: in the mean, and at most.
func looks(t *Table, encode func(i int) []uint64, keys []int) (mean float64, most int) {
	total := 0
	for _, i := range keys {
		key := encode(i)
		hash := t.keys.HashKey(key)
		row := uint32(t.find(hash, key, nil))
		n := 1
		if t.buckets.count > 0 {
			for b := t.buckets.home(hash); !has(t.buckets.at(b), row); b++ {
				n++
			}
		} else {
			for slot := t.near.home(hash); t.near.slots[slot&uint64(len(t.near.slots)-1)] != row; slot++ {
				n++
			}
		}
		total += n
		most = max(most, n)
	}
	return float64(total) / float64(len(keys)), most
}

func has(b *bucket, row uint32) bool {
	for j, tag := range b.tags {
		if tag != 0 && b.rows[j] == row {
			return true
		}
	}
	return false
}
