//go:build race

package experiment

// raceEnabled says that the race detector slows everything down.
const raceEnabled = true
