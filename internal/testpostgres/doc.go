// Package testpostgres starts a PostgreSQL server for a test, if one is installed. Tests of nested
// modules import it, which connect with clients of their own.
package testpostgres
