// Package readers has the readers that come with velo. All of them can be polled: the engine steps
// them on the pinned thread that routes their rows.
//
//	Generator   seeded records without a file: uniform, Zipf or sequential keys
//	Memory      prepared batches, lent again and again
//	Delimited   files of lines with a delimiter, dealt in blocks to any number of readers
//	NDJSON      files of JSON objects, one a line, dealt the same way
//	Stream      either of them from an io.Reader, or from a file that grows
//	FollowSet   the files of a pattern as they grow, appear and are renamed: a Stream for each
//	Feed        Go structs that goroutines of the service send, by a Lane each or an Appender
//	Listener    delimited or JSON lines from any number of connections, by TCP or a unix socket
//
// # Delimited files
//
// A schema says what the fields of a line are; a line is a record. The file is cut into blocks of
// equal size. Reader i of R takes blocks i, i+R, i+2R ..., so that neighbouring parts of the file
// are read at about the same time and a file that is sorted by time advances as a whole. A record
// belongs to the block in which its first byte lies:
//
//	|<------- block 0 ------->|<------- block 1 ------->|
//	Berlin;3.1\nParis;7.0\nOsl|o;-2.5\nRome;12.9\nWien;4|.4\n
//	                     ^^^^^^^^^^^ read by the reader of block 0, which reads on into block 1
//
// A block is read into a buffer of the reader's own. First the ends of all fields are found, 64
// bytes at a time. Then the fields are read column by column: strings are lent to the batch as
// views into the buffer, numbers are converted into the batch's columns. Nothing is allocated per
// batch.
//
// With quotes a newline may be text, so where the first record of a block begins depends on every
// byte before it:
//
//	|<------- block 0 ------->|<------- block 1 ------->|
//	1,"the first"\n2,"a text t|hat\n3,looks\nlike records"\n4,"no"\n
//	                                                     ^ the first record of block 1
//
// The reader of a block publishes how the block changes each state that it may begin in. Then it
// combines the changes of all blocks before it. It scans blocks itself whose readers have not got
// that far (see quoteState, quoteTable). So the file is read from the page cache up to twice, and
// parsed once. Blocks without quotes are parsed as if there were no quotes in the file.
//
// A record that does not fit the schema goes to quarantine with its offset and the reason; the
// records around it are not affected. Its line number is counted only when somebody asks for it.
//
// # JSON lines
//
// Lines that one program writes are alike: the same names come in much the same order. So a line is
// walked from value to value. What comes between two values is compared, as a whole, with what came
// there in earlier lines; what is known is a link:
//
//	{"time":"2026-01-31T12:30:45Z","request":{"method":"GET"},"price":12.5}\n
//	--------                      -----------
//	                                         ----------      ---------
//
// After each value up to four links are tried, so that fields may be missing or come in another
// order. Another text is taken apart byte by byte, and becomes a link itself. Of a value only the
// end is looked for. The values of columns are noted, and converted column by column, or lent if
// they are strings. A line that is unusual, and all errors, are left to the byte-by-byte way, which
// reads all of JSON. Escapes are resolved in the buffer.
//
// # Streams
//
// A Stream reads what has no blocks to deal: a pipe, the output of a decompressor (package
// compressed), a file that others append to. A goroutine fills stretches of whole records and
// passes them to the reader, which parses them with the same parsers as files.
//
// # Connections
//
// A Listener has one parser, and a goroutine for each connection. The goroutine waits for bytes and
// cuts them into stretches, as the goroutine of a Stream does:
//
//	connection 1 --stretch--\
//	connection 2 ------------> full --> Poll: one parser, one stretch at a time
//	connection 3 --stretch--/           |
//	     ^------------ free <-----------/  to the connection that it came from
//
// A connection has two stretches. When both are full the connection is not read, and it gives its
// place in the listener back only when both have been parsed. That bounds memory however many
// connections come and go. A stretch is handed over as soon as it has a whole record. Connections
// from other machines are let in only with TLS and a token, which is their first line.
//
// # What is not here
//
// The readers do not support escapes in delimited lines (other than two quotes for one), delimiters
// of several bytes, arrays of records in JSON, or other formats.
package readers
