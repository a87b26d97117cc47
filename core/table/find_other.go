//go:build !amd64 || purego

package table

var have512, haveAVX2 = false, false

func lookSlots(*probeSlots) { panic("table: no assembly here") }

func compare512(*probeKeys) int { panic("table: no vectors here") }

func findTags(*probeTags) { panic("table: no assembly here") }
