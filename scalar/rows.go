package scalar

import (
	"errors"

	"github.com/velo-engine/velo/core/expr"
)

// A function that is written for rows is called in a loop over the rows of a block.

// keep notes the error of a row.
func keep(b *Block, i int, err error) {
	if errors.Is(err, Null) {
		b.SetNull(i)
		return
	}
	b.Fail(i, err)
}

// end is the free end of the buffer of a block, which has no bytes yet. An Append gets it and not
// the whole buffer, so that one that cuts off what it was given cannot spoil the texts of other
// rows.
func end(b *Block) []byte {
	buffer := b.Buffer()
	return buffer[len(buffer):]
}

// appended takes the text that an Append has made for a row, at the end of the buffer or elsewhere.
func appended(b *Block, i int, text []byte, err error) {
	if err != nil {
		keep(b, i, err)
		return
	}
	buffer := b.Buffer()
	n := len(buffer)
	if len(text) > 0 && len(text) <= cap(buffer)-n {
		whole := buffer[:n+len(text)]
		if &whole[n] == &text[0] {
			b.Take(i, whole)
			return
		}
	}
	b.Take(i, append(buffer, text...))
}

// some is the value of an argument, nil if it is NULL.
func some[T any](b *Block, argument, i int, values []T) *T {
	if b.IsNull(argument, i) {
		return nil
	}
	return &values[i]
}

func (s Spec[A, R]) function(u expr.UserSpec) *Func {
	block := s.Block
	switch {
	case s.Row != nil:
		block = func(b *Block, x []A, to []R) {
			for i := range x {
				b.At(i)
				v, err := s.Row(x[i])
				to[i] = v
				if err != nil {
					keep(b, i, err)
				}
			}
		}
	case s.Optional != nil:
		block = func(b *Block, x []A, to []R) {
			for i := range x {
				b.At(i)
				v, err := s.Optional(some(b, 0, i, x))
				to[i] = v
				if err != nil {
					keep(b, i, err)
				}
			}
		}
	case s.Append != nil:
		block = func(b *Block, x []A, _ []R) {
			for i := range x {
				b.At(i)
				text, err := s.Append(end(b), x[i])
				appended(b, i, text, err)
			}
		}
	}
	return expr.NewUser1(u, block)
}

func (s Spec2[A, B, R]) function(u expr.UserSpec) *Func {
	block := s.Block
	switch {
	case s.Row != nil:
		block = func(b *Block, x []A, y []B, to []R) {
			for i := range x {
				b.At(i)
				v, err := s.Row(x[i], y[i])
				to[i] = v
				if err != nil {
					keep(b, i, err)
				}
			}
		}
	case s.Optional != nil:
		block = func(b *Block, x []A, y []B, to []R) {
			for i := range x {
				b.At(i)
				v, err := s.Optional(some(b, 0, i, x), some(b, 1, i, y))
				to[i] = v
				if err != nil {
					keep(b, i, err)
				}
			}
		}
	case s.Append != nil:
		block = func(b *Block, x []A, y []B, _ []R) {
			for i := range x {
				b.At(i)
				text, err := s.Append(end(b), x[i], y[i])
				appended(b, i, text, err)
			}
		}
	}
	return expr.NewUser2(u, block)
}

func (s Spec3[A, B, C, R]) function(u expr.UserSpec) *Func {
	block := s.Block
	switch {
	case s.Row != nil:
		block = func(b *Block, x []A, y []B, z []C, to []R) {
			for i := range x {
				b.At(i)
				v, err := s.Row(x[i], y[i], z[i])
				to[i] = v
				if err != nil {
					keep(b, i, err)
				}
			}
		}
	case s.Optional != nil:
		block = func(b *Block, x []A, y []B, z []C, to []R) {
			for i := range x {
				b.At(i)
				v, err := s.Optional(some(b, 0, i, x), some(b, 1, i, y), some(b, 2, i, z))
				to[i] = v
				if err != nil {
					keep(b, i, err)
				}
			}
		}
	case s.Append != nil:
		block = func(b *Block, x []A, y []B, z []C, _ []R) {
			for i := range x {
				b.At(i)
				text, err := s.Append(end(b), x[i], y[i], z[i])
				appended(b, i, text, err)
			}
		}
	}
	return expr.NewUser3(u, block)
}
