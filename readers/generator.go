package readers

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/bits"
	"slices"
	"time"

	"github.com/velo-engine/velo/internal/batches"
	"github.com/velo-engine/velo/record"
)

// GeneratorSchema is the schema of the records of a Generator.
var GeneratorSchema = func() *record.Schema {
	s, err := record.NewSchema("events", record.Field{Name: "key", Type: record.Int64},
		record.Field{Name: "value", Type: record.Int64})
	if err != nil {
		panic(err) // the schema is a constant
	}
	return s
}()

// A Distribution says how often each group occurs.
type Distribution uint8

// The distributions.
const (
	Uniform    Distribution = iota
	Zipf                    // the k-th most frequent group occurs in proportion to k^-Skew
	Sequential              // the groups come in turn
)

// String is the name.
func (d Distribution) String() string {
	switch d {
	case Uniform:
		return "uniform"
	case Zipf:
		return "zipf"
	case Sequential:
		return "sequential"
	}
	return fmt.Sprintf("Distribution(%d)", uint8(d))
}

const (
	// MaxZipfGroups is the most groups of a Zipf distribution, which needs 16 bytes for each group.
	MaxZipfGroups = 1 << 26

	// MaxGeneratorValue is the greatest value of a record; the least is its negative.
	MaxGeneratorValue = 1 << 20

	// MaxGeneratorRate is the greatest Rate.
	MaxGeneratorRate = 1 << 32

	// rateWait is the time between records that come together, if there is a rate.
	rateWait = 10 * time.Millisecond
)

// GeneratorConfig says what a Generator makes. The same configuration makes the same records.
type GeneratorConfig struct {
	Seed         uint64
	Groups       uint64 // number of keys
	Distribution Distribution
	Skew         float64 // for Zipf
	Records      uint64  // made by all readers together; 0 is without end

	// Rate is how many records a second all readers together make at most; 0 is as many as the
	// engine takes. They come together, 100 times a second at most. A reader that was held up makes
	// them up.
	Rate uint64

	// Reader is the number of this reader among Readers that share the work; 0 of 0 is the only
	// one. Each makes records of its own. If Records does not divide evenly, the first readers make
	// one record more than the others.
	Reader, Readers int
}

// Validate reports every fault at once.
func (c *GeneratorConfig) Validate() error {
	var faults []error
	fault := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf("readers: generator: "+format, args...))
	}
	if c.Groups == 0 {
		fault("0 groups, expected 1 at least")
	}
	switch c.Distribution {
	case Uniform, Sequential:
		if c.Skew != 0 {
			fault("a skew of %v, which is for zipf only", c.Skew)
		}
	case Zipf:
		if !(c.Skew > 0) || math.IsInf(c.Skew, 0) {
			fault("a skew of %v, expected more than 0", c.Skew)
		}
		if c.Groups > MaxZipfGroups {
			fault("%d groups, at most %d for zipf", c.Groups, MaxZipfGroups)
		}
	default:
		fault("%v is not a distribution", c.Distribution)
	}
	if c.Rate > MaxGeneratorRate {
		fault("%d records a second, expected at most %d, or 0 for as many as are taken", c.Rate,
			uint64(MaxGeneratorRate))
	}
	if c.Reader < 0 || c.Readers < 0 || c.Reader >= max(c.Readers, 1) {
		fault("reader %d of %d", c.Reader, c.Readers)
	}
	return errors.Join(faults...)
}

// A Generator makes records (key, value). Keys are group numbers that have passed through a
// bijection, so that they cannot be used as an index. Values lie in
// -MaxGeneratorValue..MaxGeneratorValue.
type Generator struct {
	cfg   GeneratorConfig
	left  uint64 // records still to be made; MaxUint64 is without end
	state uint64 // state of the random numbers
	turn  uint64 // next group of Sequential
	alias []aliasSlot

	// began is when the first record was due, if there is a rate, and made how many this reader has
	// made since; now is the clock.
	began time.Time
	made  uint64
	now   func() time.Time

	split    string // the name of its split, if the engine keeps its state
	position [generatorPosition]byte
}

// generatorPosition is the size of a generator's position: left, state, turn.
const generatorPosition = 24

// NewGenerator makes a generator. The error lists every fault of the configuration.
func NewGenerator(cfg GeneratorConfig) (*Generator, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	readers := uint64(max(cfg.Readers, 1))
	g := &Generator{cfg: cfg, left: math.MaxUint64, turn: uint64(cfg.Reader) % cfg.Groups, now: time.Now}
	if cfg.Records > 0 {
		g.left = cfg.Records / readers
		if uint64(cfg.Reader) < cfg.Records%readers {
			g.left++
		}
	}
	// The states of readers lie far apart in the sequence, whatever the seeds, because both values
	// are mixed before they are combined.
	g.state = Scramble(cfg.Seed+1) ^ Scramble(^uint64(cfg.Reader))
	if cfg.Distribution == Zipf {
		g.alias = newAlias(int(cfg.Groups), cfg.Skew)
	}
	return g, nil
}

// Scramble is the key of group g: a bijection of 64 bits (the finalizer of splitmix64).
func Scramble(g uint64) uint64 {
	g = (g ^ g>>30) * 0xbf58476d1ce4e5b9
	g = (g ^ g>>27) * 0x94d049bb133111eb
	return g ^ g>>31
}

// random returns the next state and 64 random bits made from it (wyrand).
func random(state uint64) (next, bits64 uint64) {
	next = state + 0xa0761d6478bd642f
	hi, lo := bits.Mul64(next, next^0xe7037ed1a0b428db)
	return next, hi ^ lo
}

// value is the value for some random bits.
func value(r uint64) int64 { return int64(r&(2*MaxGeneratorValue-1)) - MaxGeneratorValue }

