package record

import "unsafe"

// vectorViews is how many views the assembly looks at together.
const vectorViews = 8

// lastEnd is where the view that ends last ends.
func lastEnd(views []View) (end uint64) {
	if n := len(views) &^ (vectorViews - 1); haveViews512 && n > 0 {
		end = lastEnd512(unsafe.SliceData(views), n)
		views = views[n:]
	}
	for _, v := range views {
		end = max(end, uint64(v.Off)+uint64(v.Len))
	}
	return end
}
