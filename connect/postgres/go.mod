module github.com/velo-engine/velo/connect/postgres

go 1.26.0

replace github.com/velo-engine/velo => ../..

require (
	github.com/jackc/pgx/v5 v5.13.0
	github.com/velo-engine/velo v0.0.0-00010101000000-000000000000
)

require (
	github.com/Workiva/go-datastructures v1.1.7 // indirect
	github.com/alecthomas/participle/v2 v2.1.4 // indirect
	github.com/dgryski/go-metro v0.0.0-20250106013310-edb8663e5e33 // indirect
	github.com/jackc/pgpassfile v1.0.0 // indirect
	github.com/jackc/pgservicefile v0.0.0-20240606120523-5a60cdf6a761 // indirect
	github.com/klauspost/cpuid/v2 v2.4.2 // indirect
	golang.org/x/sys v0.49.0 // indirect
	golang.org/x/text v0.41.0 // indirect
)
