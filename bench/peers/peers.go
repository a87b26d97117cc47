// Package peers has what velo is measured against and must not depend on. It is a module of its
// own, so that its requirements never become velo's.
//
// The program ring measures velo's ring beside other queues: Go's channel, the SPSC queue of xsync,
// the RingBuffer of Workiva's go-datastructures, and a C++ queue after rigtorp's published design,
// which is in the folder cpp.
package peers

import _ "embed"

// SPSC is the source of the C++ queue and its measurement, one file for a C++17 compiler.
//
//go:embed cpp/spsc.cpp
var SPSC string
