package state

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dgryski/go-metro"

	"github.com/velo-engine/velo/record"
)

// Format is the format of manifests and segments that this package writes. It reads this one and
// the one before, in which a manifest had one plan.
const Format = 2

// MaxManifestBytes bounds how much of a manifest is read.
const MaxManifestBytes = 1 << 30

// ErrDamaged says that a file is not what was written.
var ErrDamaged = errors.New("damaged")

// A Manifest is one generation. Its file is a line with its length and digest, then the manifest as
// JSON, so that people can read it.
type Manifest struct {
	Format int `json:"format"`
	// Velo is the version of the program that wrote it.
	Velo string `json:"velo"`
	// Job is drawn when a folder is first used. It tells folders apart.
	Job string `json:"job"`
	// Home is FS.Home of the folder.
	Home string `json:"home,omitempty"`
	// Incarnation is drawn at each start of an engine.
	Incarnation string    `json:"incarnation"`
	Generation  uint64    `json:"generation"`
	Parent      uint64    `json:"parent"`
	Epoch       uint64    `json:"epoch"`
	Time        time.Time `json:"time"` // for people only
	// Finished says that all sources had come to their end.
	Finished bool `json:"finished"`
	// Plans are the queries; there is at least one.
	Plans   []Plan   `json:"plans"`
	Readers []Reader `json:"readers"`
	// Absent are readers of before that had ended, with the positions of splits that no reader has
	// gone on with since.
	Absent []Reader `json:"absent,omitempty"`
}

// A Plan is a query with its groups.
type Plan struct {
	Name string `json:"name"`
	Text string `json:"text"`
	// Print are the properties of the query that the groups depend on, each in words. A query with
	// other ones cannot go on with the groups.
	Print []string `json:"fingerprint"`
	// Output are the properties of what is read of the groups.
	Output []string `json:"output"`
	// KeyWords, StateWords and RowBytes say how a row is made up.
	KeyWords   int `json:"key_words"`
	StateWords int `json:"state_words"`
	RowBytes   int `json:"row_bytes"`
	// Disjoint says that no two panes of the same time have a row of the same group.
	Disjoint bool `json:"disjoint,omitempty"`
	// Closed is the end of the last window that had closed, Oldest the end of the oldest that is
	// kept, Written the end of the last that had been written, all in nanoseconds since 1970.
	Closed  int64 `json:"closed"`
	Oldest  int64 `json:"oldest"`
	Written int64 `json:"written"`

	// Sink is what the writer has saved of itself (record.Committer); nil if it saves nothing.
	Sink []byte `json:"sink,omitempty"`

	// Outbox has what the writer gets in a transaction after the generation is durable
	// (record.Transactional); nil if it gets its rows at once.
	Outbox *Outbox `json:"outbox,omitempty"`

	Panes []Pane `json:"panes"`
}

// An Outbox is a transaction of results.
type Outbox struct {
	// After is the number of the transaction that the writer had before, and Number the one of this
	// transaction. They are the same if there is nothing for the writer.
	After  uint64 `json:"after"`
	Number uint64 `json:"number"`
	// Complete says that the input had come to its end.
	Complete bool `json:"complete,omitempty"`
	// Rows is the number of rows, and Columns describes their columns.
	Rows    int64    `json:"rows"`
	Columns []string `json:"columns"`
	// Batches has the rows.
	Batches Part `json:"batches"`
}

// A Pane is the groups of a piece of time in one partition. A query without windows has one pane
// for each partition.
type Pane struct {
	Pane      uint64 `json:"pane"`
	Partition int    `json:"partition"`
	// Epoch is the epoch in which it last changed.
	Epoch uint64 `json:"epoch"`
	Rows  Part   `json:"rows"`
	Heap  Part   `json:"heap"`
	// Blocks has the blocks of states, from line 0 on, which belongs to none.
	Blocks Part `json:"blocks"`
}

// A Part is a stretch of a segment. Its file is empty if it has no bytes.
type Part struct {
	File  string `json:"file,omitempty"`
	At    int64  `json:"at,omitempty"`
	Bytes int64  `json:"bytes,omitempty"`
	// Digests has the digest of each piece, in hexadecimal digits.
	Digests string `json:"digests,omitempty"`
}

// Of is the generation whose segment has the part.
func (p *Part) Of() uint64 {
	n, _, _ := parse(p.File)
	return n
}

