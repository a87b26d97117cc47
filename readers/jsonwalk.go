package readers

import (
	"bytes"
	"unsafe"

	"github.com/velo-engine/velo/record"
)

// Lines whose fields come in many orders, are sometimes missing, or have fields within them, are
// walked: from one place to the next, a line at a time. A key is compared with the one that came
// next in earlier lines. The values of the columns are only noted, and then read column by column.
// What nobody reads is passed over. Whatever is unusual leaves its line to jsonLine.

const (
	// maxKeys is how many keys of an object are remembered. Others are looked up in the schema.
	maxKeys = 256

	// maxKeyBytes is the longest key that is remembered.
	maxKeyBytes = 256

	// walkAfter is after how many lines that have no shape, and that a walk might read, lines are
	// walked.
	walkAfter = 4
)

// jsonWalker walks lines.
type jsonWalker struct {
	places jsonPlaces
	// dicts has the keys of the outermost object, and of the objects that have columns within, by
	// the number of their node.
	dicts []*jsonDict
	root  *jsonDict
	// lines counts the lines.
	lines uint64
	// spans has, for each column and line that is walked, the place before its value and the place
	// after it, as columnText has them. The second one is 0 if the field is missing.
	spans [][]uint32
	// seen has, for each column, the last line that has its field.
	seen []uint64
	// columns are those that are read. required are those that are not read and not nullable.
	columns, required []int
	// ends has the newline of each line.
	ends []uint32
}

// jsonDict has the keys of an object, in the order in which they were first seen.
type jsonDict struct {
	node  *jsonNode // nil if the outermost object has none
	keys  []jsonKey
	index map[string]int
	next  int    // the key that is expected
	line  uint64 // the last line that has the object
}

// jsonKey is a key and what is known about its value.
type jsonKey struct {
	// text is the key as it is written, with its quotes and all blanks before the colon.
	text string
	// first has the first eight bytes of text, and mask has a bit for each bit of text in them.
	first, mask uint64
	// column is the column of the value; -1 if it has none, or if nobody reads it and it is
	// nullable.
	column int
	// dict is for the object that the value may be; nil if it has no columns within.
	dict *jsonDict
}

// newJSONWalker returns nil if texts must be copied, which a walk does not.
func newJSONWalker(f *jsonFormat, unread, copied []bool) *jsonWalker {
	w := &jsonWalker{
		spans: make([][]uint32, len(f.fields)), seen: make([]uint64, len(f.fields)), ends: make([]uint32, maxStripe),
	}
	looks := make([]bool, len(f.fields))
	for col := range f.fields {
		read := unread == nil || !unread[col]
		switch {
		case read:
			w.columns = append(w.columns, col)
		case !f.fields[col].nullable:
			w.required = append(w.required, col)
		default:
			continue
		}
		if read && copied != nil && copied[col] {
			return nil
		}
		looks[col] = true
		w.spans[col] = make([]uint32, 2*maxStripe)
	}
	w.root = &jsonDict{index: map[string]int{}}
	w.places.shallow = 1
	if f.paths != nil {
		w.dicts = make([]*jsonDict, f.paths.nodes)
		w.addDicts(f.paths.root, looks, 1)
		if d := w.dicts[f.paths.root.id]; d != nil {
			w.root = d
		}
	}
	return w
}

// addDicts makes the dictionaries of a node at a depth, and of those below it that have columns.
func (w *jsonWalker) addDicts(n *jsonNode, looks []bool, depth int) {
	some := false
	for _, col := range n.within {
		some = some || looks[col]
	}
	if len(n.fields) == 0 || !some {
		return
	}
	w.dicts[n.id] = &jsonDict{node: n, index: map[string]int{}}
	w.places.shallow = max(w.places.shallow, depth)
	for _, field := range n.fields {
		w.addDicts(field, looks, depth+1)
	}
}

// walk reads the next lines, at most most of them, into the rows from row on. n is how many lines
// it tried, and good is how many of them it has read before the first that is unusual.
func (r *jsonParser) walk(b *record.Batch, row, most int) (n, good int) {
	w, s := r.walker, &r.walker.places
	r.escaped = r.escaped[:0]
	for n < most {
		if s.from == s.to {
			if !s.more(r.buf, r.end) {
				break
			}
			continue
		}
		next, done := r.walkLine(s.from, n)
		if !done || next < 0 && !s.more(r.buf, r.end) {
			break
		}
		if next >= 0 { // else it is tried again with more places
			s.from = next
			n++
		}
	}
	good = n
	for _, col := range w.columns {
		if good > 0 {
			good = r.walkedColumn(b, col, row, good)
		}
	}
	if len(r.escaped) > 0 && good > 0 {
		r.unescape(b, row+good, int(w.ends[good-1])+1)
	}
	if good > 0 {
		r.pos = int(w.ends[good-1]) + 1
	}
	if good < n {
		s.reset(r.pos) // the places of the lines after that one are lost
	}
	return n, good
}

