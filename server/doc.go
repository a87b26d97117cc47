// Package server shows jobs, views and engines over HTTP. New makes an http.Handler, which opens no
// listener and starts nothing: a service mounts it beside its own pages, and velo serve gives it a
// listener.
//
//	views := view.NewCatalog(view.Limits{})
//	err := views.Add("volumes", view.View{Engine: e, Plan: p})
//	s, err := server.New(server.Config{Views: views})
//	defer s.Close()
//	mux.Handle("/velo/", http.StripPrefix("/velo", s))
//
// With Config.Jobs and Config.Runner it also has the jobs of a job.Manager: it lists, validates,
// puts, pauses and deletes them, and takes the records that are pushed to their sources.
//
// openapi.json describes all paths; it is served as /v1/openapi.json. docs/serve.md is for users.
//
// # Access
//
// Every path has a Role: read, write (pushing records) or admin (changing jobs, profiles). With
// Config.Access a request needs the token of that role, or of a higher one. Without it everybody
// may do everything, so the listener must be for this machine alone (CheckListener says whether it
// is), and requests that a page of another origin has made a browser send are refused.
//
// # Limits
//
// Config.Limits bounds bodies, queries, streams and times; each has a default and an error of its
// own. Listen bounds connections, in all and for each peer.
package server
