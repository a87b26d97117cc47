package readers

import (
	"math"
	"unsafe"
)

const (
	// maxKeys is how many keys of an object are remembered. Others are looked up in the schema.
	maxKeys = 256

	// maxKeyBytes is the longest key that is remembered.
	maxKeyBytes = 256

	// maxLinkBytes is the longest link that is remembered. After others, the key is looked up.
	maxLinkBytes = 64

	// maxLinks is how many links after a value are remembered.
	maxLinks = 4

	// relinkAfter is after how many unknown links one takes the place of the last that is
	// remembered.
	relinkAfter = 16

	// noSlot is the slot of a key whose values are not noted.
	noSlot = math.MaxUint32
)

// jsonKeys are the keys of all objects that are walked, and what comes between their values. The
// places of keys, links and frames are in bytes from the first, because the assembly uses them.
type jsonKeys struct {
	format *jsonFormat
	slots  []uint32 // of each column
	// frames and dicts are the objects: the outermost one, and those that have columns within.
	frames []jsonFrame
	dicts  []jsonDict
	// nodes has the frame of each node; 0 if its object is not walked.
	nodes []uint32
	keys  []jsonKey
	links []jsonLink // the first one is not used
}

// jsonFrame is an object that a walk goes into. The assembly knows its layout.
type jsonFrame struct {
	line  uint64 // number of the last line that has the object
	first uint32 // the key that stands for the opening brace
	key   uint32 // the key that the object is the value of
	begin uint32 // where the object begins
}

// jsonDict has the keys of an object.
type jsonDict struct {
	node  *jsonNode // nil if the outermost object has none
	index map[string]uint32
	other uint32 // the place of keys that are not remembered
}

// jsonKey is a key and what is known about its value. The assembly knows its layout.
type jsonKey struct {
	link   uint32 // the first link after the value; 0 if there is none
	slot   uint32 // where the value is noted, in bytes; noSlot if it is not
	within uint32 // the frame of the object that the value may be; 0 if it has no columns within
	frame  uint32 // the frame of the object with the key
	flags  uint32
	column int32
	misses uint32 // unknown links after the value
}

// What is special about a key.
const (
	keyOpens   = 1 << iota // it stands for the opening brace of its object
	keyOther               // it is not remembered
	keyNotNull             // the value must not be null, and nobody reads it
	keyChecked             // the value must be JSON, and nobody reads it
	keyWithin              // within is set
)

// jsonLink is what comes between two values, with a key at its end. The assembly knows its layout.
type jsonLink struct {
	text   [maxLinkBytes]byte
	beyond [2]uint32 // a bit for each byte of text that does not belong to the link
	length uint32
	key    uint32
	next   uint32 // the link that is tried next; 0 if there is none
}

// The sizes that places are multiples of.
const (
	jsonFrameBytes = uint32(unsafe.Sizeof(jsonFrame{}))
	jsonKeyBytes   = uint32(unsafe.Sizeof(jsonKey{}))
	jsonLinkBytes  = uint32(unsafe.Sizeof(jsonLink{}))
)

// newJSONKeys knows no links.
func newJSONKeys(f *jsonFormat, slots []uint32) jsonKeys {
	w := jsonKeys{format: f, slots: slots, links: make([]jsonLink, 1)}
	if f.paths == nil {
		w.addFrame(nil)
		return w
	}
	w.nodes = make([]uint32, f.paths.nodes)
	w.addFrame(f.paths.root)
	for _, field := range f.paths.root.fields {
		w.addFrames(field)
	}
	return w
}

// addFrame makes the frame of a node.
func (w *jsonKeys) addFrame(n *jsonNode) {
	frame := uint32(len(w.frames)) * jsonFrameBytes
	if n != nil {
		w.nodes[n.id] = frame
	}
	w.frames = append(w.frames, jsonFrame{first: w.addKey(jsonKey{slot: noSlot, frame: frame, flags: keyOpens})})
	w.dicts = append(w.dicts, jsonDict{
		node: n, index: map[string]uint32{}, other: w.addKey(jsonKey{slot: noSlot, frame: frame, flags: keyOther}),
	})
}

