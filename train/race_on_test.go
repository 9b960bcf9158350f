//go:build race

package train

// raceEnabled says that the race detector slows everything down.
const raceEnabled = true
