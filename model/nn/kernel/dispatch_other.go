//go:build !amd64

package kernel

// available lists the paths this CPU can run, best first.
func available() []path { return []path{portable} }
