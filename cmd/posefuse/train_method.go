package main

import (
	"fmt"
	"hash/fnv"

	"posefuse/balance"
	"posefuse/recording"
	"posefuse/recording/mmfi"
	"posefuse/train"
)

// methodFlags choose the fusion head and how modalities are balanced.
type methodFlags struct {
	Fusion  string  `default:"concat" enum:"concat,mlp,attention,xfi" help:"Fusion head: ${enum}."`
	Balance string  `default:"none" enum:"none,awc,ogm-ge,agm,g-blending,modality-level,mmpareto,inforeg" help:"Balancing method: ${enum}."`
	Holdout float64 `default:"0" help:"Share of the training clips that is scored after each epoch instead of trained on; g-blending needs some."`

	AlphaSuperior float64 `default:"20000" help:"AWC: coefficient of the modalities that contribute most."`
	AlphaInferior float64 `default:"10000" help:"AWC: coefficient of the others."`
	AWCWindow     int     `name:"awc-window" default:"20" help:"AWC: epochs in which the constraint acts."`
	FisherBatches int     `default:"32" help:"AWC and inforeg: batches per epoch that the Fisher information is taken from; 0 for all."`
	FisherSamples bool    `help:"AWC: square gradients of single samples instead of batches; each costs a batch."`
	Smoothing     string  `default:"epoch-mean" enum:"batch,epoch-mean,previous-epoch" help:"AWC: contributions the split is made from: ${enum}."`
	BalanceAlpha  float64 `default:"-1" placeholder:"N" help:"Strength of ogm-ge, agm or modality-level; their own default if negative."`
	BlendEvery    int     `default:"10" help:"G-Blending: epochs between two measurements of the weights."`
	BlendTrial    int     `default:"1" help:"G-Blending: epochs each trial trains."`
}

// settings returns the methods' constants.
func (f methodFlags) settings() train.MethodSettings {
	set := train.DefaultMethodSettings()
	set.AWC.AlphaSuperior, set.AWC.AlphaInferior, set.AWC.Window = f.AlphaSuperior, f.AlphaInferior, f.AWCWindow
	set.AWC.FisherBatches, set.AWC.PerSample = f.FisherBatches, f.FisherSamples
	set.AWC.Smoothing = balance.Smoothing(f.Smoothing)
	set.BlendEvery, set.BlendTrial = f.BlendEvery, f.BlendTrial
	if f.BalanceAlpha >= 0 {
		set.OGMGEAlpha, set.AGMAlpha, set.ResampleAlpha = f.BalanceAlpha, f.BalanceAlpha, f.BalanceAlpha
	}
	return set
}

// method returns the method, nil for plain training.
func (f methodFlags) method() (train.Method, error) {
	if !(f.Holdout >= 0 && f.Holdout < 1) {
		return nil, fmt.Errorf("--holdout %g: use a share from 0 to below 1", f.Holdout)
	}
	if f.Balance == train.GBlending && f.Holdout == 0 {
		return nil, fmt.Errorf("--balance %s measures overfitting on clips it does not train on: add --holdout 0.1", f.Balance)
	}
	return train.NewMethod(f.Balance, f.settings())
}

// hold divides the training clips. Which are held out depends on the clip
// alone, so that every method and seed holds out the same.
func (f methodFlags) hold(keys []recording.Key) (rest, held []recording.Key) {
	for _, k := range keys {
		h := fnv.New32a()
		_, _ = fmt.Fprint(h, mmfi.Path(k)) // never fails
		if float64(h.Sum32()%10000)/10000 < f.Holdout {
			held = append(held, k)
		} else {
			rest = append(rest, k)
		}
	}
	return rest, held
}
