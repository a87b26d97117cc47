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
// A block is read into a buffer of the reader's own. Fields are found by looking at eight bytes at a time (SWAR); strings are lent
// to the batch as views into the buffer, numbers are converted into the batch's columns. Nothing is allocated per batch.
//
// A record that does not fit the schema goes to quarantine with its offset and the reason; the records around it are right. Its
// line is counted only when somebody asks.
//
// # What is not here
//
// Quotes: a field that begins with one is refused, not misread. Compression, other formats, sources that never end.
package readers
