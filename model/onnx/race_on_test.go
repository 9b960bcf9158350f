//go:build race

package onnx

// raceEnabled says that the race detector slows everything down.
const raceEnabled = true
