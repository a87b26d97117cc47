package readers

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"

	"github.com/velo-engine/velo/record"
)

// # Lanes that go on after a restart
//
// A lane with a name is a split: its sender numbers the records, the numbers go with them through
// the ring, and what has been read is saved together with the groups (record.Resumer). After a
// restart the sender is told which number comes next.

var (
	// ErrSequence says that a record with this number, or a later one, was taken already.
	ErrSequence = errors.New("readers: feed: a record with this number was taken already")

	// ErrLaneOpen says that a lane of this name is in use.
	ErrLaneOpen = errors.New("readers: feed: a lane of this name is in use")

	errNoEngine = errors.New("readers: feed: no engine reads it yet, so it is not known what was saved: Resume comes " +
		"after engine.Start")
)

// MaxNamedLanes bounds the names that a feed has had, in this life and before.
const MaxNamedLanes = 1 << 16

// numbers has the numbers of the records in a lane.
type numbers struct {
	name, split string
	// of has the numbers by the places of the records in the lane, modulo its length. It is twice
	// as long as the lane, so the sender can write the number of the next record before it knows
	// whether there is room: no record that is still to be read has that place. The push of the
	// record publishes the number, and Poll reads it before it releases the record.
	of []uint64
	// next is the least number that the next record may have. It belongs to the sender.
	next uint64
	// position is scratch of Poll.
	position [8]byte
}

// setPosition says that the records up to place last have been read.
func (n *numbers) setPosition(b *record.Batch, last uint64) {
	binary.LittleEndian.PutUint64(n.position[:], n.of[last&uint64(len(n.of)-1)]+1)
	b.SetPosition(n.split, n.position[:])
}

// namedLanes are the lanes with names. The mutex is off the data path: it is taken when a lane
// begins and ends, and when the engine saves.
type namedLanes struct {
	mu sync.Mutex
	// next has, for each name, the number after the last that was saved or taken.
	next map[string]uint64
	open map[string]bool
	// told are the functions given to OnDurable.
	told []func(name string, upTo uint64)
}

// A NumberedLane is a Lane whose records have numbers, so that a sender which can send them again
// loses none and has none counted twice when the service restarts. Only one goroutine at a time may
// use it.
type NumberedLane[T any] struct {
	lane    *Lane[T]
	numbers *numbers
}

// Resume makes the lane of this name, for an engine that keeps its state (engine.Config.State).
// From is the least number that has not been counted: the sender goes on with the record of this
// number. It is 0 at first. Without a State it is 0 after each restart. Resume is called after
// engine.Start. The error says that no engine reads the feed yet, that a lane of this name is in
// use (ErrLaneOpen), or what Lane would say.
//
//	lane, from, err := feed.Resume("orders/3")
//	for m := range log.From(from) {
//		err := lane.SendAt(ctx, m.Offset, m.Order)
//	}
func (f *Feed[T]) Resume(name string) (lane *NumberedLane[T], from uint64, err error) {
	if f.notify.Load() == nil {
		return nil, 0, errNoEngine
	}
	named := &f.named
	named.mu.Lock()
	defer named.mu.Unlock()
	if named.open[name] {
		return nil, 0, fmt.Errorf("%w: %q", ErrLaneOpen, name)
	}
	if _, known := named.next[name]; !known && len(named.next) == MaxNamedLanes {
		return nil, 0, fmt.Errorf("readers: feed: %d lanes have had names, more are not allowed: a name is for a "+
			"source that comes back, not for each connection", MaxNamedLanes)
	}
	from = named.next[name]
	n := &numbers{name: name, split: f.split(name), of: make([]uint64, 2*f.cfg.LaneSlots), next: from}
	l, err := f.join(&Lane[T]{feed: f, numbers: n})
	if err != nil {
		return nil, 0, err
	}
	named.init()
	named.next[name], named.open[name] = from, true
	return &NumberedLane[T]{l, n}, from, nil
}

func (n *namedLanes) init() {
	if n.next == nil {
		n.next, n.open = map[string]uint64{}, map[string]bool{}
	}
}

// split is the name of a lane's split.
func (f *Feed[T]) split(name string) string { return f.String() + "/" + name }

// OnDurable has a function called each time the state has been saved, for each lane that has a
// name: the records with numbers less than upTo will not be asked for again, whatever happens, so
// the sender may forget them. It is called on a goroutine of the engine that does nothing else but
// save, and must not wait for the engine. OnDurable may be called at any time, more than once.
func (f *Feed[T]) OnDurable(told func(name string, upTo uint64)) {
	f.named.mu.Lock()
	defer f.named.mu.Unlock()
	f.named.told = append(f.named.told, told)
}

// SendAt appends a record. Its number must be greater than the last one; numbers may
// be left out. A record whose number was taken already is refused with ErrSequence. Otherwise
// SendAt does what Lane.Send does.
func (l *NumberedLane[T]) SendAt(ctx context.Context, number uint64, v T) error {
	n := l.numbers
	if number == math.MaxUint64 {
		return fmt.Errorf("readers: feed: the number %d, expected less", number)
	}
	if number < n.next {
		return fmt.Errorf("%w: %d, the next one is %d or more", ErrSequence, number, n.next)
	}
	n.of[l.lane.count&uint64(len(n.of)-1)] = number
	err := l.lane.Send(ctx, v)
	if err == nil {
		n.next = number + 1
	}
	return err
}

// Send appends a record with the next number.
func (l *NumberedLane[T]) Send(ctx context.Context, v T) error {
	return l.SendAt(ctx, l.numbers.next, v)
}

// Next is the least number that the next record may have.
func (l *NumberedLane[T]) Next() uint64 { return l.numbers.next }

// Close makes the lane leave the feed. What was sent is still read, and the name may be used again.
func (l *NumberedLane[T]) Close() {
	named := &l.lane.feed.named
	named.mu.Lock()
	defer named.mu.Unlock()
	if !l.lane.closed {
		named.next[l.numbers.name] = l.numbers.next
		delete(named.open, l.numbers.name)
		l.lane.Close()
	}
}

// ResumeFrom takes the numbers that were saved: see record.Resumer. All lanes of the feed's name
// are its own, whether their senders have come back or not.
func (f *Feed[T]) ResumeFrom(saved []record.Position) (resumed []string, now []record.Position, err error) {
	named := &f.named
	named.mu.Lock()
	defer named.mu.Unlock()
	named.init()
	for _, p := range saved {
		name, ok := strings.CutPrefix(p.Split, f.String()+"/")
		if !ok {
			continue
		}
		if len(p.Offset) != 8 {
			return nil, nil, fmt.Errorf("readers: feed: lane %q: a saved position of %d bytes, expected 8", name,
				len(p.Offset))
		}
		named.next[name] = binary.LittleEndian.Uint64(p.Offset)
		resumed = append(resumed, p.Split)
		now = append(now, record.Position{Split: p.Split, Offset: slices.Clone(p.Offset)})
	}
	return resumed, now, nil
}

// Durable tells what was saved: see OnDurable.
func (f *Feed[T]) Durable(saved []record.Position) {
	f.named.mu.Lock()
	told := slices.Clone(f.named.told)
	f.named.mu.Unlock()
	for _, p := range saved {
		name, ok := strings.CutPrefix(p.Split, f.String()+"/")
		if !ok || len(p.Offset) != 8 {
			continue
		}
		for _, tell := range told {
			tell(name, binary.LittleEndian.Uint64(p.Offset))
		}
	}
}