// walkLine walks the line whose first place is i, as line k of those that are walked together. It
// returns the place after its newline, or -1 if more has to be scanned first. done is false if the
// line is unusual.
func (r *jsonParser) walkLine(i, k int) (next int, done bool) {
	w, s := r.walker, &r.walker.places
	begin := r.pos
	if k > 0 {
		begin = int(w.ends[k-1]) + 1
	}
	if int(s.at[i]) != begin || r.buf[begin] != '{' {
		return 0, false
	}
	w.lines++
	next, done = r.walkObject(i, k, w.root)
	if !done || next < 0 {
		return next, done
	}
	if next == s.to {
		return -1, true
	}
	brace, end := int(s.at[next-1]), int(s.at[next])
	if r.buf[end] != '\n' || end-brace > 2 || end-brace == 2 && r.buf[brace+1] != '\r' ||
		end-begin > r.format.cfg.MaxRecordBytes {
		return 0, false
	}
	for _, col := range w.required {
		if w.seen[col] != w.lines {
			return 0, false
		}
	}
	for _, col := range w.columns {
		if w.seen[col] != w.lines {
			w.spans[col][2*k+1] = 0
		}
	}
	w.ends[k] = uint32(end)
	return next + 1, true
}

// walkObject walks the object whose opening brace is place i. It returns the place after its
// closing brace; otherwise as walkLine.
func (r *jsonParser) walkObject(i, k int, d *jsonDict) (next int, done bool) {
	w, buf := r.walker, r.buf
	s := &w.places
	at := s.at[:s.to]
	if d.line == w.lines {
		return 0, false // the object comes twice
	}
	d.line, d.next = w.lines, 0
	strict := r.format.cfg.Strict
	for {
		// Place i is before a key.
		if i+2 >= len(at) {
			return -1, true
		}
		colon := at[i+1]
		if buf[colon] != ':' {
			return 0, false
		}
		var key *jsonKey
		if d.next < len(d.keys) {
			// As find, for the key that is expected.
			k := &d.keys[d.next]
			text := buf[at[i]+1 : colon]
			if len(text) == len(k.text) && (word(unsafe.Pointer(&buf[at[i]+1]))^k.first)&k.mask == 0 &&
				(len(text) <= 8 || string(text) == k.text) {
				key = k
				d.next++
			}
		}
		if key == nil {
			key = d.find(buf, at[i]+1, colon)
		}
		if key == nil {
			key = r.learnKey(d, at[i]+1, colon)
			if key == nil {
				return 0, false
			}
		}
		begin, end := colon+1, at[i+2]
		for begin < end && buf[begin] <= ' ' {
			begin++
		}
		i += 2
		if buf[end] == '{' {
			within := key.dict != nil && end == begin
			if within {
				next, done = r.walkObject(i, k, key.dict)
			} else {
				next, done = r.passObject(i)
			}
			if !done || next < 0 {
				return next, done
			}
			i = next
			if i >= len(at) {
				return -1, true
			}
			end = at[i]
			if within && end != at[i-1]+1 {
				return 0, false // something comes after the object
			}
		} else if key.dict != nil {
			if key.dict.line == w.lines {
				return 0, false
			}
			key.dict.line = w.lines
		}
		if end <= begin || (key.column >= 0 || strict) && !r.walkValue(key, begin, end, k) {
			return 0, false
		}
		switch buf[end] {
		case ',':
		case '}':
			return i + 1, true
		default:
			return 0, false
		}
	}
}

// walkValue notes the value of a key in line k. It returns false if the value is unusual.
func (r *jsonParser) walkValue(key *jsonKey, begin, end uint32, k int) bool {
	w := r.walker
	if key.column < 0 {
		return r.line.fills(r.buf, int(begin), int(end)) // only if Strict is set
	}
	if w.seen[key.column] == w.lines || r.skips(key.column) && r.buf[begin] == 'n' {
		return false // it comes twice, or it may be null and must not
	}
	w.seen[key.column] = w.lines
	span := w.spans[key.column][2*k : 2*k+2]
	span[0], span[1] = begin-1, end
	return true
}

