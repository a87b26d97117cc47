// Package nexmark is a test: the queries of bench/nexmark as the engine answers them, window by window while records come, against the answers of DuckDB over the same rows.
package nexmark
