// Package nexmark makes the records of the Nexmark benchmark: an auction house with persons who join it, auctions that they open and bids on these.
//
// The idea, the proportions and the names are those of NEXMark (Tucker, Tufte, Papadimos and Maier, 2002) as Apache Beam's suite has them
// (sdks/java/testing/nexmark), which Flink's and RisingWave's follow.
//
// # Events
//
// Events are numbered. Of each 50, the first is a person, the next three are auctions and the others bids. What an event is depends on the seed and its
// number and on nothing else, so any reader can make any of them, and the records of R readers together are the same for every R. A reader makes the
// records of one stream: the streams have a schema each.
//
// Half of the bids are on the newest auction whose number is a multiple of 100, the others on one of the last 100 or of ten that do not exist yet; three of four are of the newest person
// whose number is one more than a multiple of 100. A price is 10 to a power that is uniform from 2 to 8: cents.
//
// Event time rises evenly, by Config.Rate. With Config.Disorder each record has a time that lies up to so much before its turn: so no record comes later than that
// behind one with a greater time, whatever the number of readers, and a watermark that lags by it makes none late.
//
// # What is otherwise
//
// Beam's records carry a text of padding, and persons a credit card and an address: no query reads them, and they are left out, as is the address of a bid's page. A channel is one of 1,000 and not of
// 10,000. A price is interpolated in a table of powers. Beam delays a tenth of the records by up to three seconds of the wall clock; here all may be, by event time.
// Beam varies the rate in a sine or a square; here it is constant.
//
// # Queries
//
// Queries has those that one stream can answer. Not here: the joins (q3, q4, q6, q8, q9, q20), and the answers: bench/peers/nexmark compares them with DuckDB's, package bench with a
// map's.
package nexmark
