package model

import (
	"fmt"

	"posefuse/model/nn"
	"posefuse/sensors/modality"
)

// Config is the network: which modalities it has and how wide each encoder
// is. Two sizes have names, see Paper and Edge; any other is legal.
type Config struct {
	Size       string `json:"size" yaml:"size"`             // name of the size, for people
	Modalities string `json:"modalities" yaml:"modalities"` // letters of R, L, M, W in this order
	Head       string `json:"head" yaml:"head"`             // ConcatHead, MLPHead, AttentionHead, XFiHead, PrecisionHead or ReprojectionHead
	// Recipe is the form of the inputs; empty, as in old cards, is RecipePaper.
	Recipe Recipe       `json:"recipe,omitempty" yaml:"recipe,omitempty"`
	Camera CameraConfig `json:"camera" yaml:"camera"`
	LiDAR  PointsConfig `json:"lidar" yaml:"lidar"`
	Radar  PointsConfig `json:"radar" yaml:"radar"`
	CSI    CSIConfig    `json:"csi" yaml:"csi"`
}

// Room returns the configuration for any room.
func (c Config) Room() Config {
	c.Recipe = RecipeRoom
	return c
}

// RecipeName returns the recipe, never empty.
func (c Config) RecipeName() Recipe {
	if c.Recipe == "" {
		return RecipePaper
	}
	return c.Recipe
}

// KeypointFrame returns how many values a set of keypoints has: KeypointValues or
// ViewedKeypoints.
func (c Config) KeypointFrame() int {
	if c.Recipe == RecipeRoom {
		return ViewedKeypoints
	}
	return KeypointValues
}

// CameraValues returns how many values the camera's window has.
func (c Config) CameraValues() int { return CameraWindow * c.KeypointFrame() }

// CameraConfig sizes the VideoPose3D encoder R.
type CameraConfig struct {
	Channels int     `json:"channels" yaml:"channels"`
	Widths   []int   `json:"widths" yaml:"widths"` // frames per convolution; their product is the window
	Dropout  float64 `json:"dropout" yaml:"dropout"`
}

// PointsConfig sizes a point transformer encoder, L or M.
type PointsConfig struct {
	Points     int   `json:"points" yaml:"points"`         // points per frame after resampling
	Planes     []int `json:"planes" yaml:"planes"`         // channels per stage, multiples of 8
	Strides    []int `json:"strides" yaml:"strides"`       // of which the first is 1
	Neighbours []int `json:"neighbours" yaml:"neighbours"` // per stage, at most 64
	// Frames is how many radar frames a sample holds, the newest and those before;
	// 0 is one. With more, of RecipeRoom only, a row's last value is not the SNR but
	// the frame's age, seconds.
	Frames int `json:"frames,omitempty" yaml:"frames,omitempty"`
}

// MaxRadarFrames bounds PointsConfig.Frames.
const MaxRadarFrames = 32

// RadarFrames returns how many radar frames a sample holds, at least one.
func (c Config) RadarFrames() int { return max(c.Radar.Frames, 1) }

// WithRadarFrames returns the configuration for samples of n radar frames, with
// twice the points if they are several.
func (c Config) WithRadarFrames(n int) Config {
	if n > 1 {
		c.Radar.Frames, c.Radar.Points = n, 2*c.Radar.Points
	}
	return c
}

// validateFrames checks PointsConfig.Frames.
func (c Config) validateFrames() error {
	switch {
	case c.LiDAR.Frames != 0:
		return fmt.Errorf("lidar.frames %d: a sample holds one sweep; remove it", c.LiDAR.Frames)
	case c.Radar.Frames < 0 || c.Radar.Frames > MaxRadarFrames:
		return fmt.Errorf("radar.frames %d: want 1 to %d", c.Radar.Frames, MaxRadarFrames)
	case c.RadarFrames() > 1 && c.Recipe != RecipeRoom:
		return fmt.Errorf("radar.frames %d: more than one frame is for recipe %s, whose points lie about the person", c.Radar.Frames, RecipeRoom)
	}
	return nil
}

// CSIConfig sizes the MetaFi++ encoder W.
type CSIConfig struct {
	Height  int     `json:"height" yaml:"height"` // of the image each antenna is resized to
	Width   int     `json:"width" yaml:"width"`
	Base    int     `json:"base" yaml:"base"`     // channels of the first stage; each later one doubles them
	Blocks  []int   `json:"blocks" yaml:"blocks"` // basic blocks per stage
	Heads   int     `json:"heads" yaml:"heads"`
	MLP     int     `json:"mlp" yaml:"mlp"` // width of the transformer's MLP as a multiple of its own
	Dropout float64 `json:"dropout" yaml:"dropout"`
}

