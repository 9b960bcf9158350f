package main

import (
	"fmt"
	"strings"

	"posefuse/model"
	"posefuse/model/registry"
	"posefuse/model/shipped"
	"posefuse/pipeline"
)

// openServing loads the model that a daemon of the configuration serves: that of
// model.path, else the promoted one of the registry in state_dir, else the one
// inside the program. The problems say which promoted ones cannot be used.
func openServing(cfg *pipeline.Config) (net *model.Network, card model.Card, problems []error, err error) {
	keys, err := cfg.Model.Keys()
	if err != nil {
		return nil, card, nil, fmt.Errorf("model.trusted_keys: %w", err)
	}
	if cfg.Model.Path != "" {
		if err = keys.Verify(cfg.Model.Path); err == nil {
			net, card, err = model.LoadCheckpoint(cfg.Model.Path)
		}
		if err != nil {
			err = fmt.Errorf("model.path: %w", err)
		}
		return net, card, nil, err
	}
	if net, card, problems = registry.Open(cfg.StateDir, keys).Serving(); net == nil {
		net, card, err = shipped.Load()
	}
	return net, card, problems, err
}

// problemText joins problems into one line.
func problemText(problems []error) string {
	var lines []string
	for _, p := range problems {
		lines = append(lines, p.Error())
	}
	return strings.Join(lines, "; ")
}
