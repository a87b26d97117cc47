//go:build !amd64 || purego

package table

var have512, haveTags = false, false

func find512(*probe512) int { panic("table: no vectors here") }

func first512(*probeFirst) { panic("table: no vectors here") }

func compare512(*probeKeys) int { panic("table: no vectors here") }

func findTags(*probeTags) { panic("table: no vectors here") }
