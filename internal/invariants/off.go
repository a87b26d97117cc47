//go:build !invariants && !race

package invariants

// Enabled says whether the checks are on.
const Enabled = false

// At does nothing: there are no hooks in a release build.
func At(string, any) {}

// Hook does nothing: a test that needs it is skipped if Enabled is false.
func Hook(string, func(any)) (unhook func()) { return func() {} }
