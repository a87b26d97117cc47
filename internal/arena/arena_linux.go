package arena

import (
	"os"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

var pageSize = os.Getpagesize()

// system is what Linux has to know of a mapping.
type system struct {
	mapped     unsafe.Pointer // where the mapping begins, below base
	mappedSize int
	gone       sync.Mutex // held while pages are populated and while they are unmapped: off the data path
	freed      bool
}

// reserve reserves addresses without memory: pages that may not be touched are not accounted by the kernel, however strict it is. The mapping
// is as much longer as lets the base lie on a huge page.
func (m *mapping) reserve() error {
	m.system.mappedSize = m.most + hugePage
	p, err := unix.MmapPtr(-1, 0, nil, uintptr(m.system.mappedSize), unix.PROT_NONE, unix.MAP_ANON|unix.MAP_PRIVATE|unix.MAP_NORESERVE)
	if err != nil {
		return err
	}
	m.system.mapped = p
	m.base = unsafe.Add(p, -uintptr(p)&(hugePage-1))
	// The first huge page stays in small ones: many regions are small. Advice only: an error changes nothing but the speed.
	unix.Madvise(m.bytes(hugePage, m.most), unix.MADV_HUGEPAGE)
	return nil
}

func (m *mapping) extend(size int) error {
	return unix.Mprotect(m.bytes(m.size, size), unix.PROT_READ|unix.PROT_WRITE)
}

func (m *mapping) release() {
	m.system.gone.Lock()
	defer m.system.gone.Unlock()
	m.system.freed = true
	unix.MunmapPtr(m.system.mapped, uintptr(m.system.mappedSize))
}

// canPopulate says whether the kernel makes pages present when asked (Linux 5.14).
var canPopulate = func() bool {
	p, err := unix.MmapPtr(-1, 0, nil, uintptr(pageSize), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return false
	}
	defer unix.MunmapPtr(p, uintptr(pageSize))
	return unix.Madvise(unsafe.Slice((*byte)(p), pageSize), unix.MADV_POPULATE_WRITE) == nil
}()

// touch makes the pages of [from, to) present. It does not change what is in them.
func (m *mapping) touch(from, to int) {
	for ; from < to; from += hugePage {
		m.system.gone.Lock()
		if !m.system.freed {
			unix.Madvise(m.bytes(from, from+hugePage), unix.MADV_POPULATE_WRITE)
		}
		m.system.gone.Unlock()
		m.present.Store(int64(from + hugePage)) // counts, orders nothing
	}
}

// bytes is [from, to) of the mapping, which may not be there yet: only the kernel is given it.
func (m *mapping) bytes(from, to int) []byte {
	return unsafe.Slice((*byte)(unsafe.Add(m.base, from)), to-from)
}
