package groupkey

import (
	"math/rand/v2"
	"syscall"
	"testing"
)

// eachText runs a test with columns of every length, in memory with nothing before it or nothing
// after: reading there is a fault.
func eachText(t *testing.T, test func(t *testing.T, text []byte)) {
	page := syscall.Getpagesize()
	m, err := syscall.Mmap(-1, 0, 3*page, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Munmap(m)
	middle := m[page : 2*page]
	rng := rand.New(rand.NewPCG(1, 5))
	for i := range middle {
		middle[i] = byte(rng.Uint32())
	}
	for _, none := range [][]byte{m[:page], m[2*page:]} {
		if err := syscall.Mprotect(none, syscall.PROT_NONE); err != nil {
			t.Fatal(err)
		}
	}
	for n := range 130 {
		test(t, middle[:n])
		test(t, middle[page-n:])
	}
}
