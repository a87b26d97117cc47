package writers

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/velo-engine/velo/record"
)

// afterPower is the disk when the power has come back: each file has what was synced.
func (d *disk) afterPower() *disk {
	n := newDisk()
	for name, c := range d.files {
		n.files[name] = &content{disk: n, data: slices.Clone(c.synced), synced: slices.Clone(c.synced)}
	}
	return n
}

// retried does something until it is no transient error, over a disk that gets room after the
// first.
func (d *disk) retried(do func() error) error {
	err := do()
	for errors.Is(err, record.ErrTransient) {
		d.room = -1
		err = do()
	}
	d.room = -1
	return err
}

// published are the files with names of their own.
func published(d *disk) map[string]string {
	texts := map[string]string{}
	for name, c := range d.files {
		if !strings.HasSuffix(name, Unfinished) && !strings.HasSuffix(name, noteSuffix) {
			texts[name] = string(c.data)
		}
	}
	return texts
}

// Goal: whenever the power goes, each window is in exactly one file with a name, in order, and such
// a file never changes. Method: windows of a few rows, saves at random moments, lives that end
// after a random number of operations; the state of the engine is what the last save returned, and
// it writes all windows after the one that Recover returns.
func TestFileResumes(t *testing.T) {
	const windows = 60
	rows := func(w int) int { return 1 + w*7%40 }
	for _, path := range []string{"out-{n}.csv", "out.csv", "out-{n}.footed"} {
		for seed := range uint64(400) {
			rng := rand.New(rand.NewPCG(seed, 11))
			cfg := FileConfig{Path: path, AwaitSpace: true}
			if strings.HasSuffix(path, ".footed") {
				cfg.Encode = newFooted
			}
			if path != "out.csv" {
				cfg.RotateBytes = MinRotateBytes
			}
			d := newDisk()
			var saved []byte
			least := math.MinInt64 // the last window that the saved state calls written
			named := map[string]string{}
			for life := 0; ; life++ {
				if d.left = 5 + rng.IntN(150); life > 30 {
					d.left = -1
				}
				done, err := func() (bool, error) {
					f, err := newFile(cfg, d)
					if err != nil {
						return false, err
					}
					has, err := f.Recover(context.Background(), "job", saved)
					if err != nil {
						return false, err
					}
					if saved == nil { // the engine saves before the first record
						saved, err = f.Save(context.Background())
						if err != nil {
							return false, err
						}
					}
					if has < int64(least) {
						t.Fatalf("%s, seed %d: it has windows up to %d, and had %d", path, seed, has, least)
					}
					for w := int(max(has, 0)) + 1; w <= windows; w++ {
						first := 100 * w
						for n := rows(w); n > 0; {
							some := min(n, 1+rng.IntN(30))
							if rng.IntN(20) == 0 {
								d.room = rng.IntN(300)
							}
							if err := d.retried(func() error {
								return f.Write(context.Background(), batchOf(first, some))
							}); err != nil {
								return false, err
							}
							first, n = first+some, n-some
							if rng.IntN(10) == 0 { // within a window
								if s, err := f.Save(context.Background()); err == nil {
									saved = s
									if w > 1 {
										least = w - 1
									}
								}
							}
						}
						if rng.IntN(20) == 0 {
							d.room = rng.IntN(300)
						}
						if err := d.retried(func() error {
							return f.EndWindow(context.Background(), int64(w))
						}); err != nil {
							return false, err
						}
						if rng.IntN(5) == 0 {
							if s, err := f.Save(context.Background()); err == nil {
								saved, least = s, w
							}
						}
						if rng.IntN(30) == 0 { // shut down in order
							if err := f.Close(); err != nil {
								return false, err
							}
							if s, err := f.Save(context.Background()); err == nil {
								saved, least = s, w
							}
							return false, nil
						}
					}
					if err := f.EndWindow(context.Background(), math.MaxInt64); err != nil {
						return false, err
					}
					return true, f.Close()
				}()
				if err != nil && !d.off {
					t.Fatalf("%s, seed %d, life %d: %v", path, seed, life, err)
				}
				if d.off {
					d = d.afterPower()
				}
				now := published(d)
				for name, text := range named {
					if now[name] != text {
						t.Fatalf("%s, seed %d: %s had\n%s and has\n%s", path, seed, name, text, now[name])
					}
				}
				named = now
				if done && err == nil {
					break
				}
			}
			var got, want []string
			for _, name := range slices.Sorted(maps.Keys(named)) {
				lines, ok := linesOfFile(name, named[name])
				if !ok {
					t.Fatalf("%s, seed %d: %s is\n%s", path, seed, name, named[name])
				}
				got = append(got, lines...)
			}
			for w := 1; w <= windows; w++ {
				for i := range rows(w) {
					want = append(want, fmt.Sprint(100*w+i))
				}
			}
			if !slices.Equal(got, want) {
				i := 0
				for i < min(len(got), len(want)) && got[i] == want[i] {
					i++
				}
				t.Fatalf("%s, seed %d: the files have %d rows, expected %d; row %d is %v, expected %v", path, seed,
					len(got), len(want), i, got[i:min(i+3, len(got))], want[i:min(i+3, len(want))])
			}
			for name := range d.files {
				if strings.HasSuffix(name, Unfinished) {
					t.Fatalf("%s, seed %d: %s is left", path, seed, name)
				}
			}
		}
	}
}

// Goal: what does not fit together is refused.
func TestFileRecoverRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		do   func(d *disk)
		want string
	}{
		"the unfinished file is gone": {func(d *disk) {
			for name := range d.files {
				delete(d.files, name)
			}
		}, "is gone"},
		"it is shorter": {func(d *disk) {
			for _, c := range d.files {
				c.data = c.data[:3]
			}
		}, "has 3 bytes, and had"},
		"another job": {func(d *disk) {
			f, err := newFile(FileConfig{Path: "out-{n}.csv"}, d)
			if err != nil {
				t.Fatal(err)
			}
			f.Recover(context.Background(), "other", nil)
			f.Write(context.Background(), batchOf(1, 1))
			f.EndWindow(context.Background(), 9)
			f.Close()
		}, "another job (other)"},
		"not what Save returned": {nil, "cannot be read"},
	} {
		d := newDisk()
		f, err := newFile(FileConfig{Path: "out-{n}.csv"}, d)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Recover(context.Background(), "job", nil); err != nil {
			t.Fatal(err)
		}
		f.Write(context.Background(), batchOf(1, 2))
		f.EndWindow(context.Background(), 5)
		saved, err := f.Save(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if c.do == nil {
			saved = []byte("{")
		} else {
			c.do(d)
		}
		again, err := newFile(FileConfig{Path: "out-{n}.csv"}, d)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := again.Recover(context.Background(), "job", saved); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, expected %q", name, err, c.want)
		}
	}
}
