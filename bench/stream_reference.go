package bench

import (
	"math"
	"time"

	"github.com/velo-engine/velo/record"
)

// expected has the rows that a Stream has to write. They are computed in the order of time by a
// program that knows the query. It keeps no map of all records, because there may be billions of
// them.
type expected struct {
	checksum
	panes map[int64]*paneSums // by number
	free  []*paneSums
}

// paneSums has the results of the records of a piece of time, by the number of their key; or the
// highest bid.
type paneSums struct {
	n, sum                 []int64
	price, auction, bidder int64
}

// pane is the pane with a number.
func (e *expected) pane(number int64, groups int) *paneSums {
	if p := e.panes[number]; p != nil {
		return p
	}
	var p *paneSums
	if n := len(e.free); n > 0 {
		p, e.free = e.free[n-1], e.free[:n-1]
		clear(p.n)
		clear(p.sum)
		p.price, p.auction, p.bidder = 0, 0, 0
	} else {
		p = &paneSums{n: make([]int64, groups), sum: make([]int64, groups)}
	}
	e.panes[number] = p
	return p
}

// drop gives a pane back.
func (e *expected) drop(number int64) {
	if p := e.panes[number]; p != nil {
		e.free = append(e.free, p)
		delete(e.panes, number)
	}
}

// inTime calls add for each batch that the readers have read, the earliest in time first, with what
// has to be added to the batch's times. Before each of these calls, it calls over with the time up
// to which everything is over.
func (p pass) inTime(reads []uint64, column int, add func(reader, batch int, b *record.Batch, later int64),
	over func(until int64),
) {
	type place struct {
		batch       int
		left        uint64
		begin, pass int64
	}
	least := make([][]int64, len(p.batches)) // least time from each batch on
	places := make([]place, len(p.batches))
	for r, of := range p.batches {
		least[r] = make([]int64, len(of)+1)
		least[r][len(of)] = math.MaxInt64
		for i := len(of) - 1; i >= 0; i-- {
			first := least[r][i+1]
			for _, t := range of[i].Column(column).Int64s[:of[i].Len()] {
				first = min(first, t)
			}
			least[r][i] = first
		}
		for i := range of { // the next pass may begin before the last batches of this one
			least[r][i] = min(least[r][i], least[r][0]+p.span)
		}
		places[r] = place{left: reads[r], begin: least[r][0]}
	}
	for {
		r := -1
		for i := range places {
			if places[i].left > 0 && (r < 0 || places[i].begin < places[r].begin) {
				r = i
			}
		}
		if r < 0 {
			over(math.MaxInt64)
			return
		}
		at := &places[r]
		over(at.begin)
		b := p.batches[r][at.batch]
		add(r, at.batch, b, at.pass*p.span)
		at.left -= min(at.left, uint64(b.Len())) // whole batches are read
		at.batch++
		if at.batch == len(p.batches[r]) {
			at.batch, at.pass = 0, at.pass+1
		}
		at.begin = least[r][at.batch] + at.pass*p.span
	}
}

// floorDiv is the quotient rounded down.
func floorDiv(t, unit int64) int64 {
	q := t / unit
	if t%unit < 0 {
		q--
	}
	return q
}

// expectedKeyed computes count and sum for each key, in each window of this size in which the count
// is not 0.
func expectedKeyed(size int64) func(p pass, reads []uint64) *expected {
	return func(p pass, reads []uint64) *expected {
		number := map[int64]int{}
		var keys []int64
		numbers := make([][][]int32, len(p.batches))
		for r, of := range p.batches {
			for _, b := range of {
				n := make([]int32, b.Len())
				for i, key := range b.Column(1).Int64s[:b.Len()] {
					k, ok := number[key]
					if !ok {
						k = len(keys)
						number[key], keys = k, append(keys, key)
					}
					n[i] = int32(k)
				}
				numbers[r] = append(numbers[r], n)
			}
		}
		e := &expected{panes: map[int64]*paneSums{}}
		write := func(at int64) {
			s := e.panes[at]
			for k, n := range s.n {
				switch {
				case n == 0:
				case size == 0:
					e.add(keys[k], n, s.sum[k])
				default:
					e.add((at+1)*size, keys[k], n, s.sum[k])
				}
			}
			e.drop(at)
		}
		p.inTime(reads, 0, func(reader, batch int, b *record.Batch, later int64) {
			times, values, groups := b.Column(0).Int64s[:b.Len()], b.Column(2).Int64s[:b.Len()], numbers[reader][batch]
			var s *paneSums
			begin, end := int64(math.MaxInt64), int64(math.MinInt64)
			if size == 0 {
				s, begin, end = e.pane(0, len(keys)), math.MinInt64, math.MaxInt64
			}
			for i, t := range times {
				t += later
				if t < begin || t >= end {
					at := floorDiv(t, size)
					s, begin, end = e.pane(at, len(keys)), at*size, (at+1)*size
				}
				s.n[groups[i]]++
				s.sum[groups[i]] += values[i]
			}
		}, func(until int64) {
			for at := range e.panes {
				if until == math.MaxInt64 || size > 0 && (at+1)*size <= until {
					write(at)
				}
			}
		})
		return e
	}
}

