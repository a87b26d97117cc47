// Package page is the page of a server in a browser: its jobs with what holds them up, its views
// with live rows, and an editor. It is embedded, asks nothing of any other server, and has no data
// of its own: everything that it shows it asks the paths below /v1 for, as any program could.
package page
