// Package deploy is tests of the files beside it: alerts, the board for Grafana, the manifest for
// Kubernetes, the Dockerfile and the unit for systemd. It is a module of its own because the tests
// need the query engine of Prometheus.
package deploy
