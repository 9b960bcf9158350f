//go:build race

package pipeline

// raceEnabled says that the race detector slows everything down and makes
// sync.Pool drop items at random.
const raceEnabled = true
