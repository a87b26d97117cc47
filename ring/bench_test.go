package ring

import (
	"fmt"
	"runtime"
	"testing"
)

// between runs a producer and a consumer side by side until b.N elements have passed.
func between[T any](b *testing.B, slots int, produce func(p *Producer[T], left int) int, consume func(c *Consumer[T], left int) int) {
	p, c := New[T](slots)
	done := make(chan struct{})
	b.ReportAllocs()
	b.ResetTimer()
	go func() {
		defer close(done)
		for left := b.N; left > 0; {
			n := produce(p, left)
			if n == 0 {
				runtime.Gosched()
			}
			left -= n
		}
		p.Flush()
	}()
	for left := b.N; left > 0; {
		n := consume(c, left)
		if n == 0 {
			runtime.Gosched()
		}
		left -= n
	}
	<-done
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds()/1e6, "M/s")
}

// Eight-byte elements one by one, beside a Go channel.
func BenchmarkSingle(b *testing.B) {
	b.Run("impl=ring", func(b *testing.B) {
		between(b, 4096, func(p *Producer[uint64], left int) (n int) {
			for n < min(left, 1024) && p.Push(uint64(n)) {
				n++
			}
			return n
		}, func(c *Consumer[uint64], left int) (n int) {
			for n < min(left, 1024) {
				if _, ok := c.Pop(); !ok {
					break
				}
				n++
			}
			return n
		})
	})
	b.Run("impl=channel", func(b *testing.B) {
		ch := make(chan uint64, 4096)
		go func() {
			for i := range b.N {
				ch <- uint64(i)
			}
		}()
		for range b.N {
			<-ch
		}
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds()/1e6, "M/s")
	})
}

// Eight-byte elements in batches.
func BenchmarkBatch(b *testing.B) {
	for _, size := range []int{64, 256} {
		b.Run(fmt.Sprintf("copied/size=%d", size), func(b *testing.B) {
			src, dst := make([]uint64, size), make([]uint64, size)
			between(b, 4096, func(p *Producer[uint64], left int) int { return p.PushN(src[:min(left, size)]) },
				func(c *Consumer[uint64], left int) int { return c.PopN(dst[:min(left, size)]) })
		})
		b.Run(fmt.Sprintf("in-place/size=%d", size), func(b *testing.B) {
			var sum uint64
			between(b, 4096, func(p *Producer[uint64], left int) int {
				s := p.Reserve(min(left, size))
				for i := range s {
					s[i] = uint64(i)
				}
				p.Commit(len(s))
				return len(s)
			}, func(c *Consumer[uint64], left int) int {
				s := c.Peek(min(left, size))
				for _, v := range s {
					sum += v
				}
				c.Release(len(s))
				return len(s)
			})
			runtime.KeepAlive(sum)
		})
	}
}
