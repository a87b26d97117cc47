package arena

import (
	"sync"
	"sync/atomic"
)

// The housekeeper is a goroutine that makes pages ready. It exists while there is something to do.
//
// A poster posts a job and then looks at busy. The housekeeper clears busy and then looks for jobs
// once more. Both are sequentially consistent. So either the poster finds busy cleared and starts a
// housekeeper, or the housekeeper finds the job.
var (
	jobs = make(chan job, maxJobs)
	busy atomic.Bool
)

// held is locked while a job is done, off the data path.
var held sync.Mutex

// Hold stops the housekeeper until release is called. It is for tests of code that waits for the
// housekeeper.
func Hold() (release func()) {
	held.Lock()
	return held.Unlock
}

// CanPrepare says whether this system can make memory ready ahead.
func CanPrepare() bool { return canPopulate }

// maxJobs bounds the jobs that wait. A job above that is not posted; its pages come when they are
// touched, or with the next job.
const maxJobs = 1024

// A job is to make [from, to) of a region ready, which are whole huge pages. huge says that huge
// pages shall be used.
type job struct {
	m        *mapping
	from, to int
	huge     bool
}

// post gives the housekeeper a job. It returns false if too many jobs wait.
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
