package main

import (
	"slices"
	"time"
)

// A sample is one value and the floors around it, in ns; a floor is 0 if there is none.
type sample struct {
	value, before, after float64
}

const (
	floorTime = 2 * time.Millisecond // time for one look at the floor
	// floorBand is the factor up to which two floors count as the same: two or three times their
	// variation in one place.
	floorBand = 1.35
	// floorShare says that at least one of this many looks must be around the common floor.
	floorShare = 4
)

// around says whether a floor is about the same as another.
func around(floor, common float64) bool {
	return floor <= common*floorBand && common <= floor*floorBand
}

// floor is how long a round trip between the two CPUs takes now at the least: one word there, one
// back.
func (s *stage) floor() (float64, error) {
	return s.roundTrip(&peer{}, newWord(0), newWord(0), floorTime)
}

// hasFloor says whether the floor means something: there are two CPUs, and the threads are pinned.
func (s *stage) hasFloor() bool { return !s.yields && s.cpus[0] >= 0 }

// commonFloor is the lowest floor that a good part of all looks lie around. It is 0 if there were
// no looks.
func commonFloor(all []*measurement) float64 {
	var floors []float64
	for _, m := range all {
		for _, v := range m.taken {
			if v.before > 0 {
				floors = append(floors, v.before, v.after)
			}
		}
	}
	slices.Sort(floors)
	// from counts the floors from the i-th on that are the same.
	from := func(i int) (n int) {
		for i+n < len(floors) && floors[i+n] <= floors[i]*floorBand {
			n++
		}
		return n
	}
	for i := range floors {
		n := from(i)
		if n*floorShare < len(floors) {
			continue
		}
		// Go on to where they lie densest: the first floor with a sufficient share reaches the
		// dense part only with its upper end.
		for i+1 < len(floors) && from(i+1) >= n {
			i++
			n = from(i)
		}
		return floors[i+n/2]
	}
	return 0
}

// await waits until the floor is about common, or the deadline.
func (s *stage) await(common float64, deadline time.Time) error {
	for time.Now().Before(deadline) {
		now, err := s.floor()
		if err != nil || around(now, common) {
			return err
		}
		time.Sleep(50 * time.Millisecond)
	}
	return nil
}

// at returns the values taken at a floor. It includes values without a floor, and all values if
// common is 0.
func (m *measurement) at(common float64) (values []float64) {
	for _, v := range m.taken {
		if common == 0 || v.before == 0 || around(v.before, common) && around(v.after, common) {
			values = append(values, v.value)
		}
	}
	return values
}
