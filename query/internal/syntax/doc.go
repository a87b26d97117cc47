// Package syntax turns the text of continuous SQL into a tree, and a tree into text. It knows no
// schemas and no types: package query binds the tree.
//
// # Statements
//
//	statement = select | explain | source | sink | insert
//	select    = SELECT [DISTINCT] item {, item} FROM table [WHERE expr]
//	            [GROUP BY expr {, expr}] [HAVING expr] [ORDER BY order {, order}]
//	            [LIMIT (n | ALL)] [OFFSET n] [EMIT (CHANGES | FINAL | ON WINDOW CLOSE)]
//	item      = expr [[AS] name] | * | name.*
//	table     = name | "path" | 'path' | window | TABLE(window), followed by [AS] alias
//	window    = (TUMBLE | HOP | CUMULATE | SESSION)(data, column, interval {, interval}),
//	            where data is a name or TABLE name, and column a name or DESCRIPTOR(name)
//	order     = expr [ASC | DESC] [NULLS (FIRST | LAST)]
//	explain   = EXPLAIN statement
//	source    = CREATE (SOURCE | TABLE) [IF NOT EXISTS] name
//	            (column {, column} [, WATERMARK FOR name AS expr]) [WITH (options)]
//	sink      = CREATE SINK [IF NOT EXISTS] name (FROM name | AS select) [WITH (options)]
//	insert    = INSERT INTO name select
//
// # Expressions
//
// Expressions are PostgreSQL's, with its precedence. From loosest to tightest: OR; AND; NOT; IS;
// comparisons; BETWEEN, IN, LIKE; other operators (|| ~ ~* !~ !~* -> ->>); + -; * / %; ^; AT TIME
// ZONE; a sign; ::. Words that are not reserved are names too: a column may be called size, at,
// type or count. Names that are not quoted are read in lower case.
//
// Statements are parsed with participle's grammars. Expressions are parsed by precedence climbing
// over the same tokens, so that nothing is tried twice and a text takes time in proportion to its
// length. Texts (MaxText) and nesting are bounded.
//
// # Errors
//
// An error has the place, what was found there and what was expected, in the words of SQL, and
// shows the line with a caret below the place. Package query makes its own errors with ErrorAt.
//
// # Not done
//
// There are no joins, subqueries other than in FROM, or parameters.
package syntax
