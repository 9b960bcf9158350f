//go:build race

package kernel

const raceEnabled = true // the race detector allocates in sync.Pool
