package lookup

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/velo-engine/velo/record"
)

// A Stale says what is done when a table has not been loaded for Config.MaxStale.
type Stale uint8

const (
	// KeepStale goes on with the newest version there is.
	KeepStale Stale = iota
	// FailStale ends the engines that use the table, with ErrStale.
	FailStale
)

// ErrStale says that a table has not been loaded for longer than its MaxStale.
var ErrStale = errors.New("it is older than it may be")

// Config says what a table is and how it is loaded.
type Config struct {
	// Schema has the name and the columns of the table.
	Schema *record.Schema

	// Key are the columns of the primary key, at least one. A join compares all of them.
	Key []string

	// Load appends all rows to b. It is called by a goroutine of the table, one call at a time,
	// when the first engine starts to use the table and then every Refresh. It should return soon
	// after ctx is done, which it is when no engine uses the table any more; one that does not may
	// still run when the next is called. An error, a panic too, leaves the table as it was.
	Load func(ctx context.Context, b *Builder) error

	// Refresh is the time from the end of a load to the next. 0 means that the table is loaded
	// once.
	Refresh time.Duration

	// MaxStale is how long after its last load that succeeded a table is stale; 0 means never. It
	// must be more than Refresh.
	MaxStale time.Duration

	// OnStale says what happens then.
	OnStale Stale

	// OnEvent is told about each load, and when the table is stale. It is called by a goroutine of
	// the table, one call at a time, and should return soon. It must not call Reload. A panic in it
	// is dropped.
	OnEvent func(Event)

	// MaxRows bounds the rows; 0 means MaxRows. A load that has more fails.
	MaxRows int

	// MaxBytes bounds the memory of the rows that are being loaded, and so, about, the memory of a
	// version; 0 means DefaultMaxBytes. A load that needs more fails.
	MaxBytes int
}

// An EventKind says what has happened to a table.
type EventKind uint8

// The kinds of events.
const (
	// Loaded says that a new version is there.
	Loaded EventKind = iota
	// LoadFailed says that a load has failed; the table is as it was.
	LoadFailed
	// BecameStale says that MaxStale has passed since the last load that succeeded.
	BecameStale
)

// An Event is what Config.OnEvent is told.
type Event struct {
	Kind EventKind
	// Table is the name of the table.
	Table string
	// Version is the number of the newest version, and Rows how many rows it has; they are 0 before
	// the first.
	Version uint64
	Rows    int
	// Took is how long a load took.
	Took time.Duration
	// Err is why a load failed.
	Err error
}

// A Table is rows that records are joined with by their key. See the package comment.
type Table struct {
	shape *shape
	// current is the newest version; nil before the first. A load stores it when the version is
	// whole, and readers load it: they see all that was written before the store. A version never
	// changes after that.
	current atomic.Pointer[Version]
	// Readers load current for each batch, and count for each stripe: on other cache lines.
	_        [128]byte
	counters counters
	_        [128]byte

	// loading has a value while a load is under way: there is one at a time. It is a lock that can
	// be waited for with a context.
	loading chan struct{}

	telling sync.Mutex // held while OnEvent is called

	mu     sync.Mutex
	config Config
	users  map[*user]bool
	// stop ends the goroutine that loads the table again; nil while nobody uses it.
	stop context.CancelFunc
	// watching calls becomeStale when the newest version is too old; nil if it may be of any age.
	watching *time.Timer
	// loaded is when the newest version was loaded, stale says that MaxStale has passed since then,
	// and took, failures and lastErr are of the loads.
	loaded   time.Time
	stale    bool
	took     time.Duration
	failures uint64
	lastErr  error
}

// A user is an engine that uses a table.
type user struct{ fail func(error) }

