//go:build !purego

package readers

// walkJSON does what walkJSONGo says.
func walkJSON(w *jsonWalk) {
	if haveAVX2 && haveCLMUL {
		walkJSONAVX2(w)
		return
	}
	walkJSONGo(w)
}

// walkJSONAVX2 looks at 32 bytes at a time, and at 64 within brackets.
//
//go:noescape
func walkJSONAVX2(w *jsonWalk)
