//go:build !linux

package arena

import "unsafe"

const pageSize = 4 << 10

const canPopulate = false

// system keeps the memory alive, which belongs to the garbage collector.
type system struct{ words []uint64 }

func (m *mapping) reserve() error { return m.extend(pageSize) }

// extend copies the memory. It doubles the size, because otherwise a region that grows in small
// steps would be copied again and again.
func (m *mapping) extend(size int) error {
	if need := size / 8; need > len(m.system.words) {
		words := make([]uint64, max(need, min(2*len(m.system.words), m.most/8)))
		copy(words, m.system.words)
		m.system.words = words
		m.base = unsafe.Pointer(unsafe.SliceData(words))
	}
	return nil
}

func (m *mapping) release() { m.system.words = nil }

func (m *mapping) askFor(int, int) bool { return false }

func (m *mapping) prepare(int, int, bool) {}

func makeRoom(int) {}

// EmptyPool does nothing: there is no pool here.
func EmptyPool() {}