// passObject passes over the object whose opening brace is place i, as walkObject does.
func (r *jsonParser) passObject(i int) (next int, done bool) {
	s := &r.walker.places
	depth := 0
	for ; i < s.to; i++ {
		switch r.buf[s.at[i]] {
		case '{':
			depth++
		case '}':
			depth--
		}
		if depth == 0 {
			return i + 1, true
		}
	}
	return -1, true
}

// find returns a key that is known, or nil. The key lies in buf[from:to].
func (d *jsonDict) find(buf []byte, from, to uint32) *jsonKey {
	text, at := buf[from:to], d.next
	first := word(unsafe.Pointer(&buf[from]))
	for range min(3, len(d.keys)) {
		if at >= len(d.keys) {
			at = 0
		}
		k := &d.keys[at]
		at++
		if len(k.text) == len(text) && (first^k.first)&k.mask == 0 && (len(text) <= 8 || string(text) == k.text) {
			d.next = at
			return k
		}
	}
	if j, ok := d.index[string(text)]; ok {
		d.next = j + 1
		return &d.keys[j]
	}
	return nil
}

// learnKey finds out what the value of a key is for, and remembers the key. It returns nil if there
// is no key.
func (r *jsonParser) learnKey(d *jsonDict, from, to uint32) *jsonKey {
	l, begin := &r.line, blanks(r.buf, int(from), int(to))
	if begin == int(to) || r.buf[begin] != '"' {
		return nil
	}
	end, escaped, err := scanString(r.buf, begin, int(to))
	if err != nil || blanks(r.buf, end, int(to)) != int(to) {
		return nil
	}
	name := l.name(r.buf[begin+1:end-1], escaped)
	key := jsonKey{text: string(r.buf[from:to]), column: -1}
	for i := range min(8, len(key.text)) {
		key.first |= uint64(key.text[i]) << (8 * i)
		key.mask |= 0xff << (8 * i)
	}
	var node *jsonNode
	if d.node != nil {
		node = d.node.fields[string(name)]
	}
	if d == r.walker.root {
		if col, ok := r.format.column[string(name)]; ok {
			key.column = col
		}
	} else if node != nil {
		key.column = node.column
	}
	if key.column >= 0 && r.walker.spans[key.column] == nil {
		key.column = -1 // nobody reads it, and it may be missing
	}
	if node != nil {
		key.dict = r.walker.dicts[node.id]
	}
	if len(d.keys) == maxKeys || len(key.text) > maxKeyBytes {
		return &key
	}
	d.index[key.text] = len(d.keys)
	d.keys = append(d.keys, key)
	d.next = len(d.keys)
	return &d.keys[d.next-1]
}

// walkedColumn reads a column of the next n lines into the rows from row on. It stops before the
// first line whose value cannot be read, and returns how many lines it has read.
func (r *jsonParser) walkedColumn(b *record.Batch, col, row, n int) (read int) {
	f, spans := &r.format.fields[col], r.walker.spans[col]
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
			fast = r.walkedTexts(&c, b.Column(col).Views[row+read:row+n], col, row+read)
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
		if len(r.line.escapes) > 0 {
			r.escaped = append(r.escaped, escapedText{int32(col), int32(row + read)})
		}
		read++
	}
	return read
}

// walkedTexts reads strings into views, up to the first value that is missing or no string. row is
// the row of the first.
func (r *jsonParser) walkedTexts(c *columnText, views []record.View, col, row int) int {
	escapes := uint32(r.walker.places.escapes)
	for i := range views {
		begin, end := c.at[2*i]+1, c.at[2*i+1]
		if end < begin+2 || r.buf[begin] != '"' || r.buf[end-1] != '"' {
			return i
		}
		begin, end = begin+1, end-1
		if begin < escapes && bytes.IndexByte(r.buf[begin:end], '\\') >= 0 {
			if next, _, err := scanString(r.buf, int(begin)-1, int(end)+1); err != nil || next != int(end)+1 {
				return i
			}
			r.escaped = append(r.escaped, escapedText{int32(col), int32(row + i)})
		}
		views[i] = record.View{Off: begin, Len: end - begin}
	}
	return len(views)
}

// present returns how many of the next n values come before the first that is missing. The width of
// c is 2.
func (c *columnText) present(n int) int {
	for i := range n {
		if c.at[2*i+1] == 0 {
			return i
		}
	}
	return n
}

// strings returns how many of the next n values have quotes around them. The width of c is 2.
func (c *columnText) strings(n int) int {
	for i := range n {
		begin, end := c.at[2*i]+1, c.at[2*i+1]
		if end < begin+2 || *(*byte)(unsafe.Add(c.base, begin)) != '"' || *(*byte)(unsafe.Add(c.base, end-1)) != '"' {
			return i
		}
	}
	return n
}
