// Package nexmark makes the records of the Nexmark benchmark: an auction house with persons who
// join it, auctions that they open, and bids on these.
//
// The idea, the proportions and the names come from NEXMark (Tucker, Tufte, Papadimos and Maier,
// 2002) as Apache Beam's suite has them (sdks/java/testing/nexmark), which Flink's and RisingWave's
// suites follow.
//
// # Events
//
// Events are numbered. Of each 50, the first is a person, the next three are auctions and the
// others bids. What an event is depends only on the seed and its number. So any reader can make any
// of them, and the records of R readers together are the same for every R. A reader makes the
// records of one stream; each stream has a schema of its own.
//
// Half of the bids are on the newest auction whose number is a multiple of 100. The others are on
// one of the last 100 auctions or of ten that do not exist yet. Three of four bids come from the
// newest person whose number is one more than a multiple of 100. A price, in cents, is 10 to a
// power that is uniform from 2 to 8.
//
// Event time rises evenly, by Config.Rate. With Config.Disorder each record has a time that lies up
// to that much before its turn. So no record comes later than that after one with a greater time,
// whatever the number of readers, and with a watermark that lags by it no record is late.
//
// # What is different
//
// Beam's records carry a text of padding, and persons a credit card and an address. No query reads
// them, so they are left out, and so is the address of a bid's page. A channel is one of 1,000 and
// not of 10,000. A price is interpolated in a table of powers. Beam delays a tenth of the records
// by up to three seconds of the wall clock; here all records may be delayed, by event time. Beam
// varies the rate in a sine or a square; here it is constant.
//
// # Queries
//
// Queries has those that one stream can answer. The joins (q3, q4, q6, q8, q9, q20) are not here.
// The answers are not here either: bench/peers/nexmark compares them with DuckDB's, and package
// bench with a map's.
package nexmark
