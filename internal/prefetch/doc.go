// Package prefetch tells the processor which memory will be read soon. It changes nothing except
// the time spent waiting. A load that misses holds up everything after it once the processor's
// window is full; a prefetch does not.
package prefetch
