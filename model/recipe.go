package model

import (
	"fmt"

	"posefuse/frame"
)

// Recipe is the form of a network's input and output.
type Recipe string

const (
	// RecipePaper is the paper's: each sensor's values in its own frame, as the
	// sensors stood in training, and joints in the camera's.
	RecipePaper Recipe = "paper"
	// RecipeRoom is the product's: everything in one frame of the room, around
	// the person.
	RecipeRoom Recipe = "room"
)

// TrainedIn returns the arrangement into which the person stage brings what the
// sensors see before the network takes it.
func (c Card) TrainedIn() frame.Arrangement {
	if c.Arrangement != nil {
		return *c.Arrangement
	}
	return frame.Simulated
}

// validateRoom refuses a card whose recipe, arrangement and envelope do not go
// together.
func (c *Card) validateRoom() error {
	switch c.Recipe {
	case "", RecipePaper:
	case RecipeRoom:
		if c.Arrangement != nil {
			return fmt.Errorf("arrangement: a network of recipe %s has none; remove it", RecipeRoom)
		}
	default:
		return fmt.Errorf("recipe %q, this build knows %s and %s", c.Recipe, RecipePaper, RecipeRoom)
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
	return nil
}
