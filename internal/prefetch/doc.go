// Package prefetch tells the processor which memory will be read soon. It changes nothing but the time that is spent waiting: a load that
// misses holds up everything behind it once the processor's window is full, a prefetch does not.
package prefetch
