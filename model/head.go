package model

import "posefuse/model/nn"

// The fusion heads a Config may name.
const (
	ConcatHead    = "concat"    // one linear layer on the features side by side
	MLPHead       = "mlp"       // four linear layers
	AttentionHead = "attention" // four transformer encoder layers, then one linear layer
)

// Sizes of the heads (model.md 3).
var mlpHidden = []int{512, 256, 256}

const (
	attentionLayers  = 4
	attentionHidden  = 1024
	attentionDropout = 0.1
)

// AttentionHeads is how many heads each layer of an AttentionHead has.
const AttentionHeads = 8

// newHead builds the fusion head of n modalities.
func newHead[T nn.Float](kind string, s *nn.Store[T], ctx *nn.Context, n int) nn.Head[T] {
	switch kind {
	case MLPHead:
		return nn.NewMLPHead(s, "head.mlp", n, FeatureDim, mlpHidden, OutputDim)
	case AttentionHead:
		return nn.NewAttentionHead(s, ctx, "head", n, FeatureDim, attentionLayers, AttentionHeads, attentionHidden, OutputDim, attentionDropout)
	}
	return nn.NewConcatHead(s, "head.fc", n, FeatureDim, OutputDim)
}
