package readers

import (
	"slices"
	"unsafe"

	"github.com/velo-engine/velo/record"
)

// JSON lines are walked: from the end of each value to the beginning of the next one. What comes
// between two values is compared with what came there in earlier lines, so that neither names nor
// colons are looked for:
//
//	{"at":"2026-01-31T12:30:45Z","request":{"method":"GET","headers":{"x":[1,2]}},"bytes":12}
//	------                      -----------                                      ---------
//	                                       -----------     -----------
//
// The parts that are underlined are links (see jsonLink). A link is compared as a whole, with all
// of its blanks, so that a line of any shape is read alike: fields may be missing, come in another
// order, and have fields within them. Of a value only its end is looked for. The values of columns
// are noted, and read later, column by column. A value that nobody reads is passed over. Whatever
// is unusual leaves its line to jsonLine.

const (
	// walkBytes is after how many bytes a walk stops, because it cannot be interrupted.
	walkBytes = 256 << 10

	// maxWalkDepth is how deep the brackets of a value that is walked may be nested.
	maxWalkDepth = 64

	// maxMarks is how many times 64 bytes are marked together.
	maxMarks = 64

	// maxEscaped is how many texts with escapes a walk notes.
	maxEscaped = 4 * maxStripe
)

// jsonWalk is the state of a walk. The assembly knows its layout. Places of keys, links and frames
// are in bytes from the first.
type jsonWalk struct {
	buf, links, keys, frames unsafe.Pointer
	// spans has, for each column that is noted, two words for each of maxStripe lines: the place
	// before the value, and the place after it. The second one is 0 if the field is missing.
	spans unsafe.Pointer
	// ends has the newline of each line.
	ends unsafe.Pointer
	// escaped has the column and the line of each string with escapes that is noted.
	escaped unsafe.Pointer
	found   uint64 // how many escaped has

	pos, end    uint64 // the next byte; no line begins at or after end
	begin       uint64 // of the line
	line, lines uint64 // the line, from 0, and how many there may be
	number      uint64 // of the line, from 1, among all
	longest     uint64 // the most bytes of a line
	key         uint64 // the key whose value, or what comes after it, is next
	state       uint64 // what is next
	why         uint64 // why the walk has stopped

	// The rest is used by the assembly only.

	last uint64 // the place after the last line
	// marks has a bit for each quote, backslash and byte below a space, from the byte after marked
	// to markedEnd, which are addresses.
	marked, markedEnd uint64
	marks             [maxMarks + 1]uint64
}

// What is next in a walk.
const (
	walkLine  = iota // a line
	walkAfter        // what comes after the value of a key
	walkValue        // the value of a key
	walkClose        // the brace that closes the object with the key
)

// Why a walk stops.
const (
	walkOn      = iota // it does not
	walkDone           // there are no more lines, or enough
	walkUnusual        // the line is for jsonLine
	walkMissing        // no link is known for what comes after the value of a key
	walkCheck          // the value of a key must be checked
)

// jsonWalker walks lines.
type jsonWalker struct {
	jsonWalk
	jsonKeys
	// slab has the spans of all columns that are noted. noted has the part of each column; nil if
	// it is not noted.
	slab  []uint32
	noted [][]uint32
	// columns are those that are read. required are those that are not read and not nullable.
	columns, required []int
	lineEnds          []uint32
	escapes           [][2]uint32
}

func newJSONWalker(f *jsonFormat, unread []bool) *jsonWalker {
	w := &jsonWalker{
		noted: make([][]uint32, len(f.fields)), lineEnds: make([]uint32, maxStripe),
		escapes: make([][2]uint32, maxEscaped),
	}
	for col := range f.fields {
		switch {
		case unread == nil || !unread[col]:
			w.columns = append(w.columns, col)
		case !f.fields[col].nullable:
			w.required = append(w.required, col)
		}
	}
	w.slab = make([]uint32, 2*maxStripe*(1+len(w.columns)+len(w.required)))
	slots := make([]uint32, len(f.fields))
	for col := range slots {
		slots[col] = noSlot
	}
	from := 0
	for _, col := range slices.Concat(w.columns, w.required) {
		w.noted[col] = w.slab[from : from+2*maxStripe]
		slots[col] = uint32(4 * from)
		from += 2 * maxStripe
	}
	w.jsonKeys = newJSONKeys(f, slots)
	w.longest = uint64(f.cfg.MaxRecordBytes)
	return w
}

// start begins a walk of at most most lines at the next line of the parser.
func (w *jsonWalker) start(r *jsonParser, most int) {
	for _, columns := range [][]int{w.columns, w.required} {
		for _, col := range columns {
			clear(w.noted[col][:2*most])
		}
	}
	w.buf = unsafe.Pointer(unsafe.SliceData(r.buf))
	w.pos, w.end = uint64(r.pos), uint64(min(r.end, r.pos+walkBytes))
	w.line, w.lines, w.found = 0, uint64(most), 0
	w.state = walkLine
	w.last = uint64(r.end)
	w.marked, w.markedEnd, w.marks[0] = 0, 0, 0 // nothing is marked
}

