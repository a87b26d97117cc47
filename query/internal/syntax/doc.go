// Package syntax is the text of continuous SQL.
package syntax
