// Package shipped holds the checkpoint that comes with the binary: the edge
// model, trained on simulated sensors (its card says how).
package shipped

import (
	"embed"

	"posefuse/model"
)

//go:embed edge
var files embed.FS

// Load returns the shipped edge model and its card.
func Load() (*model.Network, model.Card, error) { return model.LoadCheckpointFS(files, "edge") }
