//go:build !purego

package core

import "github.com/velo-engine/velo/internal/pick"

// have512 says that the rows of a pane are picked eight at a time. It is a variable so that tests
// can run both ways.
var have512 = pick.Have512

// equal512 notes, with a bit for each, which of 8*blocks words are the same as word.
//
//go:noescape
func equal512(mask *[stripeRows / 64]uint64, words *uint64, word uint64, blocks int)
