package parquet

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/parquet-go/bitpack"
)

// maxStripe is how many values a reader asks for at once at most: the capacity of a batch.
const maxStripe = 1 << 16

// padding is how many bytes can be read after the end of each buffer, because vectors are loaded
// from there.
const padding = 64

// unpackAhead is how many values of a bit-packed run are unpacked at once if they do not go
// straight to where they are wanted; a multiple of 8.
const unpackAhead = 64

// hybrid reads numbers in Parquet's hybrid of runs and packed bits: levels, and places in a
// dictionary.
//
//	run     length<<1    value in whole bytes
//	packed  groups<<1|1  groups of 8 values, of width bits each
type hybrid struct {
	// data is what is left. It has padding after it in memory.
	data  []byte
	width int

	// left is how many values the run at hand has. They are equal to value, unless packed says that
	// they are in data.
	left   int
	packed bool
	value  int32

	// ahead has values of a packed run that were unpacked before they were wanted, from at on.
	ahead [unpackAhead]int32
	at    int
	some  int // how many ahead has
}

// errNoValues says that there are fewer values than the page says.
var errNoValues = errors.New("it has fewer values than its header says")

// begin begins with the values of data, which has padding after it in memory.
func (h *hybrid) begin(data []byte, width int) error {
	if width < 0 || width > 32 {
		return fmt.Errorf("its values have %d bits each, expected 32 at most", width)
	}
	h.data, h.width, h.left, h.at, h.some = data, width, 0, 0, 0
	return nil
}

// run goes on to the next run, if there is nothing left of this one.
func (h *hybrid) run() error {
	for h.left == 0 {
		if h.width == 0 { // all values are 0, whatever follows
			h.left, h.packed, h.value = maxStripe, false, 0
			return nil
		}
		head, n := binary.Uvarint(h.data)
		if n <= 0 {
			return errNoValues
		}
		h.data = h.data[n:]
		if head>>1 > 1<<31 {
			return fmt.Errorf("a run has %d values", head>>1)
		}
		h.left, h.packed = int(head>>1), head&1 != 0
		if h.packed {
			// The last group may be cut off, if its values are not wanted.
			groups := min(h.left, (len(h.data)+h.width-1)/h.width)
			h.left = 8 * groups
			continue
		}
		bytes := (h.width + 7) / 8
		if bytes > len(h.data) {
			return errNoValues
		}
		var value uint32
		for i := range bytes {
			value |= uint32(h.data[i]) << (8 * i)
		}
		h.value, h.data = int32(value), h.data[bytes:]
	}
	return nil
}

// same says whether the next n values are equal, and which value that is. It takes them only then.
func (h *hybrid) same(n int) (value int32, ok bool, err error) {
	if h.at < h.some {
		return 0, false, nil
	}
	if err := h.run(); err != nil {
		return 0, false, err
	}
	if h.packed || h.left < n {
		return 0, false, nil
	}
	h.left -= n
	return h.value, true, nil
}

// next reads len(to) values.
func (h *hybrid) next(to []int32) error {
	for len(to) > 0 {
		if h.at < h.some {
			n := copy(to, h.ahead[h.at:h.some])
			h.at, to = h.at+n, to[n:]
			continue
		}
		if err := h.run(); err != nil {
			return err
		}
		n := min(h.left, len(to))
		switch whole := n &^ 7; {
		case !h.packed:
			fill := to[:n]
			for i := range fill {
				fill[i] = h.value
			}
			h.left, to = h.left-n, to[n:]
		case whole > 0 && h.fits(whole):
			h.unpack(to[:whole])
			to = to[whole:]
		default:
			h.some, h.at = min(h.left, unpackAhead), 0
			if err := h.unpackTail(h.ahead[:h.some]); err != nil {
				return err
			}
		}
	}
	return nil
}

// fits says whether data has n values, which are whole groups.
func (h *hybrid) fits(n int) bool { return n/8*h.width <= len(h.data) }

// unpack takes whole groups.
func (h *hybrid) unpack(to []int32) {
	bytes := len(to) / 8 * h.width
	bitpack.Unpack(to, h.data[:bytes:cap(h.data)], uint(h.width))
	h.data, h.left = h.data[bytes:], h.left-len(to)
}

// unpackTail takes some groups, of which the last may be cut off: its other values are 0 then.
func (h *hybrid) unpackTail(to []int32) error {
	if h.fits(len(to)) {
		h.unpack(to)
		return nil
	}
	bytes := len(to) / 8 * h.width
	tail := make([]byte, bytes+padding)
	n := copy(tail, h.data)
	bitpack.Unpack(to, tail[:bytes], uint(h.width))
	h.left, h.data = 0, h.data[n:]
	// Values that are not there must not be taken for zeros.
	h.some = min(h.some, 8*n/h.width)
	if h.some == 0 {
		return errNoValues
	}
	return nil
}
