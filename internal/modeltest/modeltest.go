// Package modeltest holds what tests of several packages use of networks.
package modeltest

import "posefuse/model"

// Small is a network that trains in seconds.
func Small() model.Config {
	cfg := model.Edge()
	cfg.Size = "test"
	cfg.Camera.Channels, cfg.Camera.Dropout = 32, 0
	cfg.LiDAR = model.PointsConfig{Points: 64, Planes: []int{8, 16, 16, 16, 16}, Strides: []int{1, 4, 2, 2, 2}, Neighbours: []int{4, 8, 8, 4, 2}}
	cfg.Radar = model.PointsConfig{Points: 16, Planes: []int{8, 8, 8, 8, 8}, Strides: []int{1, 2, 2, 2, 2}, Neighbours: []int{4, 4, 4, 2, 1}}
	cfg.CSI.Base, cfg.CSI.Height, cfg.CSI.Width, cfg.CSI.Dropout = 4, 24, 8, 0
	return cfg
}