// Paper is the count-matched network of the paper: 44,084,839 parameters.
func Paper() Config {
	planes := func() []int { return []int{32, 64, 128, 256, 512} }
	neighbours := func() []int { return []int{8, 16, 16, 16, 16} }
	return Config{Size: "paper", Modalities: modality.All.String(), Head: "concat",
		Camera: CameraConfig{Channels: 1024, Widths: []int{3, 3, 3, 3}, Dropout: 0.25},
		LiDAR:  PointsConfig{Points: 1024, Planes: planes(), Strides: []int{1, 4, 4, 4, 4}, Neighbours: neighbours()},
		Radar:  PointsConfig{Points: 128, Planes: planes(), Strides: []int{1, 2, 2, 2, 2}, Neighbours: neighbours()},
		CSI:    CSIConfig{Height: 136, Width: 32, Base: 64, Blocks: []int{3, 4, 6, 3}, Heads: 3, MLP: 4, Dropout: 0.1},
	}
}

// Edge is the same architecture for a small computer: under two million
// parameters, and little enough arithmetic that two cores train it in an hour.
func Edge() Config {
	eight := func() []int { return []int{8, 8, 8, 8, 8} }
	return Config{Size: "edge", Modalities: modality.All.String(), Head: "concat",
		Camera: CameraConfig{Channels: 256, Widths: []int{3, 3, 3, 3}, Dropout: 0.1},
		LiDAR:  PointsConfig{Points: 384, Planes: []int{16, 32, 64, 128, 256}, Strides: []int{1, 4, 4, 4, 4}, Neighbours: eight()},
		Radar:  PointsConfig{Points: 64, Planes: []int{8, 16, 32, 64, 128}, Strides: []int{1, 2, 2, 2, 2}, Neighbours: eight()},
		CSI:    CSIConfig{Height: 48, Width: 16, Base: 8, Blocks: []int{1, 1, 1, 1}, Heads: 3, MLP: 4, Dropout: 0.1},
	}
}

// NamedConfig returns the size with the name.
func NamedConfig(name string) (Config, error) {
	switch name {
	case "paper":
		return Paper(), nil
	case "edge":
		return Edge(), nil
	}
	return Config{}, fmt.Errorf("unknown model size %q: use paper or edge", name)
}

// Mask returns the modalities of a valid configuration.
func (c Config) Mask() modality.Set {
	m, err := modality.Parse(c.Modalities)
	if err != nil {
		return 0
	}
	return m
}

// Points returns how many points the encoder of modality L or M takes.
func (c Config) Points(m modality.Kind) int {
	if m == modality.LiDAR {
		return c.LiDAR.Points
	}
	return c.Radar.Points
}

// Upper bounds of a configuration, several times the paper's sizes: a card is
// a file from elsewhere, and nothing is allocated for one that asks for more.
const (
	maxCameraChannels = 8192
	maxWidths         = 4 // factors of CameraWindow but 1
	maxPoints         = 1 << 16
	maxPlanes         = 4096
	maxStages         = 8
	maxImageSide      = 1024
	maxImageArea      = 1 << 16
	maxCSIChannels    = 4096
	maxBlocks         = 64
	maxHeads          = 64
	maxMLP            = 16
)

// Validate reports the first key that makes no network, and why.
func (c Config) Validate() error {
	mask, err := modality.Parse(c.Modalities)
	if err != nil {
		return err
	}
	switch c.Recipe {
	case "", RecipePaper, RecipeRoom:
	default:
		return fmt.Errorf("recipe %q: this build knows %s and %s", c.Recipe, RecipePaper, RecipeRoom)
	}
	switch c.Head {
	case ConcatHead, MLPHead, AttentionHead, XFiHead, PrecisionHead:
	case ReprojectionHead:
		if c.Recipe != RecipeRoom {
			return fmt.Errorf("head %q: its lines of sight are for recipe %s, where it is known how the camera stands", c.Head, RecipeRoom)
		}
	default:
		return fmt.Errorf("head %q: use %s, %s, %s, %s, %s or %s", c.Head, ConcatHead, MLPHead, AttentionHead, XFiHead, PrecisionHead, ReprojectionHead)
	}
	if mask.Has(modality.Camera) {
		if c.Camera.Channels < 2 || c.Camera.Channels%2 != 0 || c.Camera.Channels > maxCameraChannels {
			return fmt.Errorf("camera.channels %d: want an even number, 2 to %d", c.Camera.Channels, maxCameraChannels)
		}
		if len(c.Camera.Widths) > maxWidths {
			return fmt.Errorf("camera.widths: %d convolutions, want 1 to %d", len(c.Camera.Widths), maxWidths)
		}
		n := 1
		for _, w := range c.Camera.Widths {
			if w < 1 || w%2 == 0 || w > CameraWindow {
				return fmt.Errorf("camera.widths %v: each must be odd, 1 to %d", c.Camera.Widths, CameraWindow)
			}
			n *= w
		}
		if n != CameraWindow {
			return fmt.Errorf("camera.widths %v: their product is %d, want %d", c.Camera.Widths, n, CameraWindow)
		}
		if err := validRate("camera.dropout", c.Camera.Dropout); err != nil {
			return err
		}
	}
	if mask.Has(modality.LiDAR) {
		if err := c.LiDAR.validate("lidar"); err != nil {
			return err
		}
	}
	if mask.Has(modality.Radar) {
		if err := c.Radar.validate("radar"); err != nil {
			return err
		}
	}
	if mask.Has(modality.CSI) {
		if err := c.CSI.validate(); err != nil {
			return err
		}
	}
	return c.validateFrames()
}