// New makes a table, which has no rows until it is loaded. Load may be set later, with Configure.
// The error lists all faults of the configuration.
func New(c Config) (*Table, error) {
	if c.Schema == nil {
		return nil, errors.New("lookup: a table without a Schema")
	}
	var faults []error
	fault := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf("lookup: table %q: "+format, append([]any{c.Schema.Name()}, args...)...))
	}
	var key []int
	seen := map[string]bool{}
	for _, name := range c.Key {
		i, ok := c.Schema.Index(name)
		switch {
		case !ok:
			fault("there is no column %q, which Key names", name)
		case seen[name]:
			fault("Key names column %q twice", name)
		default:
			key = append(key, i)
		}
		seen[name] = true
	}
	if len(c.Key) == 0 {
		fault("Key names no column")
	}
	faults = append(faults, c.faults()...)
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	s, err := newShape(c.Schema, key)
	if err != nil {
		return nil, err
	}
	return &Table{shape: s, config: c, users: map[*user]bool{}, loading: make(chan struct{}, 1)}, nil
}

// faults are what is wrong with how a table is loaded.
func (c *Config) faults() (faults []error) {
	fault := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf("lookup: table %q: "+format, append([]any{c.Schema.Name()}, args...)...))
	}
	if c.Refresh < 0 {
		fault("Refresh is %v, expected 0 or more", c.Refresh)
	}
	if c.MaxStale < 0 || c.MaxStale > 0 && (c.Refresh <= 0 || c.MaxStale <= c.Refresh) {
		fault("MaxStale is %v, expected 0, or more than Refresh, which is %v", c.MaxStale, c.Refresh)
	}
	if c.OnStale > FailStale {
		fault("OnStale is %d, expected KeepStale or FailStale", c.OnStale)
	}
	if c.MaxBytes < 0 {
		fault("MaxBytes is %d, expected 0 or more", c.MaxBytes)
	}
	if c.MaxRows < 0 || c.MaxRows > MaxRows {
		fault("MaxRows is %d, expected 0 to %d", c.MaxRows, uint64(MaxRows))
	}
	return faults
}

// Configure changes how a table is loaded. Schema and Key stay as they are. It must be called
// before an engine uses the table. The error lists all faults; the table is then as it was.
func (t *Table) Configure(change func(c *Config)) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.users) > 0 {
		return fmt.Errorf("lookup: table %q is in use; configure it before an engine starts", t.Name())
	}
	c := t.config
	change(&c)
	c.Schema, c.Key = t.config.Schema, t.config.Key
	if faults := c.faults(); len(faults) > 0 {
		return errors.Join(faults...)
	}
	t.config = c
	return nil
}

// Name is the name of the table's schema.
func (t *Table) Name() string { return t.shape.schema.Name() }

// Schema has the columns of the table.
func (t *Table) Schema() *record.Schema { return t.shape.schema }

// Key are the columns of the primary key, by their numbers.
func (t *Table) Key() []int { return t.shape.key }

// Current is the newest version, or nil before the first load.
func (t *Table) Current() *Version { return t.current.Load() }

// Use is called by an engine that begins to use the table. It loads the first version if there is
// none, or if it is stale and OnStale is FailStale, and has the table loaded again as its
// configuration says until release is called. fail is
// called, at most once and from another goroutine, if the table becomes stale and OnStale is
// FailStale. The error says why there is no first version.
func (t *Table) Use(ctx context.Context, fail func(error)) (release func(), err error) {
	if t.mustLoad() {
		if err := t.Reload(ctx); err != nil {
			return nil, err
		}
	}
	u := &user{fail: fail}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.users[u] = true
	if t.stop == nil && t.config.Refresh > 0 {
		var refreshing context.Context
		refreshing, t.stop = context.WithCancel(context.Background())
		go t.refresh(refreshing, t.config)
		t.watch()
	}
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		delete(t.users, u)
		if len(t.users) == 0 && t.stop != nil {
			t.stop()
			t.stop = nil
			if t.watching != nil {
				t.watching.Stop()
			}
		}
	}, nil
}

// mustLoad says whether the table has no version that an engine may begin with.
func (t *Table) mustLoad() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := &t.config
	return t.Current() == nil || c.OnStale == FailStale && c.MaxStale > 0 && time.Since(t.loaded) >= c.MaxStale
}