// expectedEach computes a row for each record.
func expectedEach(row func(b *record.Batch, i int, later int64, add func(...int64))) func(p pass, reads []uint64) *expected {
	return func(p pass, reads []uint64) *expected {
		e := &expected{}
		p.inTime(reads, 0, func(_, _ int, b *record.Batch, later int64) {
			for i := range b.Len() {
				row(b, i, later, e.add)
			}
		}, func(int64) {})
		return e
	}
}

// expectedQ5 computes the auction with the most bids in the last five pieces of two seconds.
func expectedQ5(p pass, reads []uint64) *expected {
	const slide, panes = int64(2 * time.Second), 5
	groups, least := 0, int64(math.MaxInt64)
	for _, of := range p.batches {
		for _, b := range of {
			for _, auction := range b.Column(0).Int64s[:b.Len()] {
				groups, least = max(groups, int(auction)), min(least, auction)
			}
		}
	}
	groups += 1 - int(least)
	e := &expected{panes: map[int64]*paneSums{}}
	// the last pane of the next window, and the last pane that there was
	next, last := int64(math.MaxInt64), int64(math.MinInt64)
	window := func() {
		var some [panes]*paneSums
		there := false
		for i := range some {
			some[i] = e.panes[next-int64(i)]
			if some[i] != nil {
				there = true
			}
		}
		best, most := 0, int64(0)
		sums := make([]int64, groups)
		for _, s := range some {
			if s != nil {
				for k, n := range s.n {
					sums[k] += n
				}
			}
		}
		for k, n := range sums {
			if n > most {
				best, most = k, n
			}
		}
		if end := (next + 1) * slide; there {
			e.add(end-panes*slide, end, int64(best)+least, most)
		}
		e.drop(next - panes + 1)
		next++
	}
	p.inTime(reads, 4, func(_, _ int, b *record.Batch, later int64) {
		auctions := b.Column(0).Int64s[:b.Len()]
		var s *paneSums
		begin, end := int64(math.MaxInt64), int64(math.MinInt64)
		for i, t := range b.Column(4).Int64s[:b.Len()] {
			t += later
			if t < begin || t >= end {
				at := floorDiv(t, slide)
				s, begin, end = e.pane(at, groups), at*slide, (at+1)*slide
				next, last = min(next, at), max(last, at)
			}
			s.n[auctions[i]-least]++
		}
	}, func(until int64) {
		for next <= last && (next+1)*slide <= until {
			window()
		}
		if until == math.MaxInt64 && last >= next-1 {
			for to := last + panes; next < to; {
				window()
			}
		}
	})
	return e
}

// expectedQ7 computes the highest bid of each ten seconds. If there are several, it takes the
// greatest numbers.
func expectedQ7(p pass, reads []uint64) *expected {
	const size = int64(10 * time.Second)
	e := &expected{panes: map[int64]*paneSums{}}
	p.inTime(reads, 4, func(_, _ int, b *record.Batch, later int64) {
		auctions, bidders, prices := b.Column(0).Int64s[:b.Len()], b.Column(1).Int64s[:b.Len()],
			b.Column(2).Int64s[:b.Len()]
		var s *paneSums
		begin, end := int64(math.MaxInt64), int64(math.MinInt64)
		for i, t := range b.Column(4).Int64s[:b.Len()] {
			t += later
			if t < begin || t >= end {
				at := floorDiv(t, size)
				s, begin, end = e.pane(at, 0), at*size, (at+1)*size
			}
			if price := prices[i]; price > s.price {
				s.price, s.auction, s.bidder = price, auctions[i], bidders[i]
			} else if price == s.price {
				s.auction, s.bidder = max(s.auction, auctions[i]), max(s.bidder, bidders[i])
			}
		}
	}, func(until int64) {
		for at, s := range e.panes {
			if end := (at + 1) * size; end <= until {
				e.add(end-size, end, s.price, s.auction, s.bidder)
				e.drop(at)
			}
		}
	})
	return e
}
