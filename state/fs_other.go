//go:build !unix && !windows

package state

import "os"

func lockFile(*os.File) error { return nil }

func syncFolder(string) error { return nil }

// Home is empty: copies are not told apart.
func (o *osFS) Home() string { return "" }
