// Package layout says where everything lies for a compiled plan: in the chunks that routers send,
// and in the rows of the tables that partitions keep. Package plan makes a Layout, once for each
// plan; the agents of package core and the readers of package result go by it. It does not change.
package layout
