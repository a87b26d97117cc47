// Package result has what is published and read. A snapshot of package engine gives rows. A Column
// reads one column of them, and a Scanner whole rows into Go structs:
//
//	high, err := result.ColumnOf[float64](p, "high")
//	...
//	for row := range snapshot.All() {
//		fmt.Println(high.Of(row))
//	}
//
// The rest of the package is what snapshots consist of, for package engine and for the partitions
// of package core, and makes no promise that it stays as it is. A partition publishes an Image at
// an epoch: its Groups, pane by pane. A Cut is the images of all partitions at one epoch. Nothing
// in it changes while it is pinned. If groups are scattered over partitions, if a window consists
// of several panes, or if different values are counted, the first goroutine that reads the cut
// merges the groups. Changes tell which groups have changed since another cut. A Sorter keeps the
// records of a plan that passes them through, for its OrderBy.
package result
