//go:build !linux

package kernel

import "testing"

// guarded has no guard page on this system; linux tests for faults.
func guarded(_ testing.TB, n int) []float32 { return make([]float32, n) }
