package arena

import (
	"os"
	"strconv"
	"strings"
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
	pieces     int64 // that the kernel has it in, at most
}

// A mapping is in as many pieces as have different rights or advice: what may be touched and what may not; of a large one also what is behind the first huge page. One that nothing of may be touched yet
// is in one piece with its neighbours.
const (
	smallPieces = 2
	largePieces = 4
)

// maxPieces is how many pieces a process may have.
var maxPieces = func() int64 {
	text, err := os.ReadFile("/proc/sys/vm/max_map_count")
	n, bad := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err != nil || bad != nil || n <= 0 {
		return 65530 // the kernel's default
	}
	return n
}()

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
	return nil
}

func (m *mapping) extend(size int) error {
	if m.system.pieces == 0 {
		if err := takePieces(smallPieces, maxPieces); err != nil {
			return err
		}
		m.system.pieces = smallPieces
	}
	if size > hugePage && m.system.pieces == smallPieces && takePieces(largePieces-smallPieces, maxPieces) == nil {
		// The first huge page stays in small ones: many regions are small. Advice only: an error changes nothing but the speed.
		m.system.pieces = largePieces
		unix.Madvise(m.bytes(hugePage, m.most), unix.MADV_HUGEPAGE)
	}
	return unix.Mprotect(m.bytes(m.size, size), unix.PROT_READ|unix.PROT_WRITE)
}

func (m *mapping) release() {
	m.system.gone.Lock()
	defer m.system.gone.Unlock()
	m.system.freed = true
	unix.MunmapPtr(m.system.mapped, uintptr(m.system.mappedSize))
	pieces.Add(-m.system.pieces)
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
