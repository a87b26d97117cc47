// Package lookup has the tables that a plan joins its records with: rows that change seldom, found
// by their key, such as the accounts beside a stream of trades.
//
//	accounts, err := lookup.New(lookup.Config{
//		Schema:  schema,                // accounts(id bigint, tier text, rate double precision)
//		Key:     []string{"id"},
//		Load:    func(ctx context.Context, b *lookup.Builder) error { ... b.Append(batch) ... },
//		Refresh: time.Minute,
//	})
//	plan, err := query.Catalog{Sources: ..., Tables: []*lookup.Table{accounts}}.Compile(`
//		SELECT a.tier, sum(t.size) FROM trades AS t LEFT JOIN accounts AS a ON t.account = a.id
//		GROUP BY a.tier`)
//
// # Versions
//
// A table has versions. A Version is all rows of one load; it never changes. Load makes a version
// and the table shows it when it is whole: a load that fails changes nothing, and the version
// before it stays. A reader of an engine takes up a newer version when it begins an epoch, so all
// its records between two epochs meet the same version. What has been counted does not change when
// a row of the table does: a join is by the time of processing, as in Flink's and RisingWave's
// temporal joins.
//
// An engine waits, when it starts, until its tables have their first version; without that the
// first records would find nothing. If that load fails, the engine does not start. Later loads are
// tried every Refresh. If they fail, the table goes on with what it has and says so
// (Config.OnEvent, Stats). After MaxStale without a load that succeeded, OnStale decides: go on, or
// end the engines that use the table.
//
// # Keys
//
// The key is unique and never NULL: a load that brings a key twice fails, and the error names both
// lines, if there is one reader that counts them (record.LineCounter) and records are lines there,
// or else the numbers of both records. Texts are compared by bytes. A NULL among the values that
// are looked up finds nothing.
//
// # Memory
//
// The rows of a version lie outside of Go's heap, on huge pages if there are any; the bytes of
// texts lie in it, in one slice without pointers. Both are given back when nothing refers to the
// version. A row takes 8 bytes for each column of a fixed type, 8 bytes and its bytes for a text, 8
// bytes more for each fixed column of the key and 24 for a text of it, and 8 bytes if any column
// may be NULL. A row of 24 bytes takes 32, and a row of 48 or 56 takes 64, so that it lies in one
// cache line. There is room for a quarter more rows. While a table is loaded again, the rows exist
// three times for a moment: in the old version, as they are loaded, and in the new version.
// Config.MaxBytes bounds them.
//
// # Threads
//
// Methods of Table may be called by any goroutine. A Version may be read by any number of them. A
// Builder belongs to the call of Load that it was given to. A Probe belongs to one goroutine.
package lookup
