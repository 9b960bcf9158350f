//go:build race

package sim

// raceEnabled says that the race detector is on, which makes sync.Pool forget
// at random.
const raceEnabled = true
