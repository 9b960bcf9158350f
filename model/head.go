package model

import "posefuse/model/nn"

// The fusion heads a Config may name.
const (
	ConcatHead    = "concat"    // one linear layer on the features side by side
	MLPHead       = "mlp"       // four linear layers
	AttentionHead = "attention" // four transformer encoder layers, then one linear layer
	XFiHead       = "xfi"       // learned tokens that read from the modalities', a comparison row
	PrecisionHead = "precision" // a pose and its precision from each modality, weighted by it
)

// Sizes of the heads (model.md 3).
var mlpHidden = []int{512, 256, 256}

const (
	attentionLayers  = 4
	attentionHidden  = 1024
	attentionDropout = 0.1
)

// MaxLogPrecision bounds the log precisions of a PrecisionHead.
const MaxLogPrecision = nn.MaxLogPrecision

// AttentionHeads is how many heads each layer of an AttentionHead has.
const AttentionHeads = 8

// xfi sizes the head in the manner of X-Fi (model.md 2.7), whose published form
// has 32 tokens of 512 values per modality, taken from the backbones' maps, and
// a cross-modal state of 32 tokens. Encoders here give one vector per modality,
// so a projector makes the tokens of it, fewer and narrower: 4 of 256. As many
// learned tokens stand for the state that X-Fi averages from the modalities'
// tokens. Depth, heads, the feed-forward part's width of twice a token and the
// end (mean, layer norm, linear) are X-Fi's. With four modalities that is about
// as large as an AttentionHead: 3.18 million parameters.
var xfi = nn.TokenHeadConfig{Width: FeatureDim, Tokens: 4, Learned: 4, C: 256, Layers: 4, Heads: 8, Hidden: 512, Out: OutputDim}

// newHead builds the fusion head of n modalities.
func newHead[T nn.Float](kind string, s *nn.Store[T], ctx *nn.Context, n int) nn.Head[T] {
	switch kind {
	case MLPHead:
		return nn.NewMLPHead(s, "head.mlp", n, FeatureDim, mlpHidden, OutputDim)
	case AttentionHead:
		return nn.NewAttentionHead(s, ctx, "head", n, FeatureDim, attentionLayers, AttentionHeads, attentionHidden, OutputDim, attentionDropout)
	case XFiHead:
		cfg := xfi
		cfg.N = n
		return nn.NewTokenHead(s, "head", cfg)
	}
	if kind == PrecisionHead {
		return nn.NewPrecisionHead(s, "head", n, FeatureDim, OutputDim)
	}
	return nn.NewConcatHead(s, "head.fc", n, FeatureDim, OutputDim)
}
