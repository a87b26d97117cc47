package lookup

import "slices"

// Pins are the versions of some tables that a reader's records are joined with, until they are
// renewed. They belong to one goroutine.
type Pins struct {
	tables   []*Table
	versions []*Version
}

// NewPins pins the newest versions of tables.
func NewPins(tables ...*Table) *Pins {
	p := &Pins{}
	for _, t := range tables {
		if !slices.Contains(p.tables, t) {
			p.tables = append(p.tables, t)
		}
	}
	p.versions = make([]*Version, len(p.tables))
	p.Renew()
	return p
}

// Tables are the tables, each once.
func (p *Pins) Tables() []*Table { return p.tables }

// Version is the version of a table that is pinned; it is nil if the table had none, or is not one
// of the tables.
func (p *Pins) Version(t *Table) *Version {
	if i := slices.Index(p.tables, t); i >= 0 {
		return p.versions[i]
	}
	return nil
}

// Renew pins the newest versions.
func (p *Pins) Renew() {
	for i, t := range p.tables {
		p.versions[i] = t.Current()
	}
}

// Outdated says whether a table has a newer version than the one that is pinned.
func (p *Pins) Outdated() bool {
	for i, t := range p.tables {
		if p.versions[i] != t.Current() {
			return true
		}
	}
	return false
}
