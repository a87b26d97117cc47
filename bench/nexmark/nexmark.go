package nexmark

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/bits"
	"time"

	"github.com/velo-engine/velo/internal/batches"
	"github.com/velo-engine/velo/record"
)

// A Stream is one of the three streams.
type Stream uint8

// The streams.
const (
	Persons Stream = iota
	Auctions
	Bids
)

// String is the name of its schema.
func (s Stream) String() string {
	if s > Bids {
		return fmt.Sprintf("Stream(%d)", uint8(s))
	}
	return streams[s].name
}

// The numbers of events in each epoch, in order.
const (
	PersonsPerEpoch  = 1
	AuctionsPerEpoch = 3
	BidsPerEpoch     = 46
	EventsPerEpoch   = PersonsPerEpoch + AuctionsPerEpoch + BidsPerEpoch
)

const (
	// DefaultRate is Beam's rate: events of all streams in a second of event time.
	DefaultRate = 10_000

	// MaxRate bounds Config.Rate: one event each nanosecond.
	MaxRate = 1_000_000_000

	// MaxDisorder bounds Config.Disorder.
	MaxDisorder = time.Hour

	// BlockRecords is how many records of a stream a reader makes before it skips the blocks of the
	// other readers. So readers stay together in time.
	BlockRecords = 1024

	firstID       = 1000 // first number of persons and of auctions
	firstCategory = 10
	categories    = 5
	hotEvery      = 100  // every hundredth auction and person becomes the hot one in turn
	inFlight      = 100  // number of auctions that bids go to
	active        = 1000 // number of persons who bid and sell
	// lead is how far bids and auctions may refer ahead of the newest number: to what does not
	// exist yet.
	lead = 10
)

// DefaultStart is the time of the first event, the same as Beam's.
var DefaultStart = time.Date(2015, 7, 15, 0, 0, 0, 0, time.UTC)

// Config says what a Generator makes. The same configuration makes the same records.
type Config struct {
	Stream Stream
	Seed   uint64
	// Events is the number of events of all streams together; 0 is without end.
	Events uint64
	// Rate is the number of events of all streams in a second of event time; 0 is DefaultRate.
	Rate uint64
	// Start is the time of the first event; the zero time is DefaultStart.
	Start time.Time
	// Disorder is how much later than others a record may come.
	Disorder time.Duration

	// Reader is the number of this reader among Readers that share the stream; 0 of 0 is the only
	// one. Reader i makes blocks i, i+Readers, ...
	Reader, Readers int
}

// Validate reports every fault at once.
func (c *Config) Validate() error {
	var faults []error
	fault := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf("nexmark: "+format, args...))
	}
	if c.Stream > Bids {
		fault("no stream %v", c.Stream)
	}
	if c.Rate > MaxRate {
		fault("%d events a second, expected at most %d, or 0 for %d", c.Rate, MaxRate, DefaultRate)
	}
	if c.Disorder < 0 || c.Disorder > MaxDisorder {
		fault("a disorder of %v, expected 0 to %v", c.Disorder, MaxDisorder)
	}
	if c.Reader < 0 || c.Readers < 0 || c.Reader >= max(c.Readers, 1) {
		fault("reader %d of %d", c.Reader, c.Readers)
	}
	return errors.Join(faults...)
}

// A Generator makes records of one stream. It is a Poller. Nothing is allocated for a record; texts
// are views of constant bytes.
type Generator struct {
	cfg      Config
	start    int64
	interval uint64 // nanoseconds from one event to the next, with 32 bits after the binary point
	disorder uint64 // one more than the greatest disorder in nanoseconds
	seed     uint64
	next     uint64 // number of the next record in the stream
	end      uint64 // number of records in the stream
}

// NewGenerator makes a generator. The error lists every fault of the configuration.
func NewGenerator(cfg Config) (*Generator, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Rate == 0 {
		cfg.Rate = DefaultRate
	}
	if cfg.Start.IsZero() {
		cfg.Start = DefaultStart
	}
	cfg.Readers = max(cfg.Readers, 1)
	g := &Generator{
		cfg: cfg, start: cfg.Start.UnixNano(), interval: (1e9 << 32) / cfg.Rate, disorder: uint64(cfg.Disorder) + 1,
		seed: mix(cfg.Seed + 1),
		next: uint64(cfg.Reader) * BlockRecords, end: math.MaxUint64,
	}
	if cfg.Events > 0 {
		s := &streams[cfg.Stream]
		rest := cfg.Events % EventsPerEpoch
		g.end = cfg.Events/EventsPerEpoch*s.perEpoch + min(max(rest, s.first)-s.first, s.perEpoch)
	}
	return g, nil
}

// mix is a bijection of 64 bits (the finalizer of splitmix64).
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// Poll fills the batch.
func (g *Generator) Poll(b *record.Batch) error {
	n := 0
	for n < b.Cap() && g.next < g.end {
		run := min(uint64(b.Cap()-n), BlockRecords-g.next%BlockRecords, g.end-g.next)
		streams[g.cfg.Stream].fill(g, b, n, int(run))
		n += int(run)
		g.next += run
		if g.next%BlockRecords == 0 {
			g.next += uint64(g.cfg.Readers-1) * BlockRecords
		}
	}
	b.SetLen(n)
	if g.next >= g.end {
		return io.EOF
	}
	return nil
}

// Read is Poll.
func (g *Generator) Read(_ context.Context, b *record.Batch) error { return g.Poll(b) }

// Close does nothing.
func (g *Generator) Close() error { return nil }

// String names the reader.
func (g *Generator) String() string {
	return fmt.Sprintf("nexmark %v %d/%d, seed %d", g.cfg.Stream, g.cfg.Reader, g.cfg.Readers, g.cfg.Seed)
}

