// Package cputime says how much CPU time this process has used. On a machine with other work that
// says more than the time on the clock. Nested modules import it, too.
package cputime
