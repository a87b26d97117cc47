// Package uplot has the library that draws charts in pages: uPlot by Leon Sorokin, version 1.6.32,
// under the license in LICENSE. It is embedded, so a page needs no network.
package uplot

import _ "embed"

// Script is the library. A page that runs it has a global uPlot.
//
//go:embed uplot.js
var Script []byte

// Style is the style sheet that the library needs.
//
//go:embed uplot.css
var Style []byte
