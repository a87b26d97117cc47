package main

import (
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// bill is a bill of materials as CycloneDX 1.6 has it.
type bill struct {
	Format       string       `json:"bomFormat"`
	Spec         string       `json:"specVersion"`
	Serial       string       `json:"serialNumber"`
	Version      int          `json:"version"`
	Metadata     metadata     `json:"metadata"`
	Components   []component  `json:"components"`
	Dependencies []dependency `json:"dependencies"`
}

type metadata struct {
	Timestamp string    `json:"timestamp"`
	Component component `json:"component"`
}

type component struct {
	Type       string     `json:"type"`
	Ref        string     `json:"bom-ref"`
	Name       string     `json:"name"`
	Version    string     `json:"version"`
	PURL       string     `json:"purl,omitempty"`
	Hashes     []hash     `json:"hashes,omitempty"`
	Properties []property `json:"properties,omitempty"`
}

type hash struct {
	Algorithm string `json:"alg"`
	Content   string `json:"content"`
}

type property struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type dependency struct {
	Ref       string   `json:"ref"`
	DependsOn []string `json:"dependsOn,omitempty"`
}

// billOf lists the modules of a program as its build information has them: what was linked, and
// not what a go.mod allows.
func billOf(program string, r *release) ([]byte, error) {
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", program, err)
	}
	data, err := os.ReadFile(program)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(data)
	// A serial number that follows from the program, so that the bill is the same each time.
	id := sum
	id[6], id[8] = id[6]&0x0f|0x50, id[8]&0x3f|0x80
	const root = "pkg:golang/github.com/velo-engine/velo"
	b := bill{
		Format: "CycloneDX", Spec: "1.6", Version: 1,
		Serial: fmt.Sprintf("urn:uuid:%x-%x-%x-%x-%x", id[0:4], id[4:6], id[6:8], id[8:10], id[10:16]),
		Metadata: metadata{
			Timestamp: r.at.Format(time.RFC3339),
			Component: component{
				Type: "application", Ref: root, Name: filepath.Base(program), Version: r.version,
				PURL: root + "@" + r.version, Hashes: []hash{{"SHA-256", hex.EncodeToString(sum[:])}},
				Properties: []property{{"velo:commit", r.commit}, {"velo:go", info.GoVersion}},
			},
		},
		Components: []component{{
			Type: "library", Ref: "pkg:golang/std", Name: "std", Version: strings.TrimPrefix(info.GoVersion, "go"),
			PURL: "pkg:golang/std@" + strings.TrimPrefix(info.GoVersion, "go"),
		}},
	}
	needs := []string{"pkg:golang/std"}
	for _, m := range info.Deps {
		if strings.HasPrefix(m.Path, "github.com/velo-engine/velo") {
			continue // the program itself
		}
		for m.Replace != nil {
			m = m.Replace
		}
		purl := fmt.Sprintf("pkg:golang/%s@%s", m.Path, m.Version)
		c := component{Type: "library", Ref: purl, Name: m.Path, Version: m.Version, PURL: purl}
		// go.sum's h1 is a SHA-256 over the names and digests of the module's files.
		h1, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(m.Sum, "h1:"))
		if err == nil && len(h1) == sha256.Size {
			c.Properties = []property{{"go:sum", m.Sum}}
		}
		b.Components = append(b.Components, c)
		needs = append(needs, purl)
	}
	b.Dependencies = []dependency{{Ref: root, DependsOn: needs}}
	text, err := json.MarshalIndent(b, "", " ")
	return append(text, '\n'), err
}