// Schema is the schema of the records.
func (g *Generator) Schema() *record.Schema { return streams[g.cfg.Stream].schema }

// Prepare makes at least n records, or all that there are, in batches of rows rows, for a reader
// that lends them.
func (g *Generator) Prepare(n, rows int) []*record.Batch {
	return batches.Prepare(g.Poll, g.Schema(), n, rows)
}

// event returns the number of record k of a stream, and the numbers of the newest person and the
// newest auction at that time, counted from 0. Before the first auction, its number is -1.
func (s *stream) event(k uint64) (n uint64, person, auction int64) {
	epoch, of := k/s.perEpoch, k%s.perEpoch
	n = epoch*EventsPerEpoch + s.first + of
	return n, int64(epoch), int64(epoch)*AuctionsPerEpoch + min(int64(s.first+of), AuctionsPerEpoch) - 1
}

// dice are the random numbers of an event, one after the other.
type dice uint64

func (d *dice) roll() uint64 {
	*d += 0x9e3779b97f4a7c15
	hi, lo := bits.Mul64(uint64(*d), uint64(*d)^0xe7037ed1a0b428db)
	return hi ^ lo
}

// below is a random number below n.
func (d *dice) below(n uint64) uint64 {
	hi, _ := bits.Mul64(d.roll(), n)
	return hi
}

// at is the time of event n, and the dice for the rest of the event.
func (g *Generator) at(n uint64) (int64, dice) {
	d := dice(mix(g.seed ^ n))
	hi, lo := bits.Mul64(n, g.interval)
	return g.start + int64(hi<<32|lo>>32) - int64(d.below(g.disorder)), d
}

// person is the number of a person who may be active, including some who have not joined yet.
func (d *dice) person(newest int64) int64 {
	of := min(newest+1, active)
	return newest + 1 - of + int64(d.below(uint64(of+lead)))
}

// powers are 10^2 to 10^8 in even steps of the exponent.
var powers = func() (p [1<<12 + 1]uint64) {
	for i := range p {
		p[i] = uint64(math.Round(100 * math.Pow(10, 6*float64(i)/float64(len(p)-1))))
	}
	return p
}()

// price is 10 to a random power, in cents.
func (d *dice) price() int64 {
	r := d.roll()
	at, rest := r>>52, r>>32&(1<<20-1)
	low := powers[at]
	return int64(low + (powers[at+1]-low)*rest>>20)
}

func (g *Generator) bids(b *record.Batch, from, n int) {
	auctions, bidders := b.Column(0).Int64s[from:from+n], b.Column(1).Int64s[from:from+n]
	prices, at := b.Column(2).Int64s[from:from+n], b.Column(4).Int64s[from:from+n]
	c := b.Column(3)
	c.Bytes = channels.bytes
	channel := c.Views[from : from+n]
	for i := range auctions {
		number, person, auction := streams[Bids].event(g.next + uint64(i))
		t, d := g.at(number)
		r := d.roll() // its last bits say what is hot
		if r&1 != 0 {
			auction = auction / hotEvery * hotEvery
		} else {
			least := max(auction-inFlight, 0)
			auction = least + int64(d.below(uint64(auction-least+1+lead)))
		}
		if r&6 != 0 {
			person = person/hotEvery*hotEvery + 1
		} else {
			person = d.person(person)
		}
		view := r >> 4 % hotChannels
		if r&8 != 0 {
			view = hotChannels + r>>6%coldChannels
		}
		at[i], auctions[i], bidders[i], prices[i], channel[i] = t, firstID+auction, firstID+person, d.price(),
			channels.views[view]
	}
}

func (g *Generator) auctions(b *record.Batch, from, n int) {
	ids, names := b.Column(0).Int64s[from:from+n], b.Column(1)
	initial, reserve, at := b.Column(2).Int64s[from:from+n], b.Column(3).Int64s[from:from+n],
		b.Column(4).Int64s[from:from+n]
	expires, sellers, category := b.Column(5).Int64s[from:from+n], b.Column(6).Int64s[from:from+n],
		b.Column(7).Int64s[from:from+n]
	names.Bytes = items.bytes
	name := names.Views[from : from+n]
	horizon := inFlight * EventsPerEpoch / AuctionsPerEpoch * g.interval >> 32
	for i := range ids {
		number, person, auction := streams[Auctions].event(g.next + uint64(i))
		t, d := g.at(number)
		r := d.roll()
		if r&3 != 0 {
			person = person / hotEvery * hotEvery
		} else {
			person = d.person(person)
		}
		at[i], ids[i], sellers[i], category[i] = t, firstID+auction, firstID+person,
			firstCategory+int64(r>>8%categories)
		initial[i] = d.price()
		reserve[i], expires[i] = initial[i]+d.price(), t+1+int64(d.below(2*horizon+1))
		name[i] = items.views[r>>16%uint64(len(items.views))]
	}
}

func (g *Generator) persons(b *record.Batch, from, n int) {
	ids, at := b.Column(0).Int64s[from:from+n], b.Column(5).Int64s[from:from+n]
	for i := range ids {
		number, person, _ := streams[Persons].event(g.next + uint64(i))
		t, d := g.at(number)
		at[i], ids[i] = t, firstID+person
		r := d.roll()
		for column, of := range []*texts{&names, &emails, &cities, &states} {
			c := b.Column(1 + column)
			if column != 1 { // the address uses the random number of the name
				r = d.roll()
			}
			c.Bytes, c.Views[from+i] = of.bytes, of.views[r%uint64(len(of.views))]
		}
	}
}
