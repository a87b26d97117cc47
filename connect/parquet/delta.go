package parquet

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"

	"github.com/parquet-go/bitpack"
)

// maxDeltaBlock bounds the values of a block of deltas; writers have 128.
const maxDeltaBlock = 1 << 16

// errDelta says that deltas cannot be read.
var errDelta = errors.New("its deltas are damaged")

// deltas decodes numbers in DELTA_BINARY_PACKED, at most limit of them, appends them to to and
// returns what follows them.
//
//	block size, mini blocks of a block, values, first value
//	block: least delta, width of each mini block, mini blocks of deltas minus the least
func deltas(to []int64, data []byte, limit int) (values []int64, rest []byte, err error) {
	var head [3]uint64
	for i := range head {
		v, n := binary.Uvarint(data)
		if n <= 0 {
			return to, nil, errDelta
		}
		head[i], data = v, data[n:]
	}
	block, minis, count := head[0], head[1], head[2]
	if count > uint64(limit) {
		return to, nil, fmt.Errorf("it has %d values, and %d are wanted", count, limit)
	}
	if block == 0 || block > maxDeltaBlock || minis == 0 || block%minis != 0 || block/minis%8 != 0 {
		return to, nil, errDelta
	}
	value, n := binary.Varint(data)
	if n <= 0 {
		return to, nil, errDelta
	}
	data = data[n:]
	if count == 0 {
		return to, data, nil
	}
	to = append(to, value)
	left, mini := int(count)-1, int(block/minis)
	unpacked := make([]int64, mini)
	for left > 0 {
		least, n := binary.Varint(data)
		if n <= 0 || len(data)-n < int(minis) {
			return to, nil, errDelta
		}
		widths := data[n : n+int(minis)]
		data = data[n+int(minis):]
		for _, width := range widths {
			if left == 0 {
				break // mini blocks without values are not there
			}
			bytes := mini / 8 * int(width)
			if width > 64 || bytes > len(data) {
				return to, nil, errDelta
			}
			unpackWide(unpacked, data[:bytes], int(width))
			data = data[bytes:]
			for _, delta := range unpacked[:min(left, mini)] {
				value += least + delta
				to = append(to, value)
			}
			left -= min(left, mini)
		}
	}
	return to, data, nil
}

// unpackWide unpacks numbers of up to 64 bits. len(to) is a multiple of 8.
func unpackWide(to []int64, data []byte, width int) {
	if width == 0 {
		clear(to)
		return
	}
	if cap(data) >= len(data)+bitpack.PaddingInt64 {
		bitpack.Unpack(to, data, uint(width))
		return
	}
	padded := make([]byte, len(data), len(data)+padding)
	copy(padded, data)
	bitpack.Unpack(to, padded, uint(width))
}

// deltaTexts decodes texts in DELTA_LENGTH_BYTE_ARRAY: their lengths, and then their bytes. The
// views are of the bytes, which lie in data.
func (p *page) deltaTexts(data []byte, values int) error {
	lengths, bytes, err := deltas(p.ints[:0], data, values)
	if err != nil {
		return err
	}
	p.ints = lengths
	at := uint64(0)
	p.resizeViews(len(lengths))
	for i, length := range lengths {
		if length < 0 || uint64(length) > uint64(len(bytes))-at {
			return errDelta
		}
		p.views[i].Off, p.views[i].Len = uint32(at), uint32(length)
		at += uint64(length)
	}
	p.text = bytes
	return nil
}

// deltaPrefixes decodes texts in DELTA_BYTE_ARRAY: how many bytes each shares with the one before,
// and the rest of each. There may be at most limit bytes.
func (p *page) deltaPrefixes(data []byte, values, limit int) error {
	prefixes, data, err := deltas(p.ints[:0], data, values)
	if err != nil {
		return err
	}
	p.ints = prefixes
	suffixes, data, err := deltas(p.suffixes[:0], data, values)
	if err != nil {
		return err
	}
	p.suffixes = suffixes
	if len(suffixes) != len(prefixes) {
		return errDelta
	}
	p.resizeViews(len(prefixes))
	own, last := p.own[:0], 0
	for i, prefix := range prefixes {
		suffix := suffixes[i]
		if prefix < 0 || suffix < 0 || prefix > int64(len(own)-last) || suffix > int64(len(data)) {
			return errDelta
		}
		if int64(len(own))+prefix+suffix > int64(limit) {
			return fmt.Errorf("its texts have more than %d bytes", limit)
		}
		begin := len(own)
		own = append(own, own[last:last+int(prefix)]...)
		own = append(own, data[:suffix]...)
		data, last = data[suffix:], begin
		p.views[i].Off, p.views[i].Len = uint32(begin), uint32(len(own)-begin)
	}
	p.own, p.text = own, own
	return nil
}

// joinStreams undoes BYTE_STREAM_SPLIT: byte i of every value, one after the other, and so on. It
// appends the values to to, with padding after them in memory.
func joinStreams(to, data []byte, size int) []byte {
	n := len(data) / size
	to = grow(to, n*size)
	for i := range size {
		stream := data[i*n : (i+1)*n]
		for j, b := range stream {
			to[j*size+i] = b
		}
	}
	return to
}

// grow is a buffer of n bytes, with padding after them in memory; its contents are not kept.
func grow(b []byte, n int) []byte {
	if cap(b) < n+padding {
		b = make([]byte, n+padding, max(n+padding, 1<<bits.Len(uint(n))))
	}
	return b[:n]
}