// due is how many records the rate allows now; without a rate it is any number.
func (g *Generator) due() uint64 {
	if g.cfg.Rate == 0 {
		return math.MaxUint64
	}
	now := g.now()
	if g.began.IsZero() {
		g.began = now
	}
	rate := float64(g.cfg.Rate) / float64(max(g.cfg.Readers, 1))
	due := uint64(now.Sub(g.began).Seconds()*rate) - g.made
	if due < uint64(rate*rateWait.Seconds()) {
		return 0 // a few at a time would keep the engine awake
	}
	return due
}

// Poll fills the batch, or leaves it empty if no record is due.
func (g *Generator) Poll(b *record.Batch) error {
	n := int(min(uint64(b.Cap()), g.left, g.due()))
	if n == 0 && g.left > 0 {
		return nil
	}
	g.made += uint64(n)
	keys, values := b.Column(0).Int64s[:n], b.Column(1).Int64s[:n]
	state, groups := g.state, g.cfg.Groups
	var r uint64
	switch g.cfg.Distribution {
	case Uniform:
		for i := range keys {
			state, r = random(state)
			group, _ := bits.Mul64(r, groups)
			keys[i] = int64(Scramble(group))
			values[i] = value(r)
		}
	case Sequential:
		group := g.turn
		step := uint64(max(g.cfg.Readers, 1)) % groups
		for i := range keys {
			state, r = random(state)
			keys[i] = int64(Scramble(group))
			values[i] = value(r)
			group += step
			if group >= groups {
				group -= groups
			}
		}
		g.turn = group
	case Zipf:
		for i := range keys {
			state, r = random(state)
			slot, rest := bits.Mul64(r, groups)
			a := &g.alias[slot]
			group := slot
			if rest > a.keep {
				group = a.other
			}
			keys[i] = int64(Scramble(group))
			values[i] = value(Scramble(r))
		}
	}
	g.state = state
	b.SetLen(n)
	if g.left != math.MaxUint64 {
		g.left -= uint64(n)
	}
	if g.split != "" {
		b.SetPosition(g.split, g.offset())
	}
	if g.left == 0 {
		return io.EOF
	}
	return nil
}

// offset is where the generator stands. It is valid until the next call.
func (g *Generator) offset() []byte {
	for i, v := range [...]uint64{g.left, g.state, g.turn} {
		binary.LittleEndian.PutUint64(g.position[8*i:], v)
	}
	return g.position[:]
}

// ResumeFrom goes on where the generator stood: see record.Resumer. There must be as many readers
// as before, because each makes records of its own.
func (g *Generator) ResumeFrom(saved []record.Position) (resumed []string, now []record.Position, err error) {
	c := &g.cfg
	g.split = fmt.Sprintf("%v, skew %v, %d records, reader %d of %d", g, c.Skew, c.Records, c.Reader,
		max(c.Readers, 1))
	for _, p := range saved {
		if p.Split != g.split {
			continue
		}
		if len(p.Offset) != generatorPosition {
			return nil, nil, fmt.Errorf("readers: %s: a saved position of %d bytes, expected %d", g.split,
				len(p.Offset), generatorPosition)
		}
		g.left = binary.LittleEndian.Uint64(p.Offset)
		g.state = binary.LittleEndian.Uint64(p.Offset[8:])
		g.turn = binary.LittleEndian.Uint64(p.Offset[16:])
		resumed = []string{g.split}
	}
	return resumed, []record.Position{{Split: g.split, Offset: slices.Clone(g.offset())}}, nil
}

// Read is Poll.
func (g *Generator) Read(ctx context.Context, b *record.Batch) error {
	for {
		err := g.Poll(b)
		if b.Len() > 0 || err != nil {
			return err
		}
		select {
		case <-time.After(rateWait):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Close does nothing.
func (g *Generator) Close() error { return nil }

// String names the reader.
func (g *Generator) String() string {
	return fmt.Sprintf("generator %v, %d groups, seed %d", g.cfg.Distribution, g.cfg.Groups, g.cfg.Seed)
}

// Prepare makes at least n records, in batches of rows rows. A Memory can lend them, so that a
// measurement does not include the generator.
func (g *Generator) Prepare(n, rows int) []*record.Batch {
	g.cfg.Rate = 0 // nobody waits for records that are prepared
	return batches.Prepare(g.Poll, GeneratorSchema, n, rows)
}

// aliasSlot is a slot of Walker's alias table. A random slot is kept with probability keep / 2^64,
// and otherwise stands for other.
type aliasSlot struct{ keep, other uint64 }

// newAlias makes the alias table of a Zipf distribution (Vose's method). A draw then takes one
// random number, whatever the number of groups.
func newAlias(groups int, skew float64) []aliasSlot {
	weights := make([]float64, groups)
	total := 0.0
	for i := range weights {
		weights[i] = math.Pow(float64(i+1), -skew)
		total += weights[i]
	}
	table := make([]aliasSlot, groups)
	var small, large []int
	for i := range weights {
		weights[i] *= float64(groups) / total
		if weights[i] < 1 {
			small = append(small, i)
		} else {
			large = append(large, i)
		}
	}
	for len(small) > 0 && len(large) > 0 {
		s, l := small[len(small)-1], large[len(large)-1]
		small = small[:len(small)-1]
		table[s] = aliasSlot{uint64(weights[s] * (1 << 63) * 2), uint64(l)}
		weights[l] -= 1 - weights[s]
		if weights[l] < 1 {
			large = large[:len(large)-1]
			small = append(small, l)
		}
	}
	for _, i := range append(small, large...) { // the remaining ones are 1, apart from rounding
		table[i] = aliasSlot{math.MaxUint64, uint64(i)}
	}
	return table
}