// A Reader is what was known of a reader.
type Reader struct {
	Name string `json:"name"`
	// Positions are where its splits stood; there are none if it cannot be resumed.
	Positions []Position `json:"positions,omitempty"`
	// Resumes says that the reader can be resumed.
	Resumes bool `json:"resumes"`
	// Ended says that it had come to the end of its source, Left that it was removed before.
	Ended bool `json:"ended"`
	Left  bool `json:"left,omitempty"`
	// Plans has how far each of Manifest.Plans had come with it, in the same order.
	Plans []Progress `json:"plans"`
}

// A Progress is how far a plan had come with a reader.
type Progress struct {
	// Watermark is the reader's watermark by the plan's column of time.
	Watermark int64 `json:"watermark"`
	// Counters say what had become of the reader's records in the plan, by their names. An absent
	// reader has none: readers of now have them.
	Counters map[string]uint64 `json:"counters,omitempty"`
}

// A Position is a record.Position.
type Position struct {
	Split  string `json:"split"`
	Offset []byte `json:"offset"`
}

// Positions are the positions of all readers, also of absent ones.
func (m *Manifest) Positions() (all []record.Position) {
	for _, r := range slices.Concat(m.Readers, m.Absent) {
		for _, p := range r.Positions {
			all = append(all, record.Position{Split: p.Split, Offset: p.Offset})
		}
	}
	return all
}

// Files are the names of the segments, each once.
func (m *Manifest) Files() (names []string) {
	seen := map[string]bool{}
	for _, p := range m.parts() {
		if p.Bytes > 0 && !seen[p.File] {
			seen[p.File] = true
			names = append(names, p.File)
		}
	}
	return names
}

// parts are all parts.
func (m *Manifest) parts() (all []*Part) {
	for i := range m.Plans {
		plan := &m.Plans[i]
		for j := range plan.Panes {
			for _, p := range plan.Panes[j].parts() {
				all = append(all, p)
			}
		}
		if o := plan.Outbox; o != nil {
			all = append(all, &o.Batches)
		}
	}
	return all
}

// parts are the parts of a pane.
func (p *Pane) parts() [3]*Part { return [3]*Part{&p.Rows, &p.Heap, &p.Blocks} }

// Bytes is the size of the groups of all plans.
func (m *Manifest) Bytes() (n int64) {
	for i := range m.Plans {
		n += m.Plans[i].Bytes()
	}
	return n
}

// Bytes is the size of the groups.
func (p *Plan) Bytes() (n int64) {
	for i := range p.Panes {
		for _, part := range p.Panes[i].parts() {
			n += part.Bytes
		}
	}
	return n
}

// Groups is the number of rows of all plans.
func (m *Manifest) Groups() (n int64) {
	for i := range m.Plans {
		n += m.Plans[i].Groups()
	}
	return n
}

// Groups is the number of rows.
func (p *Plan) Groups() (n int64) {
	if p.RowBytes == 0 {
		return 0
	}
	for i := range p.Panes {
		n += p.Panes[i].Rows.Bytes / int64(p.RowBytes)
	}
	return n
}

const manifestMagic = "velo-state"

// encode makes the file of a manifest.
func (m *Manifest) encode() ([]byte, error) {
	body, err := json.MarshalIndent(m, "", " ")
	if err != nil {
		return nil, err
	}
	return encodeBody(m.Format, append(body, '\n')), nil
}

// digestOf is the digest of a manifest. All formats have the same first line and this digest.
func digestOf(format int, body []byte) uint64 { return metro.Hash64(body, uint64(format)) }

// encodeBody puts the first line in front of a body.
func encodeBody(format int, body []byte) []byte {
	return append(fmt.Appendf(nil, "%s %d %d %016x\n", manifestMagic, format, len(body), digestOf(format, body)),
		body...)
}

