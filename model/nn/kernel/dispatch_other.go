//go:build !amd64 && !arm64

package kernel

// available lists the paths this CPU can run, best first.
func available() []path { return []path{portable} }
