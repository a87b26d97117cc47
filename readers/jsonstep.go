package readers

import (
	"math/bits"
	"unsafe"
)

// walkJSONGo is the twin of the assembly. It walks from w.pos, where w.state says what is next,
// until w.why says why it has stopped. pad bytes after the last newline can be read, and there is
// no line without one.
func walkJSONGo(w *jsonWalk) {
	w.why = walkOn
	for w.why == walkOn {
		switch w.state {
		case walkLine:
			w.openLine()
		case walkAfter:
			w.after()
		case walkValue:
			w.value()
		case walkClose:
			w.closeObject()
		}
	}
}

func (w *jsonWalk) at(p uint64) byte                { return *(*byte)(unsafe.Add(w.buf, p)) }
func (w *jsonWalk) keyAt(place uint64) *jsonKey     { return (*jsonKey)(unsafe.Add(w.keys, place)) }
func (w *jsonWalk) frameAt(place uint32) *jsonFrame { return (*jsonFrame)(unsafe.Add(w.frames, place)) }

func (w *jsonWalk) linkAt(place uint32) *jsonLink { return (*jsonLink)(unsafe.Add(w.links, place)) }

// openLine begins a line.
func (w *jsonWalk) openLine() {
	if w.line == w.lines || w.pos >= w.end {
		w.why = walkDone
		return
	}
	w.number++
	w.begin = w.pos
	w.key, w.state = uint64(w.frameAt(0).first), walkAfter
}

// after goes over what comes after a value, or over the beginning of an object.
func (w *jsonWalk) after() {
	k := w.keyAt(w.key)
	for place := k.link; place != 0; {
		l := w.linkAt(place)
		text := unsafe.Slice((*byte)(unsafe.Add(w.buf, w.pos)), l.length)
		if string(text) == string(l.text[:l.length]) {
			w.pos += uint64(l.length)
			w.key, w.state = uint64(l.key), walkValue
			return
		}
		place = l.next
	}
	switch {
	case w.at(w.pos) == '}' && k.flags&keyOpens == 0:
		w.state = walkClose
	case w.at(w.pos) == '{' && w.at(w.pos+1) == '}' && k.flags&keyOpens != 0:
		w.pos++
		w.state = walkClose
	default:
		w.why = walkMissing
	}
}

// closeObject goes over the brace that closes an object, and with the outermost one, over the end
// of the line.
func (w *jsonWalk) closeObject() {
	w.pos++
	if frame := w.keyAt(w.key).frame; frame != 0 {
		f := w.frameAt(frame)
		w.key, w.state = uint64(f.key), walkAfter
		w.note(uint64(f.begin), w.pos)
		return
	}
	if w.at(w.pos) == '\r' {
		w.pos++
	}
	if w.at(w.pos) != '\n' || w.pos-w.begin > w.longest {
		w.why = walkUnusual
		return
	}
	*(*uint32)(unsafe.Add(w.ends, 4*w.line)) = uint32(w.pos)
	w.pos++
	w.line++
	w.state = walkLine
}

// note notes the value of the key, if it is noted.
func (w *jsonWalk) note(begin, end uint64) {
	slot := w.keyAt(w.key).slot
	if slot == noSlot {
		return
	}
	span := (*[2]uint32)(unsafe.Add(w.spans, uint64(slot)+8*w.line))
	if span[1] != 0 {
		w.why = walkUnusual // the field comes twice
		return
	}
	span[0], span[1] = uint32(begin-1), uint32(end)
}

