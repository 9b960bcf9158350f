//go:build !race

package testenv

// Race reports whether the race detector is on: it makes code five to twenty
// times slower and lets it allocate more.
const Race = false
