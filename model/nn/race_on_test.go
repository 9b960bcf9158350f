//go:build race

package nn

const raceEnabled = true // the race detector allocates in sync.Pool
