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

// system is what Linux needs to know about a mapping.
type system struct {
	mapped     unsafe.Pointer // where the mapping begins, at or below base
	mappedSize int

	// gone is held while pages are populated and while they are unmapped, off the data path.
	gone   sync.Mutex
	freed  bool
	pieces int64 // largest number of pieces that the kernel has the mapping in
}

// A mapping is in one piece for each range with other rights or other advice: what may be touched
// and what may not. In a large mapping the part after the first huge page is a piece too. A mapping
// of which nothing may be touched yet forms one piece with its neighbours.
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

// reserve reserves addresses without memory. The kernel does not account for pages that may not be
// touched, however strict it is. The mapping is longer than needed, so that the base can lie on a
// huge page.
func (m *mapping) reserve() error {
	if m.adopt() {
		return nil
	}
	m.system.mappedSize = m.most + hugePage
	p, err := unix.MmapPtr(-1, 0, nil, uintptr(m.system.mappedSize), unix.PROT_NONE,
		unix.MAP_ANON|unix.MAP_PRIVATE|unix.MAP_NORESERVE)
	if err != nil {
		return err
	}
	m.system.mapped = p
	m.base = unsafe.Add(p, -uintptr(p)&(hugePage-1))
	return nil
}

func (m *mapping) extend(size int) error {
	if err := m.takeSmall(); err != nil {
		return err
	}
	if size > hugePage && m.takeLarge() {
		m.adviseHuge()
	}
	return unix.Mprotect(m.bytes(m.size, size), unix.PROT_READ|unix.PROT_WRITE)
}

// takeSmall and takeLarge count the pieces of a mapping: takeSmall when it begins, takeLarge when
// it becomes larger than a huge page. takeLarge says whether it has just become that large.
func (m *mapping) takeSmall() error {
	if m.system.pieces > 0 {
		return nil
	}
	err := takePieces(smallPieces, maxPieces)
	if err == nil {
		m.system.pieces = smallPieces
	}
	return err
}

func (m *mapping) takeLarge() bool {
	if m.system.pieces != smallPieces || takePieces(largePieces-smallPieces, maxPieces) != nil {
		return false
	}
	m.system.pieces = largePieces
	return true
}

// adviseHuge asks the kernel for huge pages after the first one. The first one stays in small
// pages, because many regions are small. This is only advice: an error changes nothing except the
// speed.
func (m *mapping) adviseHuge() { unix.Madvise(m.bytes(hugePage, m.most), unix.MADV_HUGEPAGE) }

// askFor makes the housekeeper prepare [from, to), which are whole huge pages. It returns false if
// that is not possible.
func (m *mapping) askFor(from, to int) bool {
	if m.takeSmall() != nil {
		return false
	}
	return post(job{m, from, to, m.takeLarge()})
}

func (m *mapping) release() {
	m.system.gone.Lock()
	defer m.system.gone.Unlock()
	m.system.freed = true
	if m.keep() {
		return
	}
	unix.MunmapPtr(m.system.mapped, uintptr(m.system.mappedSize))
	pieces.Add(-m.system.pieces)
}

// canPopulate says whether the kernel makes pages present when it is asked to (since Linux 5.14).
var canPopulate = func() bool {
	p, err := unix.MmapPtr(-1, 0, nil, uintptr(pageSize), unix.PROT_READ|unix.PROT_WRITE,
		unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return false
	}
	defer unix.MunmapPtr(p, uintptr(pageSize))
	return unix.Madvise(unsafe.Slice((*byte)(p), pageSize), unix.MADV_POPULATE_WRITE) == nil
}()

// together is how many huge pages are made present at a time, each on a thread of its own. A
// goroutine that waits for them leaves its processor to that work.
const together = 2

// prepare makes [from, to) usable and its pages present. It does not change their content. The
// housekeeper does not report an error: the code that uses the pages gets it from Grow, or then
// makes the kernel do what it can.
func (m *mapping) prepare(from, to int, huge bool) {
	usable := false
	for at := from; at < to; at += together * hugePage {
		m.system.gone.Lock()
		if m.system.freed {
			m.system.gone.Unlock()
			return
		}
		if at == from {
			if huge {
				m.adviseHuge()
			}
			usable = unix.Mprotect(m.bytes(from, to), unix.PROT_READ|unix.PROT_WRITE) == nil
		}
		makeRoom(together * hugePage)
		end := min(at+together*hugePage, to)
		var others sync.WaitGroup
		for page := at + hugePage; page < end; page += hugePage {
			others.Go(func() { unix.Madvise(m.bytes(page, page+hugePage), unix.MADV_POPULATE_WRITE) })
		}
		unix.Madvise(m.bytes(at, at+hugePage), unix.MADV_POPULATE_WRITE)
		others.Wait()
		m.system.gone.Unlock()
		if !usable {
			m.refused.Store(true)
			return
		}
		m.ready.Store(int64(end))
	}
}

// bytes returns [from, to) of the mapping. The memory may not exist yet, so the slice is only given
// to the kernel.
func (m *mapping) bytes(from, to int) []byte {
	return unsafe.Slice((*byte)(unsafe.Add(m.base, from)), to-from)
}
