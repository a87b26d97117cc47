package parquet

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// # What a file may make us allocate
//
// Footers and page headers are written in Thrift's compact protocol. A decoder makes a list as long
// as the text says before it reads the first element, so a damaged length of a few bytes can ask
// for gigabytes. So the text is walked through first, without decoding anything: every length must
// fit into what is left of the text.

// The types of Thrift's compact protocol.
const (
	thriftStop = iota
	thriftTrue
	thriftFalse
	thriftByte
	thriftI16
	thriftI32
	thriftI64
	thriftDouble
	thriftBinary
	thriftList
	thriftSet
	thriftMap
	thriftStruct
)

// maxThriftDepth bounds how deep values may lie in others. The format has ten levels at most.
const maxThriftDepth = 32

// errThriftShort says that a text ends before its struct does.
var errThriftShort = errors.New("the text ends too early")

// thriftLength is the length of the struct that a text begins with. The error wraps errThriftShort
// if the text might go on.
func thriftLength(text []byte) (int, error) {
	w := thriftWalk{text: text}
	if err := w.structure(0); err != nil {
		return 0, err
	}
	return w.at, nil
}

// thriftWalk walks through a text.
type thriftWalk struct {
	text []byte
	at   int
}

func (w *thriftWalk) byte() (byte, error) {
	if w.at >= len(w.text) {
		return 0, errThriftShort
	}
	w.at++
	return w.text[w.at-1], nil
}

func (w *thriftWalk) varint() (uint64, error) {
	v, n := binary.Uvarint(w.text[w.at:])
	switch {
	case n == 0:
		return 0, errThriftShort
	case n < 0:
		return 0, errors.New("a number has more than 64 bits")
	}
	w.at += n
	return v, nil
}

// skip passes over bytes.
func (w *thriftWalk) skip(n uint64) error {
	if n > uint64(len(w.text)-w.at) {
		return errThriftShort
	}
	w.at += int(n)
	return nil
}

// structure walks through a struct.
func (w *thriftWalk) structure(depth int) error {
	if depth > maxThriftDepth {
		return fmt.Errorf("values lie more than %d levels deep", maxThriftDepth)
	}
	for {
		head, err := w.byte()
		if err != nil {
			return err
		}
		kind := head & 15
		if kind == thriftStop {
			return nil
		}
		if head>>4 == 0 { // the number of the field follows
			if _, err := w.varint(); err != nil {
				return err
			}
		}
		if kind == thriftTrue || kind == thriftFalse {
			continue // the head has the value
		}
		if err := w.value(kind, depth); err != nil {
			return err
		}
	}
}

// value walks through a value of a kind.
func (w *thriftWalk) value(kind byte, depth int) error {
	switch kind {
	case thriftTrue, thriftFalse, thriftByte:
		return w.skip(1)
	case thriftI16, thriftI32, thriftI64:
		_, err := w.varint()
		return err
	case thriftDouble:
		return w.skip(8)
	case thriftBinary:
		n, err := w.varint()
		if err != nil {
			return err
		}
		return w.skip(n)
	case thriftList, thriftSet:
		return w.list(depth)
	case thriftStruct:
		return w.structure(depth + 1)
	}
	return fmt.Errorf("%d is no type of a value", kind) // the format has no maps
}

// list walks through a list.
func (w *thriftWalk) list(depth int) error {
	if depth > maxThriftDepth {
		return fmt.Errorf("values lie more than %d levels deep", maxThriftDepth)
	}
	head, err := w.byte()
	if err != nil {
		return err
	}
	kind, n := head&15, uint64(head>>4)
	if n == 15 {
		n, err = w.varint()
		if err != nil {
			return err
		}
	}
	if n > uint64(len(w.text)-w.at) { // an element has at least one byte
		return errThriftShort
	}
	for range n {
		if err := w.value(kind, depth+1); err != nil {
			return err
		}
	}
	return nil
}
