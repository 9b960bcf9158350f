// Package shipped holds the checkpoint that comes with the binary: the edge
// model, trained on simulated sensors (its card says how).
package shipped

import (
	"embed"
	"io/fs"

	"posefuse/model"
)

//go:embed edge
var files embed.FS

// Load returns the shipped edge model and its card.
func Load() (*model.Network, model.Card, error) { return model.LoadCheckpointFS(files, "edge") }

// Open reads the checkpoint in dir, or the shipped one if dir is empty.
func Open(dir string) (*model.Network, model.Card, error) {
	if dir == "" {
		return Load()
	}
	return model.LoadCheckpoint(dir)
}

// Files returns the shipped checkpoint's folder: its card and its weights.
func Files() fs.FS {
	sub, err := fs.Sub(files, "edge")
	if err != nil {
		panic(err) // the name above is valid
	}
	return sub
}
