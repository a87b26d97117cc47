package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/Workiva/go-datastructures/queue"
)

// mailboxSlots bounds the commands that wait for one runner. The sender of one more waits for room.
const mailboxSlots = 64

// mailboxRetry is how long a sender waits after it has found the mailbox full.
const mailboxRetry = 50 * time.Microsecond

// ErrEnded says that the engine has ended, so no runner can do what was asked. The error that ended
// the engine is joined to it.
var ErrEnded = errors.New("the engine has ended")

// A command is done by a runner between two steps, so it may touch what belongs to the runner's
// agents.
type command struct {
	do   func()
	done chan struct{} // closed when the command is done
}

// A mailbox carries commands from any goroutine to one runner. The runner looks at its length once
// in each turn. That takes two loads of words that are not written meanwhile. Commands are rare, so
// boxing them does not matter.
type mailbox struct{ box *queue.RingBuffer }

func newMailbox() mailbox { return mailbox{queue.NewRingBuffer(mailboxSlots)} }

// receive does the commands that are there and returns how many it did. Get would wait for the
// first one. Len says that there is one, or that a sender will have put it there within the next
// instructions.
func (m mailbox) receive() (n int) {
	for m.box.Len() > 0 {
		v, err := m.box.Get()
		if err != nil {
			break // it was disposed: the engine has ended
		}
		c := v.(command)
		c.do()
		close(c.done)
		n++
	}
	return n
}

// send makes a runner do something and waits until it is done.
func (e *Engine) send(ctx context.Context, r *runner, do func()) error {
	c := command{do, make(chan struct{})}
	for {
		// Put would wait for room even after ctx is done. Offer may say that there is no room
		// though there is; then it is asked again.
		put, err := r.mailbox.box.Offer(c)
		if err != nil {
			return fmt.Errorf("engine: %w", e.over())
		} else if put {
			break
		}
		select {
		case <-time.After(mailboxRetry):
		case <-ctx.Done():
			return fmt.Errorf("engine: %w", context.Cause(ctx))
		}
	}
	// The mailbox is one of the things that a runner looks at after it has announced that it parks.
	r.bell.Wake()
	select {
	case <-c.done:
		return nil
	case <-r.ended:
		select {
		case <-c.done: // it was the last thing that the runner did
			return nil
		default:
		}
		return fmt.Errorf("engine: %w", e.over())
	case <-ctx.Done():
		return fmt.Errorf("engine: %w", context.Cause(ctx))
	}
}

// Pause stops reading from a reader: no batch is taken from it until Resume. What was read before
// is still routed. The other readers go on. Shutdown and Close end a paused reader like any other.
// Pause returns when the runner has taken note. The error says that there is no such reader, that
// the engine has ended, that Pause was called on a thread of the engine (ErrCallback), or that ctx
// was done first. In the last case the reader may be paused all the same.
func (e *Engine) Pause(ctx context.Context, reader int) error { return e.pause(ctx, reader, true) }

// Resume goes on reading from a reader that was paused.
func (e *Engine) Resume(ctx context.Context, reader int) error { return e.pause(ctx, reader, false) }

func (e *Engine) pause(ctx context.Context, reader int, on bool) error {
	if err := e.callback(callerRunner); err != nil {
		return fmt.Errorf("engine: %s: %w", map[bool]string{true: "pause", false: "resume"}[on], err)
	}
	if e.feeder != nil {
		return e.feeder.pause(ctx, reader, on)
	}
	in, err := e.inlet(reader)
	if err != nil {
		return err
	}
	return e.send(ctx, in.runner, func() { in.source.base().paused.Store(on) })
}
