// Package readers has the readers that come with velo. All of them can be polled: the engine steps them on the pinned thread that
// routes their rows.
//
//	Generator   seeded records without a file: uniform, Zipf or sequential keys
//	Memory      prepared batches, lent again and again
//	Delimited   files of lines with a delimiter, dealt in blocks to any number of readers
//	NDJSON      files of JSON objects, one a line, dealt the same way
//	Stream      either of them from an io.Reader, or from a file that grows
//	FollowSet   the files of a pattern as they grow, appear and are renamed: a Stream for each
//	Feed        what goroutines of the service send: Go structs, by a lane for each or an Appender
//	Listener    delimited or JSON lines from any number of connections, by TCP or a unix socket
//
// # Delimited files
//
// A schema says what the fields of a line are; a line is a record. The file is cut into blocks of equal size and reader i of R
// takes blocks i, i+R, i+2R ...: neighbouring parts of the file are read at about the same time, so a file that is sorted by
// time moves on as a whole. A record belongs to the block in which its first byte lies:
//
//	|<------- block 0 ------->|<------- block 1 ------->|
//	Berlin;3.1\nParis;7.0\nOsl|o;-2.5\nRome;12.9\nWien;4|.4\n
//	                     ^^^^^^^^^^^ read by the reader of block 0, which reads on into block 1
//
// A block is read into a buffer of the reader's own. The ends of all fields are found first, 64 bytes at a time, then the fields are read column by
// column; strings are lent to the batch as views into the buffer, numbers are converted into the batch's columns. Nothing is
// allocated per batch.
//
// With quotes a newline may be text, so where the first record of a block begins depends on every byte before it:
//
//	|<------- block 0 ------->|<------- block 1 ------->|
//	1,"the first"\n2,"a text t|hat\n3,looks\nlike records"\n4,"no"\n
//	                                                     ^ the first record of block 1
//
// The reader of a block publishes what the block does to each state that it may begin in, and then puts together what the blocks before it do,
// looking itself at those whose readers have not come so far (see quoteState, quoteTable). The file is read from the page cache up to
// twice, and parsed once. Blocks without quotes are parsed as if there were none in the file.
//
// A record that does not fit the schema goes to quarantine with its offset and the reason; the records around it are right. Its
// line is counted only when somebody asks.
//
// # JSON lines
//
// Lines of one program are alike: the same fields, in the same order. So a line is first taken for one of a shape that was there before: an
// index of the places where fields end, as for delimited lines, and the bytes between them that are the same in every line.
//
//	{"time":"2026-01-31T12:30:45Z","price":12.5,"venue":"x"}\n
//	-----------                    ---------    ---------
//
// Column by column, those bytes are compared and the values behind them converted, or lent if they are strings. A line that is
// otherwise is read byte by byte, and teaches its shape; four shapes are kept. Values in values, escapes in names, and whatever is wrong are left to
// that way, which reads all of JSON; escapes are resolved in the buffer.
//
// # Streams
//
// A Stream reads what has no blocks to deal: a pipe, what a compressed file unpacks to (package compressed), a file that others append to. Stretches of
// whole records go from a goroutine that fills them to the reader that parses them, by the same parsers as those of files.
//
// # Connections
//
// A Listener has a goroutine for each connection, that waits for bytes and cuts them into stretches as that of a Stream does, and one parser:
//
//	connection 1 --stretch--\
//	connection 2 ------------> full --> Poll: one parser, one stretch at a time
//	connection 3 --stretch--/           |
//	     ^------------ free <-----------/  to the connection that it came from
//
// A connection has two stretches. When both are full it is not read, and gets its place in the listener back only when both have been parsed: that
// bounds memory however many connections come and go. A stretch is handed over as soon as it has a whole record. Connections are not let in from
// other machines without TLS and a token, which is the first line.
//
// # What is not here
//
// Escapes other than two quotes for one in delimited lines, delimiters of several bytes. Columns that are
// fields of fields in JSON; an array of records. Other formats.
package readers
