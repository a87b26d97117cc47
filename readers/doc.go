// Package readers has the readers that come with velo. All of them can be polled: the engine steps them on the pinned thread that
// routes their rows.
//
//	Generator   seeded records without a file: uniform, Zipf or sequential keys
//	Memory      prepared batches, lent again and again
//	Delimited   files of lines with a delimiter, dealt in blocks to any number of readers
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
// # What is not here
//
// Escapes other than two quotes for one, delimiters of several bytes, a byte order mark (it is part of the first field). Compression, other
// formats, sources that never end.
package readers
