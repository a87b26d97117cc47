//go:build !amd64 || purego

package readers

// walkJSON does what walkJSONGo says.
func walkJSON(w *jsonWalk) { walkJSONGo(w) }
