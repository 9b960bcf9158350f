//go:build race

package baseline

// raceEnabled tells tests that arithmetic is many times slower.
const raceEnabled = true
