//go:build !(amd64 || arm64 || ppc64 || ppc64le || mips64 || mips64le || riscv64 || s390x || loong64 || wasm)

package record

// velo keeps 64-bit words in memory that is addressed by int, and counts bytes beyond 4 GiB with
// int, so it does not build for systems whose int has 32 bits. The compiler shows this line on such
// systems.
var _ = velo_needs_a_64_bit_system