// decode reads the file of a manifest. The error is ErrDamaged, or says that another version of
// velo has written it.
func decode(file []byte) (*Manifest, error) {
	line, body, ok := bytes.Cut(file, []byte("\n"))
	fields := strings.Fields(string(line))
	if !ok || len(fields) != 4 || fields[0] != manifestMagic {
		return nil, fmt.Errorf("%w: it does not begin as a manifest does", ErrDamaged)
	}
	format, err := strconv.Atoi(fields[1])
	if err != nil {
		return nil, fmt.Errorf("%w: format %q", ErrDamaged, fields[1])
	}
	if n, err := strconv.Atoi(fields[2]); err != nil || n != len(body) {
		return nil, fmt.Errorf("%w: the manifest has %d bytes, expected %s", ErrDamaged, len(body), fields[2])
	}
	if digest := fmt.Sprintf("%016x", digestOf(format, body)); digest != fields[3] {
		return nil, fmt.Errorf("%w: the digest of the manifest is %s, expected %s", ErrDamaged, digest, fields[3])
	}
	m := &Manifest{}
	if format != Format && format != formatOfOnePlan {
		// Versions of velo that write another format keep these two fields.
		_ = json.Unmarshal(body, m)
		return nil, fmt.Errorf("it has format %d, written by velo %s; this velo reads formats %d and %d: go on with "+
			"a velo that reads it, or begin anew", format, m.Velo, formatOfOnePlan, Format)
	}
	err = json.Unmarshal(body, m)
	if err == nil && format == formatOfOnePlan {
		err = m.readOnePlan(body)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return m, m.check()
}

// formatOfOnePlan is the format in which a manifest had one plan, and readers had its progress.
const formatOfOnePlan = 1

// readOnePlan reads what formatOfOnePlan has elsewhere.
func (m *Manifest) readOnePlan(body []byte) error {
	var old struct {
		Plan    Plan       `json:"plan"`
		Readers []Progress `json:"readers"`
		Absent  []Progress `json:"absent"`
	}
	if err := json.Unmarshal(body, &old); err != nil {
		return err
	}
	m.Plans = []Plan{old.Plan}
	for i := range m.Readers {
		m.Readers[i].Plans = old.Readers[i : i+1]
	}
	for i := range m.Absent {
		m.Absent[i].Plans = old.Absent[i : i+1]
	}
	return nil
}

// check reports what cannot be: lengths, places and rows that do not fit each other.
func (m *Manifest) check() error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: %w", ErrDamaged, fmt.Errorf(format, args...))
	}
	if m.Generation == 0 || len(m.Plans) == 0 {
		return bad("generation %d of %d plans", m.Generation, len(m.Plans))
	}
	for _, p := range m.parts() {
		pieces := (p.Bytes + pieceBytes - 1) / pieceBytes
		if p.Bytes < 0 || p.At < 0 || int64(len(p.Digests)) != 16*pieces || p.Bytes > 0 && !isSegment(p.File) {
			return bad("a part of %d bytes at %d of %q with %d digests", p.Bytes, p.At, p.File, len(p.Digests)/16)
		}
	}
	for _, r := range slices.Concat(m.Readers, m.Absent) {
		if len(r.Plans) != len(m.Plans) {
			return bad("reader %s has the progress of %d plans, there are %d", r.Name, len(r.Plans), len(m.Plans))
		}
	}
	for i := range m.Plans {
		if err := m.Plans[i].check(m.Generation); err != nil {
			return bad("plan %s: %w", m.Plans[i].Name, err)
		}
	}
	return nil
}

// check reports what cannot be in a plan.
func (p *Plan) check(generation uint64) error {
	if p.RowBytes < 0 || p.KeyWords < 0 || p.StateWords < 0 {
		return fmt.Errorf("rows of %d bytes, %d words of key and %d of states", p.RowBytes, p.KeyWords, p.StateWords)
	}
	if o := p.Outbox; o != nil && (o.After > o.Number || o.Number > generation ||
		o.After == o.Number && o.Batches.Bytes > 0) {
		return fmt.Errorf("transaction %d after %d in generation %d", o.Number, o.After, generation)
	}
	for i := range p.Panes {
		pane := &p.Panes[i]
		if n := pane.Rows.Bytes; n > 0 && (p.RowBytes == 0 || n%int64(p.RowBytes) != 0) {
			return fmt.Errorf("%d bytes of rows of %d bytes", n, p.RowBytes)
		}
		if pane.Blocks.Bytes%8 != 0 {
			return fmt.Errorf("%d bytes of blocks", pane.Blocks.Bytes)
		}
	}
	return nil
}

// Watermarks are the watermarks of splits in a plan, by its number: the least of the readers that
// had the split, of those that had neither ended nor left if there are any.
func (m *Manifest) Watermarks(plan int) map[string]int64 {
	marks := map[string]int64{}
	for _, ended := range []bool{false, true} {
		of := map[string]int64{}
		for _, r := range slices.Concat(m.Readers, m.Absent) {
			if (r.Ended || r.Left) != ended {
				continue
			}
			for _, p := range r.Positions {
				mark := r.Plans[plan].Watermark
				if old, ok := of[p.Split]; !ok || mark < old {
					of[p.Split] = mark
				}
			}
		}
		for split, mark := range of {
			if _, ok := marks[split]; !ok {
				marks[split] = mark
			}
		}
	}
	return marks
}

// Unfinished are the splits that some reader had not read to the end, unless it was removed.
func (m *Manifest) Unfinished() (splits []string) {
	for _, r := range m.Readers {
		if r.Ended || r.Left {
			continue
		}
		for _, p := range r.Positions {
			splits = append(splits, p.Split)
		}
	}
	return splits
}
