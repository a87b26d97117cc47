// Package parquet reads files of Parquet, straight into the columns of batches, and writes them. A
// main package that imports it has the source, the sink and the format "parquet" (see package
// connect).
//
//	s, err := parquet.Open([]string{"a.parquet", "b.parquet"})
//	columns, left, err := s.Columns() // what the files have
//	err = s.Bind(schema)              // what is wanted of it
//	engine.Start(ctx, engine.Config{Readers: s.Readers(4), ...})
//
// # A file
//
//	"PAR1"
//	row group 0:  column 0: dictionary page?, page, page, ...   a column chunk
//	              column 1: ...
//	row group 1:  ...
//	footer: the schema, and where each column chunk lies
//	length of the footer, "PAR1"
//
// A row group is what one reader reads at a time; the readers of a query take the next one from a
// counter. Pages of the columns of a row group end at other rows each, so a batch has as many rows
// as all pages at hand have, and at most its capacity.
//
// # A page
//
//	packed bytes --unpack--> levels (which rows have a value), values
//
// Levels and places in a dictionary are numbers in runs and packed bits. They are unpacked as far
// as a batch needs them, in the first-level cache, and never for the whole page. Plain values are
// copied as bytes. Texts are not copied: their views are of the page or of the dictionary, which
// are lent to the batch. What was written in other encodings (deltas, streams) is decoded page by
// page.
//
// # What a library does, and what it does not
//
// The footer and the page headers are decoded by github.com/parquet-go/parquet-go, bits are
// unpacked by its sister bitpack, and compression is done by the libraries for that. Pages are read
// here, for two reasons. That library's reader trusts a damaged file: it allocates what a header
// says, and doubles a buffer without an end for a damaged page of LZ4. And it decodes whole pages,
// which then have to be read again from a farther cache.
//
// # Writing
//
// An Encoder writes one file; which file, when it is complete and what is left after a crash is
// what writers.File does with every format (see file_sealed.go there):
//
//	writers.NewFile(writers.FileConfig{
//		Path:   "out-{n}.parquet",
//		Encode: func(to io.Writer) writers.Encoder { return parquet.NewEncoder(to, parquet.EncoderConfig{}) },
//	})
//
// Pages, statistics and the footer are the library's.
//
// # What goes wrong
//
//	a damaged footer, header or page     an error that ends the source: which row group, column, page
//	a value that does not fit its type   the record is set aside, with its row
//	a file that was replaced             an error, when it is opened and after a restart
//	a panic of a decoder                 an error like that of a damaged page
//
// # What is not here
//
// Repeated fields, encrypted files, bloom filters, and statistics: a WHERE does not leave out row
// groups.
package parquet
