package nexmark

// Queries are the queries of the suite that velo runs, by their names there, over stream bid. If a
// query of the suite leaves open which of several rows comes out, the one here decides it, so that
// there is one answer.
var Queries = map[string]string{
	// Prices in another currency.
	"q1": `SELECT auction, bidder, 0.908 * price AS price, date_time FROM bid`,

	// The bids on some auctions.
	"q2": `SELECT auction, price FROM bid WHERE auction % 123 = 0`,

	// The auction with the most bids of the last 10 seconds, every 2 seconds. (In the suite, all
	// auctions with that many bids.)
	"q5": `SELECT window_start, window_end, auction, count(*) AS num FROM bid GROUP BY auction, hop(date_time, INTERVAL '2 s', INTERVAL '10 s') ORDER BY num DESC, auction LIMIT 1`,

	// The highest bid of each 10 seconds. (In the suite, a join of the greatest price with the
	// bids: if there are several, all of them.)
	"q7": `SELECT window_start, window_end, max(price) AS price, max_by(auction, price) AS auction, max_by(bidder, price) AS bidder FROM bid GROUP BY tumble(date_time, INTERVAL '10 s')`,

	// The bids of each bidder up to a pause of more than 10 seconds.
	"q11": `SELECT window_start, window_end, bidder, count(*) AS num FROM bid GROUP BY bidder, session(date_time, INTERVAL '10 s')`,

	// The bids of each bidder in each 10 seconds. (In the suite, by the clock.)
	"q12": `SELECT window_start, window_end, bidder, count(*) AS num FROM bid GROUP BY bidder, tumble(date_time, INTERVAL '10 s') ORDER BY bidder`,
}
