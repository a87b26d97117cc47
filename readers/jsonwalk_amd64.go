//go:build !purego

package readers

import "github.com/klauspost/cpuid/v2"

// haveCLMUL says that the processor has carry-less multiplications.
var haveCLMUL = cpuid.CPU.Supports(cpuid.CLMUL)

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
