// Package connect has the connectors that a job may name in CREATE SOURCE and CREATE SINK: each has
// a name, options, and a function that opens it.
//
// A connector registers itself, usually in an init function of its package, so that a program has
// it by importing that package:
//
//	import _ "github.com/velo-engine/velo/connect/kafka"
//
// A service registers its own in the same way, and its jobs may name them:
//
//	connect.RegisterSource("orders", connect.Source{
//		Options: []connect.Option{{Name: "shop", Required: true}},
//		Open: func(ctx context.Context, r *connect.SourceRequest) (connect.Input, error) {
//			return openOrders(ctx, r.Options.Text("shop"), r.Schema)
//		},
//	})
//
// Options are checked before anything is opened: which there are, which are required, and how their
// values are written. What depends on several options is for Check, and what can only be found by
// opening is for Open. Both say which option is wrong with Options.Errorf, so that the caller can
// add where that option was set.
//
// This package knows nothing of SQL and of the engine: a request has a schema and options, and what
// is opened are readers and writers (see package record). It starts no goroutine.
package connect
