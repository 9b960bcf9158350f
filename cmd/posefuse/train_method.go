package main

import (
	"fmt"
	"strings"

	"github.com/alecthomas/kong"

	"posefuse/train"
)

// methodFlags choose the fusion head and how modalities are balanced.
type methodFlags struct {
	Fusion    string       `default:"concat" enum:"concat,mlp,attention,xfi,precision,reprojection" help:"Fusion head: ${enum}."`
	Balance   string       `default:"none" enum:"${methods}" help:"Balancing method: ${enum}."`
	Holdout   float64      `default:"0" help:"Share of the training clips that is scored after each epoch instead of trained on; ${methods_held_out} needs some."`
	Constants kong.Plugins `embed:""` // see constantFlags
}

// methodVars are what the tags of methodFlags take from the table.
func methodVars() kong.Vars {
	var held []string
	for _, d := range train.Methods {
		if d.Needs.HeldOut {
			held = append(held, d.Name)
		}
	}
	return kong.Vars{"methods": strings.Join(train.Methods.Names(), ","), "methods_held_out": or(held)}
}

// settings returns the methods' constants.
func (f methodFlags) settings() train.MethodSettings {
	var set train.MethodSettings
	for _, flags := range f.Constants {
		applyConstants(flags, &set)
	}
	return set
}

// method returns the method, nil for plain training.
func (f methodFlags) method() (train.Method, error) {
	if !(f.Holdout >= 0 && f.Holdout < 1) {
		return nil, fmt.Errorf("--holdout %g: use a share from 0 to below 1", f.Holdout)
	}
	if train.Methods.Find(f.Balance).Needs.HeldOut && f.Holdout == 0 {
		return nil, fmt.Errorf("--balance %s measures overfitting on clips it does not train on: add --holdout 0.1", f.Balance)
	}
	return train.NewMethod(f.Balance, f.settings())
}
