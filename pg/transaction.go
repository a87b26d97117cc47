package pg

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/velo-engine/velo/pg/catalog"
)

// A transaction keeps one cut for its statements.
type transaction struct {
	state   rune // txNone, txOpen, txFailed
	reading Reading
	expires *time.Timer
	expired <-chan struct{} // closed when the cut has been let go
	saved   []savepoint
	before  map[string]before // parameters that it has set
}

// A before is what a parameter was before a transaction set it.
type before struct {
	value string
	known bool
	local bool // SET LOCAL: the value goes back at COMMIT too
}

// A savepoint is where ROLLBACK TO goes back to. Nothing is written, so only its name matters.
type savepoint struct{ name string }

// reading is where a statement reads. end must be called after Select.
func (c *session) reading() (_ Reading, end func(), err error) {
	if c.tx.state != txOpen {
		r, err := c.server.config.Source.Begin()
		if err != nil {
			return nil, nil, err
		}
		return r, r.Close, nil
	}
	if c.tx.reading == nil {
		r, err := c.server.config.Source.Begin()
		if err != nil {
			return nil, nil, err
		}
		c.tx.reading = r
		expired := make(chan struct{})
		c.tx.expired = expired
		c.tx.expires = time.AfterFunc(c.server.limits.Transaction, func() {
			close(expired)
			r.Close()
		})
	}
	select {
	case <-c.tx.expired:
		return nil, nil, c.tooOld()
	default:
	}
	return c.tx.reading, func() {}, nil
}

// tooOld says that the cut of the transaction has been let go.
func (c *session) tooOld() *Error {
	return errorf(codeSnapshotOld, "snapshot too old: a transaction keeps its cut for %v", c.server.limits.Transaction).
		hint("ROLLBACK, and begin again. Read what belongs together soon after BEGIN.")
}

func (c *session) letGo() {
	if c.tx.expires != nil {
		c.tx.expires.Stop()
		c.tx.reading.Close()
	}
	c.tx.reading, c.tx.expires, c.tx.expired = nil, nil, nil
}

// failTransaction has the transaction wait for its end. It keeps its cut only if ROLLBACK TO may
// have it go on.
func (c *session) failTransaction() {
	if len(c.tx.saved) == 0 {
		c.letGo()
	}
	c.tx.state = txFailed
}

// endTransaction ends the transaction. Parameters get back what they were before ROLLBACK, and
// before SET LOCAL.
func (c *session) endTransaction(commit bool) {
	c.letGo()
	set := c.tx.before
	c.tx = transaction{state: txNone}
	for name, b := range set {
		switch {
		case commit && !b.local:
		case b.known:
			_ = c.set(name, b.value)
		default:
			delete(c.settings, strings.ToLower(name))
		}
	}
	for name, p := range c.portals {
		if !p.hold {
			c.closePortal(name)
		}
	}
}

// begin begins a transaction: BEGIN and START TRANSACTION.
func (c *session) beginTx(t []catalog.Token) (*prepared, error) {
	tag := "BEGIN"
	if t[0].Is("start") {
		tag = "START TRANSACTION"
	}
	err := modes(t[1:])
	if err != nil {
		return nil, err
	}
	return command(tag, func(context.Context) error {
		if c.tx.state != txNone {
			c.notice(codeActiveTx, "there is already a transaction in progress")
			return nil
		}
		c.tx.state = txOpen
		return nil
	}), nil
}

// modes checks the modes of a transaction. Whatever is asked for, all statements read one cut,
// which is what SERIALIZABLE means for reads.
func modes(t []catalog.Token) error {
	words := []string{
		"work", "transaction", "isolation", "level", "read", "write", "only", "committed", "uncommitted", "repeatable",
		"serializable", "not", "deferrable", ",",
	}
	for _, w := range t {
		if w.Kind != catalog.End && !slices.ContainsFunc(words, w.Is) {
			return errorf(codeSyntax, "syntax error at or near %q", w.Text).at(w.Pos)
		}
	}
	return nil
}

