package main

import (
	"posefuse/model"
	"posefuse/model/shipped"
)

// loadModel reads the checkpoint in dir, or the shipped one if dir is empty.
func loadModel(dir string) (*model.Network, model.Card, error) {
	if dir == "" {
		return shipped.Load()
	}
	return model.LoadCheckpoint(dir)
}
