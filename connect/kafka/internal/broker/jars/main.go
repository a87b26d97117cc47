// Command jars prints the folder with the jars of Kafka, and has Maven fetch them if they are not
// there yet. make kafka-test runs it.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/velo-engine/velo/connect/kafka/internal/broker"
)

func main() {
	dir, err := broker.Jars(context.Background())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(dir)
}
