package arena

import "sync/atomic"

// The housekeeper is a goroutine that makes pages present. It is there while there is something to do.
//
// A job is posted, then `busy` is looked at; the housekeeper clears busy, then looks for jobs once more. Both are sequentially consistent, so
// either the poster finds busy cleared and starts a housekeeper, or the housekeeper finds the job.
var (
	jobs = make(chan job, maxJobs)
	busy atomic.Bool
)

// maxJobs bounds the jobs that wait. One more is not posted, and its pages come when they are touched or with the next.
const maxJobs = 1024

// job is to make the pages of [from, to) of a region present.
type job struct {
	m        *mapping
	from, to int
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
			j.m.touch(j.from, j.to)
		default:
			busy.Store(false)
			if len(jobs) == 0 || !busy.CompareAndSwap(false, true) {
				return
			}
		}
	}
}
