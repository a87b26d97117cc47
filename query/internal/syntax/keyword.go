package syntax

// longestKeyword is the length of the longest keyword, MILLISECONDS.
const longestKeyword = 12

// A keyword is a word that the grammar mentions. Most are names wherever a name can be.
type keyword struct {
	word string
	use  use
}

// use says in which places a keyword is a name all the same.
type use uint8

const (
	// free words are names everywhere: columns are called at, size, value, type, date, count,
	// window.
	free use = iota
	// labelled words are names, but after a column or a table that has no AS they begin the next
	// clause: SELECT a FROM t OFFSET 5.
	labelled
	// reserved words are names only in quotes, after AS or after a dot. All of them are reserved in
	// PostgreSQL too, except LIKE and its relatives, which cannot be names of columns there either.
	reserved
)

var keywords = func() map[string]keyword {
	all := map[string]keyword{}
	for use, words := range map[use][]string{
		reserved: {
			"ALL", "AND", "AS", "ASC", "BOTH", "CASE", "CAST", "CHECK", "CONSTRAINT", "CREATE", "DESC", "DISTINCT",
			"ELSE", "END", "EXCEPT", "FALSE", "FOR",
			"FOREIGN", "FROM", "GROUP", "HAVING", "ILIKE", "IN", "INTERSECT", "INTO", "IS", "LEADING", "LIKE", "LIMIT",
			"NOT", "NULL", "OR", "ORDER",
			"PRIMARY", "SELECT", "THEN", "TRAILING", "TRUE", "UNION", "UNIQUE", "WHEN", "WHERE", "WITH",
		},
		labelled: {
			"BETWEEN", "COLLATE", "CROSS", "ESCAPE", "FETCH", "FULL", "INNER", "ISNULL", "JOIN", "LATERAL", "LEFT",
			"NATURAL", "NOTNULL", "OFFSET", "ON", "OVER",
			"PARTITION", "QUALIFY", "RIGHT", "SIMILAR", "TABLESAMPLE", "USING",
		},
		free: {
			"ARRAY", "AT", "BY", "CHANGES", "CHARACTER", "CLOSE", "CUMULATE", "CURRENT", "DATA", "DATE", "DAY", "DAYS",
			"DESCRIPTOR", "DOUBLE", "EMIT", "ENCODE",
			"EXISTS", "EXPLAIN", "EXTRACT", "FILTER", "FINAL", "FIRST", "FORMAT", "GAP", "HOP", "HOUR", "HOURS", "IF",
			"INSERT", "INTERVAL", "KEY", "LAST",
			"LOCAL", "MATERIALIZED", "NEXT", "ONLY", "OVERLAY", "PLACING", "SYMMETRIC",
			"MILLISECOND", "MILLISECONDS", "MINUTE", "MINUTES", "MONTH", "MONTHS", "NULLS", "POSITION",
			"PRECISION", "QUARTER", "QUARTERS", "ROW",
			"ROWS", "SECOND", "SECONDS", "SESSION", "SINK", "SIZE", "SLIDE", "SOURCE", "STEP", "SUBSTRING", "TABLE",
			"TIME", "TIMECOL", "TIMESTAMP",
			"TIMESTAMPTZ", "TO", "TRIM", "TUMBLE", "UNKNOWN", "VARYING", "VIEW", "WATERMARK", "WEEK", "WEEKS", "WINDOW",
			"WITHIN", "WITHOUT", "YEAR", "YEARS", "ZONE",
		},
	} {
		for _, w := range words {
			all[w] = keyword{w, use}
		}
	}
	return all
}()
