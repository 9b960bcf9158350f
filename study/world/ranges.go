package world

import (
	"bytes"
	"errors"
	"fmt"
	"os"

	"go.yaml.in/yaml/v3"

	"posefuse/recording/sim"
)

// ReadRanges reads and checks a file of ranges, see sim.Ranges: what it leaves out
// is as in sim.DefaultRanges.
func ReadRanges(path string) (sim.Ranges, error) {
	r := sim.DefaultRanges()
	b, err := os.ReadFile(path)
	if err != nil {
		return r, fmt.Errorf("read ranges: %w", err)
	}
	var root yaml.Node
	if err := yaml.NewDecoder(bytes.NewReader(b)).Decode(&root); err != nil {
		return r, fmt.Errorf("ranges %s: %w", path, yamlError(err))
	}
	if err := decode(&root, &r, ""); err != nil {
		return r, fmt.Errorf("ranges %s: %w", path, err)
	}
	if p := r.Check(); len(p) > 0 {
		return r, fmt.Errorf("ranges %s: %w", path, errors.Join(p...))
	}
	return r, nil
}
