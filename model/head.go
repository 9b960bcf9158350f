package model

import (
	"math/bits"

	"posefuse/frame"
	"posefuse/model/nn"
	"posefuse/sensors/modality"
)

// The fusion heads a Config may name.
const (
	ConcatHead    = "concat"    // one linear layer on the features side by side
	MLPHead       = "mlp"       // four linear layers
	AttentionHead = "attention" // four transformer encoder layers, then one linear layer
	XFiHead       = "xfi"       // learned tokens that read from the modalities', a comparison row
	PrecisionHead = "precision" // a pose and its precision from each modality, weighted by it
	// ReprojectionHead is a PrecisionHead whose pose the camera's newest keypoints
	// correct along their lines of sight; for RecipeRoom.
	ReprojectionHead = "reprojection"
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

// sights are the keypoints (COCO-17) that show a joint, or are near the head.
var sights = [][2]int{
	{5, 11}, {7, 12}, {9, 13}, {6, 14}, {8, 15}, {10, 16}, // arms: left, right
	{11, 4}, {13, 5}, {15, 6}, {12, 1}, {14, 2}, {16, 3}, // legs: left, right
	{0, 10}, {3, 10}, {4, 10}, // nose and ears
}

// correctionHidden are the widths of a ReprojectionHead's correction.
var correctionHidden = []int{512, 512}

// What a ReprojectionHead takes for a wrong keypoint, metres beside its joint, and
// by what it divides the offsets that it reads, metres.
const (
	sightFarOffM = 0.6
	sightUsualM  = 1. / 3
)

// Reprojection returns the ReprojectionHead of the modalities of mask.
func Reprojection(mask modality.Set) nn.ReprojectionConfig {
	c := nn.ReprojectionConfig{N: bits.OnesCount8(uint8(mask)), Width: FeatureDim, Out: OutputDim,
		Camera: -1, Keypoints: NumJoints, Pairs: sights, Hidden: correctionHidden,
		PersonM: frame.AnyRoom.DistanceM, HeightM: frame.AnyRoom.CameraHeightM, PerM: 2 * frame.AnyRoom.FocalPerWidth / frame.AnyRoom.DistanceM,
		FarOffM: sightFarOffM, Scale: 1 / sightUsualM}
	if mask.Has(modality.Camera) {
		c.Camera = slotOf(mask, modality.Camera)
	}
	return c
}

// Carried returns how many values of modality m's feature are its newest input as it
// is, the last ones.
func (c Config) Carried(m modality.Kind) int {
	if c.Head == ReprojectionHead && m == modality.Camera {
		return ViewedKeypoints
	}
	return 0
}

// newHead builds the fusion head of the modalities of mask.
func newHead[T nn.Float](kind string, s *nn.Store[T], ctx *nn.Context, mask modality.Set) nn.Head[T] {
	n := bits.OnesCount8(uint8(mask))
	switch kind {
	case ReprojectionHead:
		return nn.NewReprojectionHead(s, "head", Reprojection(mask))
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