// value goes over the value of the key, or into its object.
func (w *jsonWalk) value() {
	k := w.keyAt(w.key)
	c := w.at(w.pos)
	if k.flags&keyNotNull != 0 && c == 'n' {
		w.why = walkUnusual
		return
	}
	if k.flags&keyWithin != 0 {
		f := w.frameAt(k.within)
		if f.line == w.number {
			w.why = walkUnusual // the object comes twice
			return
		}
		f.line = w.number
		if c == '{' {
			f.key, f.begin = uint32(w.key), uint32(w.pos)
			w.key, w.state = uint64(f.first), walkAfter
			return
		}
	}
	if k.flags&keyChecked != 0 && c != '"' {
		w.why = walkCheck
		return
	}
	var end uint64
	switch c {
	case '"':
		var escapes bool
		end, escapes = w.stringEnd(w.pos + 1)
		if escapes && end != 0 && !w.noteEscapes(k) {
			return
		}
	case '{', '[':
		end = w.bracketsEnd(w.pos)
	default:
		end = w.wordEnd(w.pos)
	}
	if end == 0 {
		w.why = walkUnusual
		return
	}
	w.note(w.pos, end)
	if w.why == walkOn {
		w.pos, w.state = end, walkAfter
	}
}

// noteEscapes notes that the string of a key has escapes. It returns false if the walk stops.
func (w *jsonWalk) noteEscapes(k *jsonKey) bool {
	switch {
	case k.flags&keyChecked != 0:
		w.why = walkCheck
	case k.slot == noSlot:
	case w.found == maxEscaped:
		w.why = walkUnusual
	default:
		*(*[2]uint32)(unsafe.Add(w.escaped, 8*w.found)) = [2]uint32{uint32(k.column), uint32(w.line)}
		w.found++
	}
	return w.why == walkOn
}

// stringEnd returns the place after the quote that closes the string whose text begins at p, or 0
// if the string is unusual, and whether there are escapes before.
func (w *jsonWalk) stringEnd(p uint64) (end uint64, escapes bool) {
	for {
		x := word(unsafe.Add(w.buf, p))
		m := zeroBytes(x^'"'*ones) | zeroBytes(x^'\\'*ones) | zeroBytes(x&(0xe0*ones))
		if m == 0 {
			p += 8
			continue
		}
		p += uint64(bits.TrailingZeros64(m) >> 3)
		switch {
		case w.at(p) == '"':
			return p + 1, escapes
		case w.at(p) != '\\' || w.at(p+1) < ' ':
			return 0, escapes
		}
		escapes = true
		p += 2
	}
}

// wordEnd returns the place after the number or word at p, or 0 if there is none.
func (w *jsonWalk) wordEnd(p uint64) uint64 {
	end := p
	for jsonWordByte(w.at(end)) {
		end++
	}
	if end == p {
		return 0
	}
	return end
}

// jsonWordByte says whether a byte may be in a number or a word. More bytes may than JSON has: a
// value that is read is looked at later.
func jsonWordByte(c byte) bool {
	switch c >> 4 {
	case 2:
		return c == '+' || c == '-' || c == '.'
	case 3:
		return c <= '9'
	case 4, 6:
		return true
	case 5, 7:
		return c&15 < 11 || c&15 > 13 // no bracket and no backslash
	}
	return false
}

// bracketsEnd returns the place after the object or array at p, or 0 if it is unusual: its brackets
// do not match, a backslash is outside of strings, or there is a byte below a space.
func (w *jsonWalk) bracketsEnd(p uint64) uint64 {
	var kinds uint64 // a bit for each open bracket, the last one lowest; set for a brace
	for depth := 0; ; p++ {
		switch c := w.at(p); {
		case c < ' ' || c == '\\':
			return 0
		case c == '"':
			end, _ := w.stringEnd(p + 1)
			if end == 0 {
				return 0
			}
			p = end - 1
		case c|0x20 == '{':
			if depth == maxWalkDepth {
				return 0
			}
			depth++
			kinds = kinds<<1 | uint64(c>>5&1)
		case c|0x20 == '}':
			if kinds&1 != uint64(c>>5&1) {
				return 0
			}
			depth--
			kinds >>= 1
			if depth == 0 {
				return p + 1
			}
		}
	}
}
