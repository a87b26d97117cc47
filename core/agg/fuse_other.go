//go:build !amd64 || purego

package agg

import "unsafe"

var have512, haveWords = false, false

func updateRows512(unsafe.Pointer, *uint64, *uint64, int, *lanes) { panic("agg: no vectors here") }

func updateDoubles512(unsafe.Pointer, *uint64, *uint64, int, *lanes) { panic("agg: no vectors here") }

func updateWords(unsafe.Pointer, *uint64, *uint64, int, *places) int { panic("agg: no assembly here") }

func updateFound(*found) (misses, changed int) { panic("agg: no assembly here") }
