package core

const (
	// MaxPanes bounds the pieces of time that a partition keeps groups of at once, open and closed.
	MaxPanes = 1 << 24

	// mostOpen is how many open panes there may be before readers that are ahead of others wait for
	// them; until then the panes are kept open for the others. Windows close in time only if there
	// are epochs, so a reader asks for one after newPanes.
	mostOpen = 1 << 12
	newPanes = 1 << 10

	// MaxPaneGroups bounds the groups of each pane: addresses are reserved for that many.
	MaxPaneGroups = 1 << 24
)
