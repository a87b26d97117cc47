// Package nexmark is a test: it compares the queries of bench/nexmark as the engine answers them,
// window by window while records come, with the answers of DuckDB over the same rows.
package nexmark