// endTx ends a transaction: COMMIT, END, ROLLBACK, ABORT.
func (c *session) endTx(t []catalog.Token) (*prepared, error) {
	commit := t[0].Is("commit") || t[0].Is("end")
	rest := t[1:]
	if rest[0].Is("work") || rest[0].Is("transaction") {
		rest = rest[1:]
	}
	switch {
	case !commit && rest[0].Is("to"):
		return c.rollbackTo(rest[1:])
	case rest[0].Is("prepared"):
		return nil, errorf(codeUnsupported, "prepared transactions are not supported").at(rest[0].Pos)
	case rest[0].Is("and"): // AND NO CHAIN; AND CHAIN begins another
		chain := rest[1].Is("chain")
		if !chain && !(rest[1].Is("no") && rest[2].Is("chain")) {
			return nil, errorf(codeSyntax, "syntax error at or near %q", rest[1].Text).at(rest[1].Pos)
		}
		p := c.endOnly(commit, chain)
		return p, nil
	case rest[0].Kind != catalog.End:
		return nil, errorf(codeSyntax, "syntax error at or near %q", rest[0].Text).at(rest[0].Pos)
	}
	return c.endOnly(commit, false), nil
}

func (c *session) endOnly(commit, chain bool) *prepared {
	return &prepared{always: true, run: func(context.Context, []any) (*result, error) {
		tag := "ROLLBACK"
		if commit && c.tx.state != txFailed {
			tag = "COMMIT"
		}
		if c.tx.state == txNone {
			if chain {
				return nil, errorf(codeNoTx, "AND CHAIN can only be used in transaction blocks")
			}
			c.notice(codeNoTx, "there is no transaction in progress")
		}
		c.endTransaction(tag == "COMMIT")
		if chain {
			c.tx.state = txOpen
		}
		return &result{tag: tag}, nil
	}}
}

// maxSavepoints is how many savepoints a transaction has.
const maxSavepoints = 1000

func (c *session) savepoint(t []catalog.Token) (*prepared, error) {
	name, err := nameOf(t[1:])
	if err != nil {
		return nil, err
	}
	return command("SAVEPOINT", func(context.Context) error {
		switch {
		case c.tx.state == txNone:
			return errorf(codeNoTx, "SAVEPOINT can only be used in transaction blocks")
		case len(c.tx.saved) >= maxSavepoints:
			return errorf(codeLimit, "a transaction has at most %d savepoints", maxSavepoints)
		}
		c.tx.saved = append(c.tx.saved, savepoint{name})
		return nil
	}), nil
}

// find is the index of the newest savepoint of a name.
func (c *session) saved(name string) (int, error) {
	for i, s := range slices.Backward(c.tx.saved) {
		if s.name == name {
			return i, nil
		}
	}
	if c.tx.state == txNone {
		return 0, errorf(codeNoTx, "this can only be used in transaction blocks")
	}
	return 0, errorf(codeNoSavepoint, "savepoint %q does not exist", name)
}

func (c *session) release(t []catalog.Token) (*prepared, error) {
	rest := t[1:]
	if rest[0].Is("savepoint") {
		rest = rest[1:]
	}
	name, err := nameOf(rest)
	if err != nil {
		return nil, err
	}
	return command("RELEASE", func(context.Context) error {
		i, err := c.saved(name)
		if err == nil {
			c.tx.saved = c.tx.saved[:i]
		}
		return err
	}), nil
}

func (c *session) rollbackTo(t []catalog.Token) (*prepared, error) {
	if t[0].Is("savepoint") {
		t = t[1:]
	}
	name, err := nameOf(t)
	if err != nil {
		return nil, err
	}
	p := command("ROLLBACK", func(context.Context) error {
		i, err := c.saved(name)
		if err == nil {
			c.tx.saved = c.tx.saved[:i+1]
			c.tx.state = txOpen
		}
		return err
	})
	p.always = true
	return p, nil
}