// tables tells the walk where its tables are. New keys and links move them.
func (w *jsonWalker) tables() {
	w.jsonWalk.links = unsafe.Pointer(unsafe.SliceData(w.jsonKeys.links))
	w.jsonWalk.keys = unsafe.Pointer(unsafe.SliceData(w.jsonKeys.keys))
	w.jsonWalk.frames = unsafe.Pointer(unsafe.SliceData(w.jsonKeys.frames))
	w.spans = unsafe.Pointer(unsafe.SliceData(w.slab))
	w.ends = unsafe.Pointer(unsafe.SliceData(w.lineEnds))
	w.escaped = unsafe.Pointer(unsafe.SliceData(w.escapes))
}

// walk reads the next lines, at most most of them, into the rows from row on. n is how many lines
// it has walked, and good is how many of them it has read before the first that is unusual. usual
// is false if the line after all of them is unusual.
func (r *jsonParser) walk(b *record.Batch, row, most int) (n, good int, usual bool) {
	w := r.walker
	w.start(r, most)
	for on := true; on; {
		w.tables()
		walkJSON(&w.jsonWalk)
		on = r.goOn()
	}
	n = int(w.line)
	good = r.walkedEscapes(row, n)
	for _, col := range w.required {
		for i := range good {
			if w.noted[col][2*i+1] == 0 {
				good = i
				break
			}
		}
	}
	for _, col := range w.columns {
		if good > 0 {
			good = r.walkedColumn(b, col, row, good)
		}
	}
	if good > 0 {
		r.pos = int(w.lineEnds[good-1]) + 1
		if len(r.escaped) > 0 {
			r.unescape(b, row+good, r.pos)
		}
	}
	return n, good, w.why == walkDone
}

// goOn does what a walk has stopped for. It returns false if the walk is over.
func (r *jsonParser) goOn() bool {
	w := r.walker
	switch w.why {
	case walkMissing:
		return r.follow()
	case walkCheck:
		span, err := r.line.scan(r.buf, int(w.pos), r.end)
		w.pos, w.state = uint64(span.end), walkAfter
		return err == nil
	}
	return false
}

// walkedEscapes notes the texts with escapes in the next n lines, and returns how many lines come
// before the first with an escape that JSON does not have.
func (r *jsonParser) walkedEscapes(row, n int) (good int) {
	w := r.walker
	r.escaped = r.escaped[:0]
	good = n
	for _, e := range w.escapes[:w.found] {
		col, line := int(e[0]), int(e[1])
		if line >= good || r.format.fields[col].kind != fieldText || r.skips(col) || r.copied != nil && r.copied[col] {
			continue
		}
		begin, end := int(w.noted[col][2*line])+1, int(w.noted[col][2*line+1])
		if next, _, err := scanString(r.buf, begin, end); err != nil || next != end {
			good = line
			continue
		}
		r.escaped = append(r.escaped, escapedText{int32(col), int32(row + line)})
	}
	return good
}

// walkedColumn reads a column of the next n lines into the rows from row on. It stops before the
// first line whose value cannot be read, and returns how many lines it has read.
func (r *jsonParser) walkedColumn(b *record.Batch, col, row, n int) (read int) {
	f, spans := &r.format.fields[col], r.walker.noted[col]
	copied := r.copied != nil && r.copied[col]
	c := columnText{base: unsafe.Pointer(unsafe.SliceData(r.buf)), width: 2, codes: f.codes}
	for read < n {
		begin, end := int(spans[2*read])+1, int(spans[2*read+1])
		if end == 0 {
			if !f.nullable {
				return read
			}
			f.null(b, col, row+read)
			read++
			continue
		}
		c.at, c.end, c.skip = spans[2*read:2*n], r.buf[end], 0
		fast := 0
		switch f.kind {
		case fieldText:
			if !copied {
				fast = c.jsonTexts(b.Column(col).Views[row+read : row+n])
			}
		case fieldNumber:
			most := c.jsonNumbers(c.present(n - read))
			fast = c.shortNumbers(f, b.Column(col).Int64s[row+read:row+read+most])
		case fieldFloat:
			most := c.jsonNumbers(c.present(n - read))
			fast = c.floats(b.Column(col).Float64s[row+read : row+read+most])
		case fieldBool:
			fast = c.jsonBools(b.Column(col).Int64s[row+read : row+read+c.present(n-read)])
		case fieldTime:
			if !f.rules.careful {
				most := c.strings(c.present(n - read))
				c.skip = 1
				fast = c.jsonTimes(&r.days[col], b.Column(col).Int64s[row+read:row+read+most])
			}
		}
		read += fast
		if fast > 0 {
			continue
		}
		if r.line.value(r, b, col, row+read, begin, end) != nil {
			return read
		}
		read++
	}
	return read
}