// addFrames makes the frames of a node and of those below it, if there are columns that are noted.
func (w *jsonKeys) addFrames(n *jsonNode) {
	some := false
	for _, col := range n.within {
		some = some || w.slots[col] != noSlot
	}
	if len(n.fields) == 0 || !some {
		return
	}
	w.addFrame(n)
	for _, field := range n.fields {
		w.addFrames(field)
	}
}

func (w *jsonKeys) addKey(k jsonKey) uint32 {
	w.keys = append(w.keys, k)
	return uint32(len(w.keys)-1) * jsonKeyBytes
}

// follow goes on where no link is known, and remembers what it finds there. It returns false if
// that is unusual.
func (r *jsonParser) follow() bool {
	w := r.walker
	from := uint32(w.key)
	key := &w.jsonKeys.keys[from/jsonKeyBytes]
	begin := int(w.pos)
	i := begin
	opens := key.flags&keyOpens != 0
	if opens {
		if r.buf[i] != '{' {
			return false
		}
		i++
	}
	i = blanks(r.buf, i, r.end)
	if r.buf[i] == '}' {
		w.pos, w.state = uint64(i), walkClose
		return true
	}
	if !opens {
		if r.buf[i] != ',' {
			return false
		}
		i = blanks(r.buf, i+1, r.end)
	}
	if r.buf[i] != '"' {
		return false
	}
	next, escaped, err := scanString(r.buf, i, r.end)
	if err != nil {
		return false
	}
	colon := blanks(r.buf, next, r.end)
	if r.buf[colon] != ':' {
		return false
	}
	value := blanks(r.buf, colon+1, r.end)
	to := r.findKey(key.frame, r.buf[i:next], escaped)
	w.link(from, to, r.buf[begin:value])
	w.pos, w.key, w.state = uint64(value), uint64(to), walkValue
	return true
}

// findKey returns a key of an object, which is written as text, with its quotes.
func (r *jsonParser) findKey(frame uint32, text []byte, escaped bool) uint32 {
	w := r.walker
	d := &w.dicts[frame/jsonFrameBytes]
	if at, ok := d.index[string(text)]; ok {
		return at
	}
	name := r.line.name(text[1:len(text)-1], escaped)
	k := jsonKey{slot: noSlot, frame: frame, column: -1}
	var node *jsonNode
	if d.node != nil {
		node = d.node.fields[string(name)]
	}
	if frame == 0 {
		if col, ok := w.format.column[string(name)]; ok {
			k.column = int32(col)
		}
	} else if node != nil {
		k.column = int32(node.column)
	}
	if node != nil {
		k.within = w.nodes[node.id]
	}
	if k.within != 0 {
		k.flags |= keyWithin
	}
	if k.column >= 0 {
		k.slot = w.slots[k.column]
	}
	switch {
	case k.slot == noSlot && w.format.cfg.Strict:
		k.flags |= keyChecked
	case k.slot != noSlot && r.skips(int(k.column)):
		k.flags |= keyNotNull
	}
	if len(d.index) == maxKeys || len(text) > maxKeyBytes {
		k.flags |= keyOther
		w.jsonKeys.keys[d.other/jsonKeyBytes] = k
		return d.other
	}
	at := w.addKey(k)
	d.index[string(text)] = at
	return at
}

// link remembers what comes between the values of two keys.
func (w *jsonWalker) link(from, to uint32, text []byte) {
	key := &w.jsonKeys.keys[from/jsonKeyBytes]
	if len(text) > maxLinkBytes || (key.flags|w.jsonKeys.keys[to/jsonKeyBytes].flags)&keyOther != 0 {
		return
	}
	last, n := &key.link, 0
	for ; *last != 0 && n < maxLinks-1; n++ {
		last = &w.jsonKeys.links[*last/jsonLinkBytes].next
	}
	l := jsonLink{length: uint32(len(text)), key: to}
	copy(l.text[:], text)
	for i := len(text); i < maxLinkBytes; i++ {
		l.beyond[i/32] |= 1 << (i % 32)
	}
	if *last != 0 {
		key.misses++
		if key.misses%relinkAfter == 0 {
			w.jsonKeys.links[*last/jsonLinkBytes] = l
		}
		return
	}
	*last = uint32(len(w.jsonKeys.links)) * jsonLinkBytes
	w.jsonKeys.links = append(w.jsonKeys.links, l)
}
