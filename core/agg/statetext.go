package agg

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"

	"github.com/velo-engine/velo/record"
)

// # States as texts
//
// A state of approx_count_distinct or approx_percentile can be written out as a text and merged
// later, by another query and in another process. The format is the library's own, because hashes
// and buckets are. The text is base64 with the usual alphabet and padding (RFC 4648) of
//
//	2 bytes   "vs"
//	1 byte    the version of the format
//	1 byte    the kind: 'd' for approx_count_distinct, 'p' for approx_percentile
//	          what the state has, see below
//	4 bytes   CRC-32C of all before, little-endian
//
// A state of kind 'd' has a byte that says what follows: 0, then the hashes in ascending order, 8
// bytes each, little-endian; or 1, then the 4,096 registers of 6 bits, the lowest bits first. A
// state of kind 'p' has the number of its buckets; and then, if there are any, the least and the
// greatest value as ordered returns them, 8 bytes each, and for each bucket in ascending order by
// how much its key is greater than the key before (the first: than 0), and its count. Numbers
// without a size are unsigned varints.
//
// Whatever breaks one of these rules is refused, so that there is just one text for a state, and a
// text that was cut off, changed or made elsewhere is not taken for a state.

const (
	stateVersion  = 1
	stateDistinct = 'd'
	statePercent  = 'p'

	stateHead = 4
	stateTail = 4

	formHashes    = 0
	formRegisters = 1

	packedRegisters = registers * 6 / 8
	maxRank         = 64 - registerBits + 1

	// maxStateBytes bounds a state in bytes. A percentile with counts of 46 bits has as many.
	maxStateBytes = stateHead + 2 + 16 + maxBuckets*(3+7) + stateTail
	// MaxStateText bounds a state as a text.
	MaxStateText = (maxStateBytes + 2) / 3 * 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// appendState appends a state of a kind as a text. fill appends what the state has.
func appendState(to []byte, kind byte, fill func(to []byte) []byte) []byte {
	var room [maxStateBytes]byte
	bytes := fill(append(room[:0], 'v', 's', stateVersion, kind))
	bytes = binary.LittleEndian.AppendUint32(bytes, crc32.Checksum(bytes, castagnoli))
	return base64.StdEncoding.AppendEncode(to, bytes)
}

var (
	errNoState  = errors.New("it is not the base64 of a state")
	errCorrupt  = errors.New("its checksum is wrong: it was changed or cut off")
	errContents = errors.New("its contents are not those of a state, though its checksum is right")
)

// readState decodes a text into room and returns what the state has.
func readState(text []byte, kind byte, room *[maxStateBytes + 2]byte) ([]byte, error) {
	if len(text) > MaxStateText {
		return nil, fmt.Errorf("it has %d bytes, a state has at most %d", len(text), MaxStateText)
	}
	n, err := base64.StdEncoding.Strict().Decode(room[:], text)
	// The decoder skips line ends, so the length is compared.
	if err != nil || len(text) != base64.StdEncoding.EncodedLen(n) || n < stateHead+stateTail ||
		room[0] != 'v' || room[1] != 's' {
		return nil, errNoState
	}
	end := n - stateTail
	switch {
	case crc32.Checksum(room[:end], castagnoli) != binary.LittleEndian.Uint32(room[end:]):
		return nil, errCorrupt
	case room[2] != stateVersion:
		return nil, fmt.Errorf("it has version %d, expected %d", room[2], stateVersion)
	case room[3] != kind:
		return nil, fmt.Errorf("it is of another function: its kind is %q, expected %q", room[3], kind)
	}
	return room[stateHead:end], nil
}

// CheckState returns the check of the texts that function k merges, nil if it merges none. The
// error of a check says what is wrong with the text.
func CheckState(k Kind) func(text string) error {
	switch k.State() {
	case ApproxCountDistinctMerge:
		return func(text string) error {
			var room [maxStateBytes + 2]byte
			has, err := readState([]byte(text), stateDistinct, &room)
			if err == nil && !distinctIn(has) {
				err = errContents
			}
			return err
		}
	case ApproxPercentileMerge:
		return func(text string) error {
			var room [maxStateBytes + 2]byte
			has, err := readState([]byte(text), statePercent, &room)
			if err == nil && !percentileIn(has) {
				err = errContents
			}
			return err
		}
	}
	return nil
}

// distinctIn says whether bytes are what a state of kind 'd' has.
func distinctIn(has []byte) bool {
	if len(has) == 0 {
		return false
	}
	form, has := has[0], has[1:]
	if form == formRegisters {
		ok := len(has) == packedRegisters
		for i := 0; ok && i < registers; i++ {
			ok = packedRank(has, i) <= maxRank
		}
		return ok
	}
	if form != formHashes || len(has)%8 != 0 || len(has)/8 > exactHashes {
		return false
	}
	last := uint64(0)
	for ; len(has) > 0; has = has[8:] {
		h := binary.LittleEndian.Uint64(has)
		if h <= last {
			return false
		}
		last = h
	}
	return true
}

// packedRank returns register i of packed registers.
func packedRank(packed []byte, i int) uint8 {
	at := i * 6
	w := uint16(packed[at/8])
	if at/8+1 < len(packed) {
		w |= uint16(packed[at/8+1]) << 8
	}
	return uint8(w>>(at%8)) & 63
}

// distinctState is the state of approx_count_distinct as a text.
type distinctState struct{ distinct }

func (distinctState) Type() record.Type { return record.String }

func (distinctState) Result([]uint64, *Blocks) Value { return Value{} }

func (distinctState) AppendText(to []byte, state []uint64, b *Blocks) []byte {
	return appendState(to, stateDistinct, func(to []byte) []byte {
		if state[1] != isRegisters {
			to = append(to, formHashes)
			begin := len(to)
			var hashes [exactHashes]uint64
			n := 0
			for _, h := range b.words(state[0]) {
				if h != 0 {
					hashes[n] = h
					n++
				}
			}
			slices.Sort(hashes[:n])
			for _, h := range hashes[:n] {
				to = binary.LittleEndian.AppendUint64(to, h)
			}
			return to[:begin+8*n]
		}
		to = append(to, formRegisters)
		begin := len(to)
		to = to[:begin+packedRegisters]
		packed := to[begin:]
		clear(packed)
		for i, rank := range b.Bytes(state[0]) {
			w := uint16(rank) << (i * 6 % 8)
			packed[i*6/8] |= uint8(w)
			if w > 255 {
				packed[i*6/8+1] |= uint8(w >> 8)
			}
		}
		return to
	})
}

// distinctStates merges states of approx_count_distinct that are texts. CheckState has let the
// texts through; any other is left out. asText says that the result is a state again.
type distinctStates struct {
	distinct
	asText bool
}

func (d distinctStates) Type() record.Type {
	if d.asText {
		return record.String
	}
	return record.Int64
}

func (d distinctStates) Update(rows Rows, at uintptr, args Args) {
	var room [maxStateBytes + 2]byte
	for i := range args.Words[:len(rows.Off)] {
		if args.Nulls != nil && args.null(i) == 1 {
			continue
		}
		has, err := readState(args.text(i), stateDistinct, &room)
		if err == nil && distinctIn(has) {
			d.addState(rows.words2(i, at), has, rows.Blocks)
		}
	}
}

// addState adds a state to a state.
func (d distinctStates) addState(p *[2]uint64, has []byte, b *Blocks) {
	form, has := has[0], has[1:]
	if form == formHashes {
		for ; len(has) > 0; has = has[8:] {
			d.add(p, binary.LittleEndian.Uint64(has), b)
		}
		return
	}
	if !useRegisters(p, b) {
		return
	}
	mine := b.Bytes(p[0])
	for i := range mine {
		mine[i] = max(mine[i], packedRank(has, i))
	}
	b.touch(p[0], 0, registers)
}

func (d distinctStates) Result(state []uint64, b *Blocks) Value {
	if d.asText {
		return Value{}
	}
	return d.distinct.Result(state, b)
}

func (d distinctStates) AppendText(to []byte, state []uint64, b *Blocks) []byte {
	return distinctState{}.AppendText(to, state, b)
}

// percentileIn says whether bytes are what a state of kind 'p' has.
func percentileIn(has []byte) bool {
	n, size := binary.Uvarint(has)
	if size != 1 && (size != 2 || n < 1<<7) || n > maxBuckets {
		return false
	}
	has = has[size:]
	if n == 0 {
		return len(has) == 0
	}
	if len(has) < 16 {
		return false
	}
	least, greatest := int64(binary.LittleEndian.Uint64(has)), int64(binary.LittleEndian.Uint64(has[8:]))
	has = has[16:]
	first, key := uint64(0), uint64(0)
	for range n {
		more, count, rest, ok := bucketIn(has)
		key += more
		if !ok || key > lastKey {
			return false
		}
		if first == 0 {
			first = key
		}
		has = rest
		if count == 0 || count > countMask {
			return false
		}
	}
	// Values below the first bucket are in it if there were too many buckets.
	return len(has) == 0 && least <= greatest && bucketOf(least) <= first && key <= bucketOf(greatest)
}

// bucketIn reads a bucket. more and count are less than 1<<49.
func bucketIn(has []byte) (more, count uint64, rest []byte, ok bool) {
	more, a := binary.Uvarint(has)
	if a < 1 || a > 3 || more == 0 || a > 1 && more>>(7*(a-1)) == 0 {
		return 0, 0, nil, false
	}
	count, b := binary.Uvarint(has[a:])
	if b < 1 || b > 7 || b > 1 && count>>(7*(b-1)) == 0 {
		return 0, 0, nil, false
	}
	return more, count, has[a+b:], true
}

// percentileState is the state of approx_percentile as a text.
type percentileState struct{ percentile }

func (percentileState) Type() record.Type { return record.String }

func (percentileState) Result([]uint64, *Blocks) Value { return Value{} }

func (percentileState) AppendText(to []byte, state []uint64, b *Blocks) []byte {
	return appendState(to, statePercent, func(to []byte) []byte {
		var all [maxBuckets]uint64
		n := 0
		for _, s := range b.words(state[0]) {
			if s != 0 {
				all[n] = s
				n++
			}
		}
		to = binary.AppendUvarint(to, uint64(n))
		if n == 0 {
			return to
		}
		slices.Sort(all[:n])
		to = binary.LittleEndian.AppendUint64(to, state[3]) // the least and the greatest value
		to = binary.LittleEndian.AppendUint64(to, state[4])
		last := uint64(0)
		for _, s := range all[:n] {
			to = binary.AppendUvarint(to, s>>countBits-last)
			to = binary.AppendUvarint(to, s&countMask)
			last = s >> countBits
		}
		return to
	})
}

// percentileStates merges states of approx_percentile, as distinctStates merges states of
// approx_count_distinct.
type percentileStates struct {
	percentile
	asText bool
}

func (f percentileStates) Type() record.Type {
	if f.asText {
		return record.String
	}
	return record.Float64
}

func (f percentileStates) Update(rows Rows, at uintptr, args Args) {
	var room [maxStateBytes + 2]byte
	for i := range args.Words[:len(rows.Off)] {
		if args.Nulls != nil && args.null(i) == 1 {
			continue
		}
		has, err := readState(args.text(i), statePercent, &room)
		if err == nil && percentileIn(has) {
			f.addState(rows.words5(i, at), has, rows.Blocks)
		}
	}
}

// addState adds a state to a state.
func (f percentileStates) addState(p *[5]uint64, has []byte, b *Blocks) {
	n, size := binary.Uvarint(has)
	if n == 0 {
		return
	}
	has = has[size:]
	p[3] = uint64(min(int64(p[3]), int64(binary.LittleEndian.Uint64(has))))
	p[4] = uint64(max(int64(p[4]), int64(binary.LittleEndian.Uint64(has[8:]))))
	has = has[16:]
	for key := uint64(0); len(has) > 0; {
		more, count, rest, _ := bucketIn(has)
		key += more
		f.add(p, key, count, b)
		has = rest
	}
}

func (f percentileStates) Result(state []uint64, b *Blocks) Value {
	if f.asText {
		return Value{}
	}
	return f.percentile.Result(state, b)
}

func (f percentileStates) AppendText(to []byte, state []uint64, b *Blocks) []byte {
	return percentileState{}.AppendText(to, state, b)
}

// bindSketch binds a function of the states of sketches, approx_top_k or reservoir_sample.
func bindSketch(k Kind, arg record.Type) (Func, error) {
	merges := CheckState(k) != nil
	switch {
	case merges && arg != record.String:
		of := strings.TrimSuffix(strings.TrimSuffix(k.String(), "_state"), "_merge")
		return nil, bindError(k, arg, "text that "+of+"_state has made")
	case k == ApproxCountDistinctState:
		return distinctState{distinct{typ: arg}}, nil
	case merges && k.State() == ApproxCountDistinctMerge:
		return distinctStates{asText: k == ApproxCountDistinctMergeState}, nil
	case merges:
		return percentileStates{asText: k == ApproxPercentileMergeState}, nil
	case k == ApproxPercentileState:
		f, err := Bind(ApproxPercentile, Arg{Type: arg})
		if err != nil {
			return nil, bindError(k, arg, "bigint, double precision or decimal")
		}
		return percentileState{f.(percentile)}, nil
	case k == ApproxTopK:
		return topK{typ: arg}, nil
	}
	return sample{typ: arg}, nil
}