func validRate(key string, v float64) error {
	if !(v >= 0 && v < 1) {
		return fmt.Errorf("%s %g: want 0 up to below 1", key, v)
	}
	return nil
}

func (p PointsConfig) validate(key string) error {
	n := len(p.Planes)
	if n > maxStages {
		return fmt.Errorf("%s.planes: %d stages, want 1 to %d", key, n, maxStages)
	}
	if p.Points > maxPoints {
		return fmt.Errorf("%s.points %d: want 1 to %d", key, p.Points, maxPoints)
	}
	if n == 0 || len(p.Strides) != n || len(p.Neighbours) != n {
		return fmt.Errorf("%s: planes, strides and neighbours must have the same length, from 1", key)
	}
	if p.Strides[0] != 1 {
		return fmt.Errorf("%s.strides %v: the first must be 1", key, p.Strides)
	}
	left := p.Points
	for i := range n {
		if p.Planes[i] < 8 || p.Planes[i]%8 != 0 || p.Planes[i] > maxPlanes {
			return fmt.Errorf("%s.planes %v: each must be a multiple of 8, 8 to %d", key, p.Planes, maxPlanes)
		}
		if p.Strides[i] < 1 || p.Strides[i] > maxPoints {
			return fmt.Errorf("%s.strides %v: each must be 1 to %d", key, p.Strides, maxPoints)
		}
		if p.Neighbours[i] < 1 || p.Neighbours[i] > nn.MaxNeighbours {
			return fmt.Errorf("%s.neighbours %v: each must be 1 to %d", key, p.Neighbours, nn.MaxNeighbours)
		}
		left /= p.Strides[i]
	}
	if left < 1 {
		return fmt.Errorf("%s.points %d: the strides %v leave no point", key, p.Points, p.Strides)
	}
	return nil
}

func (c CSIConfig) validate() error {
	switch {
	case c.Height < 1 || c.Height > maxImageSide:
		return fmt.Errorf("csi.height %d: want 1 to %d", c.Height, maxImageSide)
	case c.Width < 1 || c.Width > maxImageSide:
		return fmt.Errorf("csi.width %d: want 1 to %d", c.Width, maxImageSide)
	case c.Height*c.Width > maxImageArea:
		return fmt.Errorf("csi.height, csi.width %d, %d: want at most %d pixels", c.Height, c.Width, maxImageArea)
	case len(c.Blocks) == 0 || len(c.Blocks) > maxStages:
		return fmt.Errorf("csi.blocks: %d stages, want 1 to %d", len(c.Blocks), maxStages)
	case c.Base < 1 || c.Base > maxCSIChannels>>(len(c.Blocks)-1):
		return fmt.Errorf("csi.base %d: want 1 to %d with %d stages", c.Base, maxCSIChannels>>(len(c.Blocks)-1), len(c.Blocks))
	case c.Heads < 1 || c.Heads > maxHeads:
		return fmt.Errorf("csi.heads %d: want 1 to %d", c.Heads, maxHeads)
	case c.MLP < 1 || c.MLP > maxMLP:
		return fmt.Errorf("csi.mlp %d: want 1 to %d", c.MLP, maxMLP)
	}
	for _, b := range c.Blocks {
		if b < 1 || b > maxBlocks {
			return fmt.Errorf("csi.blocks %v: each must be 1 to %d", c.Blocks, maxBlocks)
		}
	}
	if w := c.Base << (len(c.Blocks) - 1); w%2 != 0 {
		return fmt.Errorf("csi.base %d: the last stage has an odd width %d", c.Base, w)
	}
	return validRate("csi.dropout", c.Dropout)
}

// InputShape returns the shape of a modality's input, one sample.
func (c Config) InputShape(m modality.Kind) []int {
	switch m {
	case modality.Camera:
		return []int{CameraWindow, c.KeypointFrame()}
	case modality.LiDAR:
		return []int{c.LiDAR.Points, LiDARPointDim}
	case modality.Radar:
		return []int{c.Radar.Points, RadarPointDim}
	case modality.CSI:
		return []int{CSIAntennas, CSISubcarriers, CSIPackets}
	}
	return nil
}
