package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/velo-engine/velo/core"
	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/writers"
)

const (
	// liveEvery is how often a live view has a new snapshot.
	liveEvery = 250 * time.Millisecond

	// liveGroups bounds the groups that the view looks at to find the greatest: more would cost the engine more than an eye is worth.
	liveGroups = 1 << 20
)

var errNoTerminal = errors.New("--live: standard output is no terminal")

// live is a view of an engine in a terminal, drawn anew from snapshots. The engine does not know of it.
type live struct {
	to    io.Writer
	name  string
	eng   *engine.Engine
	order int // the column by which groups are shown; -1: as the query orders them

	seen uint64 // records at the last frame, and when that was
	at   time.Duration
	rate float64
}

// showLive shows an engine until it is stopped, when it shows the last frame and leaves the terminal as it was.
func showLive(to io.Writer, name string, eng *engine.Engine) (*background, error) {
	if _, _, ok := terminalSize(to); !ok {
		return nil, errNoTerminal
	}
	schema, err := eng.Plan().Result()
	if err != nil {
		return nil, err
	}
	l := &live{to: to, name: name, eng: eng, order: orderOf(eng.Plan(), schema)}
	fmt.Fprint(to, enterView)
	return inBackground(0, liveEvery, l.draw, func() {
		l.draw()
		fmt.Fprint(to, leaveView)
	}), nil
}

// orderOf is the column of the greatest groups: the first number that is no key; of a query that orders its rows, none.
func orderOf(p *core.Plan, schema *record.Schema) int {
	if len(p.OrderBy) > 0 {
		return -1
	}
	for c := range schema.Len() {
		f := schema.Field(c)
		if numeric(f.Type) && !slices.Contains(p.Keys, f.Name) {
			return c
		}
	}
	return -1
}

func numeric(t record.Type) bool {
	return t == record.Int64 || t == record.Float64 || t.IsDecimal()
}

// draw draws a frame over the one before.
func (l *live) draw() {
	columns, rows, ok := terminalSize(l.to)
	if !ok {
		return
	}
	var b strings.Builder
	b.WriteString(homeView)
	for i, line := range l.frame(rows) {
		if i > 0 {
			b.WriteString("\r\n")
		}
		b.WriteString(cut(line, columns) + eraseRight)
	}
	b.WriteString(eraseBelow)
	fmt.Fprint(l.to, b.String())
}

// frame are the lines of a frame, as many as fit.
func (l *live) frame(rows int) []string {
	snap := l.eng.Snapshot()
	defer snap.Close()
	s := l.eng.Stats()
	c := s.Counters()
	if now := s.Elapsed; now > l.at+progressEvery/2 {
		l.rate = float64(c.In-l.seen) / (now - l.at).Seconds()
		l.seen, l.at = c.In, now
	}
	behind := c.In - min(snap.Records(), c.In)
	lines := []string{
		fmt.Sprintf("%s  %v", l.name, s.Elapsed.Round(100*time.Millisecond)),
		fmt.Sprintf("records %d  %s/s now  %s/s overall", c.In, count(l.rate), count(float64(c.In)/max(s.Elapsed.Seconds(), 1e-9))),
		fmt.Sprintf("groups %d  %d KiB  filtered %d  late %d  quarantined %d  shed %d", snap.Len(), s.StateBytes>>10, c.Filtered, c.Late, c.Quarantined, c.Shed),
		fmt.Sprintf("snapshot %d  %d records behind", snap.Epoch(), behind),
	}
	if end, ok := snap.Closed(); ok && end.Year() < 9999 {
		lines[3] += "  windows closed up to " + end.Format(time.RFC3339Nano)
	}
	lines = append(lines, ringLine(s.Rings), "")
	lines = append(lines, l.table(snap, rows-len(lines))...)
	return lines[:min(len(lines), max(rows, 1))]
}

// ringLine is how full the rings are, the fullest first.
func ringLine(rings []engine.RingStats) string {
	rings = slices.Clone(rings)
	slices.SortStableFunc(rings, func(a, b engine.RingStats) int { return cmp.Compare(b.Depth, a.Depth) })
	line := "rings"
	for _, r := range rings {
		line += fmt.Sprintf("  %d>%d %d/%d", r.Reader, r.Partition, r.Depth, r.Slots)
	}
	return line
}

// table are the greatest groups, or the first that the query has.
func (l *live) table(snap *engine.Snapshot, lines int) []string {
	most := lines - 2 // names and rule
	if most <= 0 {
		return nil
	}
	t := writers.NewTable(io.Discard)
	if l.order < 0 {
		for b := range snap.Batches(most) {
			_ = t.Write(context.Background(), b) // it only keeps the rows
			break
		}
		return t.Lines()
	}
	var top []ranked
	seen := 0
	for b := range snap.Batches(record.DefaultRows) {
		for row := range b.Len() {
			if v, ok := valueOf(b, l.order, row); ok {
				top = rank(top, most, ranked{v, nil}, func() []string { return writers.Texts(b, row) })
			}
		}
		if seen == 0 {
			_ = t.Write(context.Background(), record.NewBatch(b.Schema(), 1)) // the names
		}
		if seen += b.Len(); seen >= liveGroups {
			break
		}
	}
	for _, r := range top {
		t.Append(r.texts)
	}
	return t.Lines()
}

// ranked is a row that may be shown.
type ranked struct {
	value float64
	texts []string
}

// rank puts a row into its place among the greatest; its texts are made only where it has one.
func rank(top []ranked, most int, r ranked, texts func() []string) []ranked {
	if len(top) == most && r.value <= top[most-1].value {
		return top
	}
	r.texts = texts()
	i, _ := slices.BinarySearchFunc(top, r, func(a, b ranked) int { return cmp.Compare(b.value, a.value) })
	for i < len(top) && top[i].value == r.value {
		i++
	}
	top = slices.Insert(top, i, r)
	return top[:min(len(top), most)]
}

// valueOf is a number as a float; false where it is NULL.
func valueOf(b *record.Batch, column, row int) (float64, bool) {
	c := b.Column(column)
	if c.Null(row) {
		return 0, false
	}
	if b.Schema().Field(column).Type == record.Float64 {
		return c.Float64s[row], true
	}
	return float64(c.Int64s[row]), true
}
