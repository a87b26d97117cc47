// Command velo runs SQL over files of lines and of Parquet, topics of Kafka, and whatever else
// there is a connector for, writes results to Parquet and to tables of PostgreSQL, and serves them
// to clients of PostgreSQL. It is the program of cmd/velo with all connectors and protocols, in a
// module of its own, so that a service that embeds velo does not take in the clients of brokers and
// databases.
package main

import (
	_ "github.com/velo-engine/velo/connect/arrow"
	_ "github.com/velo-engine/velo/connect/kafka"
	_ "github.com/velo-engine/velo/connect/parquet"
	_ "github.com/velo-engine/velo/connect/postgres"
	_ "github.com/velo-engine/velo/pg/register"
	"github.com/velo-engine/velo/velocli"
)

func main() { velocli.Main() }
