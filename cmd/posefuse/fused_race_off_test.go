//go:build !race

package main

// fusedRace says whether the race detector is on.
const fusedRace = false
