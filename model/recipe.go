package model

import (
	"fmt"

	"posefuse/frame"
)

// Recipe is the form of a network's inputs and output.
type Recipe string

const (
	// RecipePaper is the paper's: each sensor's values in its own frame, as the
	// sensors stood in training, and joints in the camera's.
	RecipePaper Recipe = "paper"
	// RecipeRoom is for any room: what package person makes of the sensors, with
	// the person at one place of one frame wherever they and the sensors are. With
	// each set of keypoints the network learns which of them were found and from
	// where the camera looks.
	RecipeRoom Recipe = "room"
)

// TrainedIn returns the arrangement into which the person stage brings what the
// sensors see before the network takes it.
func (c Card) TrainedIn() frame.Arrangement {
	switch {
	case c.Config.Recipe == RecipeRoom:
		return frame.AnyRoom
	case c.Arrangement != nil:
		return *c.Arrangement
	}
	return frame.Simulated
}

// validateRoom refuses a card whose recipe, arrangement and envelope do not go
// together, or whose errors are none.
func (c *Card) validateRoom() error {
	if c.Config.Recipe == RecipeRoom && c.Arrangement != nil {
		return fmt.Errorf("arrangement: a network of recipe %s has none; remove it", RecipeRoom)
	}
	if c.Arrangement != nil {
		if err := c.Arrangement.Validate(); err != nil {
			return fmt.Errorf("arrangement: %w", err)
		}
	}
	if c.Envelope != nil {
		if err := c.Envelope.validate(); err != nil {
			return fmt.Errorf("envelope: %w", err)
		}
	}
	return c.KnownErrors.validate()
}
