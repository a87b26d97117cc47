module github.com/velo-engine/velo/bench/peers

go 1.26.0

replace github.com/velo-engine/velo => ../..

require (
	github.com/Workiva/go-datastructures v1.1.7
	github.com/puzpuzpuz/xsync/v4 v4.5.0
	github.com/velo-engine/velo v0.0.0-00010101000000-000000000000
)

require (
	github.com/klauspost/cpuid/v2 v2.4.2 // indirect
	golang.org/x/sys v0.49.0 // indirect
)
