package arena

import (
	"sync"
	"sync/atomic"
)

// The housekeeper is a goroutine that makes pages ready. It is there while there is something to do.
//
// A job is posted, then `busy` is looked at; the housekeeper clears busy, then looks for jobs once more. Both are sequentially consistent, so
// either the poster finds busy cleared and starts a housekeeper, or the housekeeper finds the job.
var (
	jobs = make(chan job, maxJobs)
	busy atomic.Bool
)

// held is locked while a job is done: off the data path.
var held sync.Mutex

// Hold has the housekeeper do nothing until release is called, for tests of what waits for it.
func Hold() (release func()) {
	held.Lock()
	return held.Unlock
}

// CanPrepare says whether memory is made ready ahead on this system at all.
func CanPrepare() bool { return canPopulate }

// maxJobs bounds the jobs that wait. One more is not posted, and its pages come when they are touched or with the next.
const maxJobs = 1024

// job is to make [from, to) of a region ready, whole huge pages; huge says that they shall be those.
type job struct {
	m        *mapping
	from, to int
	huge     bool
}

// post gives the housekeeper a job. False says that it has too many.
func post(j job) bool {
	select {
	case jobs <- j:
	default:
		return false
	}
	if busy.CompareAndSwap(false, true) {
		go housekeep()
	}
	return true
}

func housekeep() {
	for {
		select {
		case j := <-jobs:
			held.Lock()
			j.m.prepare(j.from, j.to, j.huge)
			held.Unlock()
		default:
			busy.Store(false)
			if len(jobs) == 0 || !busy.CompareAndSwap(false, true) {
				return
			}
		}
	}
}
