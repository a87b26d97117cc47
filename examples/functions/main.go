// Program functions is the command velo with functions of its own: see functions.go. A program
// that wants connectors too imports them here.
package main

import "github.com/velo-engine/velo/velocli"

func main() { velocli.Main() }
