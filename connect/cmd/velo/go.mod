module github.com/velo-engine/velo/connect/cmd/velo

go 1.26.0

replace (
	github.com/velo-engine/velo => ../../..
	github.com/velo-engine/velo/connect/arrow => ../../arrow
	github.com/velo-engine/velo/connect/kafka => ../../kafka
	github.com/velo-engine/velo/connect/parquet => ../../parquet
	github.com/velo-engine/velo/connect/postgres => ../../postgres
	github.com/velo-engine/velo/pg => ../../../pg
)

require (
	github.com/apache/arrow-go/v18 v18.8.0
	github.com/jackc/pgx/v5 v5.13.0
	github.com/twmb/franz-go v1.22.3
	github.com/twmb/franz-go/pkg/kfake v0.0.0-20260918054303-01f206a7e32c
	github.com/velo-engine/velo v0.0.0-00010101000000-000000000000
	github.com/velo-engine/velo/connect/arrow v0.0.0-00010101000000-000000000000
	github.com/velo-engine/velo/connect/kafka v0.0.0-00010101000000-000000000000
	github.com/velo-engine/velo/connect/parquet v0.0.0-00010101000000-000000000000
	github.com/velo-engine/velo/connect/postgres v0.0.0-00010101000000-000000000000
	github.com/velo-engine/velo/pg v0.0.0-00010101000000-000000000000
)

require (
	github.com/Workiva/go-datastructures v1.1.7 // indirect
	github.com/alecthomas/kong v1.17.0 // indirect
	github.com/alecthomas/participle/v2 v2.1.4 // indirect
	github.com/andybalholm/brotli v1.2.3 // indirect
	github.com/bufbuild/protocompile v0.14.1 // indirect
	github.com/dgryski/go-metro v0.0.0-20250106013310-edb8663e5e33 // indirect
	github.com/goccy/go-json v0.10.6 // indirect
	github.com/google/flatbuffers v25.12.19+incompatible // indirect
	github.com/google/uuid v1.6.0 // indirect
	github.com/jackc/pgpassfile v1.0.0 // indirect
	github.com/jackc/pgservicefile v0.0.0-20240606120523-5a60cdf6a761 // indirect
	github.com/klauspost/compress v1.20.4 // indirect
	github.com/klauspost/cpuid/v2 v2.4.2 // indirect
	github.com/parquet-go/bitpack v1.0.0 // indirect
	github.com/parquet-go/jsonlite v1.0.0 // indirect
	github.com/parquet-go/parquet-go v0.32.0 // indirect
	github.com/pierrec/lz4/v4 v4.1.33 // indirect
	github.com/twmb/avro v1.9.1 // indirect
	github.com/twmb/franz-go/pkg/kadm v1.20.0 // indirect
	github.com/twmb/franz-go/pkg/kmsg v1.15.1 // indirect
	github.com/twpayne/go-geom v1.6.1 // indirect
	github.com/xdg-go/scram v1.4.0 // indirect
	github.com/xdg-go/stringprep v1.0.4 // indirect
	github.com/zeebo/xxh3 v1.1.0 // indirect
	golang.org/x/exp v0.0.0-20260112195511-716be5621a96 // indirect
	golang.org/x/sync v0.22.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
	golang.org/x/text v0.41.0 // indirect
	google.golang.org/protobuf v1.36.12 // indirect
)
