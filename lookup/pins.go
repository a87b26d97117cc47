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
	p.Add(tables...)
	return p
}

// Add pins the newest versions of more tables. The versions that are pinned stay.
func (p *Pins) Add(tables ...*Table) {
	for _, t := range tables {
		if !slices.Contains(p.tables, t) {
			p.tables, p.versions = append(p.tables, t), append(p.versions, t.Current())
		}
	}
}

// Keep lets go of the versions of all other tables.
func (p *Pins) Keep(tables []*Table) {
	var kept Pins
	for i, t := range p.tables {
		if slices.Contains(tables, t) {
			kept.tables, kept.versions = append(kept.tables, t), append(kept.versions, p.versions[i])
		}
	}
	*p = kept
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