// Reload loads a new version now and returns when the table shows it, or why it could not be
// loaded. If another load is under way it waits for that first.
func (t *Table) Reload(ctx context.Context) error {
	select {
	case t.loading <- struct{}{}:
		defer func() { <-t.loading }()
	case <-ctx.Done():
		return fmt.Errorf("lookup: table %q: waiting for another load: %w", t.Name(), context.Cause(ctx))
	}
	t.mu.Lock()
	c := t.config
	t.mu.Unlock()
	begin := time.Now()
	v, err := t.load(ctx, c)
	took := time.Since(begin)
	if err != nil && ctx.Err() != nil {
		return err // given up, which is no failure
	}
	t.mu.Lock()
	if err != nil {
		t.failures++
		t.lastErr = err
	} else {
		t.current.Store(v)
		t.counters.newVersion()
		t.loaded, t.took, t.stale, t.lastErr = time.Now(), took, false, nil
		t.watch()
	}
	t.mu.Unlock()
	kind := Loaded
	if err != nil {
		kind = LoadFailed
	}
	t.tell(c, Event{Kind: kind, Took: took, Err: err})
	return err
}

// load makes a version. Load runs on a goroutine of its own, so that a Load that does not heed ctx
// holds nobody.
func (t *Table) load(ctx context.Context, c Config) (*Version, error) {
	if c.Load == nil {
		return nil, fmt.Errorf("lookup: table %q has no Load", t.Name())
	}
	type outcome struct {
		v   *Version
		err error
	}
	done := make(chan outcome, 1)
	number := uint64(1)
	if old := t.Current(); old != nil {
		number = old.Number() + 1
	}
	go func() {
		var o outcome
		returned := false
		defer func() {
			if r := recover(); r != nil {
				o.err = fmt.Errorf("lookup: table %q: panic in Load: %v\n%s", t.Name(), r, debug.Stack())
			} else if !returned {
				o.err = fmt.Errorf("lookup: table %q: Load has ended its goroutine (runtime.Goexit)", t.Name())
			}
			done <- o
		}()
		b := newBuilder(t.shape, cmp.Or(c.MaxRows, MaxRows), cmp.Or(c.MaxBytes, DefaultMaxBytes))
		err := c.Load(ctx, b)
		if err == nil {
			o.v, err = b.build(number)
		}
		o.err = err
		returned = true
	}()
	select {
	case o := <-done:
		return o.v, o.err
	case <-ctx.Done():
		return nil, fmt.Errorf("lookup: table %q: loading it: %w", t.Name(), context.Cause(ctx))
	}
}

// refresh loads the table again and again.
func (t *Table) refresh(ctx context.Context, c Config) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(c.Refresh):
			_ = t.Reload(ctx) // counted, kept and told
		}
	}
}

// watch has becomeStale called when the table becomes stale. The caller holds mu.
func (t *Table) watch() {
	if t.config.MaxStale == 0 || len(t.users) == 0 {
		return
	}
	if t.watching != nil {
		t.watching.Stop()
	}
	c := t.config
	t.watching = time.AfterFunc(time.Until(t.loaded.Add(c.MaxStale)), func() { t.becomeStale(c) })
}

// becomeStale does what OnStale says.
func (t *Table) becomeStale(c Config) {
	t.mu.Lock()
	if t.stale || len(t.users) == 0 || time.Since(t.loaded) < c.MaxStale {
		t.mu.Unlock()
		return
	}
	t.stale = true
	err := fmt.Errorf("lookup: table %q was loaded last at %s: %w", t.Name(), t.loaded.UTC().Format(time.RFC3339),
		ErrStale)
	if t.lastErr != nil {
		err = fmt.Errorf("%w; the last load failed: %w", err, t.lastErr)
	}
	var fails []func(error)
	for u := range t.users {
		fails = append(fails, u.fail)
	}
	t.mu.Unlock()
	t.tell(c, Event{Kind: BecameStale, Err: err})
	if c.OnStale == FailStale {
		for _, fail := range fails {
			fail(err)
		}
	}
}

// tell calls OnEvent.
func (t *Table) tell(c Config, e Event) {
	if c.OnEvent == nil {
		return
	}
	t.telling.Lock()
	defer t.telling.Unlock()
	e.Table = t.Name()
	if v := t.Current(); v != nil {
		e.Version, e.Rows = v.Number(), v.Len()
	}
	defer func() { _ = recover() }() // as Config.OnEvent says
	c.OnEvent(e)
}
