// Package configs holds the documented configuration files and hands the ones
// the daemon needs without a configuration to it.
package configs

import _ "embed"

// RadarProfile is iwr6843.cfg, the radar's own configuration.
//
//go:embed iwr6843.cfg
var RadarProfile []byte

// Default is posefuse.yaml, the documented configuration that equals the
// daemon's defaults.
//
//go:embed posefuse.yaml
var Default []byte
