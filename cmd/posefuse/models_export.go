package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"posefuse/model"
	"posefuse/model/onnx"
	"posefuse/model/shipped"
	"posefuse/sensors/modality"
)

type modelsExportCmd struct {
	ONNX        string `name:"onnx" placeholder:"FILE" help:"Write an ONNX model that gives the same poses and features."`
	Safetensors string `placeholder:"FILE" help:"Write the weights as safetensors with PyTorch-compatible names, and card.json beside them."`
	Model       string `placeholder:"DIR" help:"Folder with card.json and its weights; the shipped edge model if empty."`
	Size        string `default:"" enum:",edge,paper" help:"Export a fresh network of this size instead: edge or paper."`
	Seed        uint64 `default:"1" help:"Seed of a fresh network's weights."`
	Window      string `default:"causal" enum:"causal,centred" help:"Camera window of a fresh network: ${enum}."`
	Head        string `default:"concat" enum:"concat,mlp,attention" help:"Fusion head of a fresh network: ${enum}."`
	Modalities  string `default:"" placeholder:"LETTERS" help:"Only these modalities, letters of RLMW; all of the network's if empty."`
	Precision   string `default:"float32" enum:"float32,int8" help:"Precision of the ONNX model's WiFi trunk: ${enum}. For int8 the checkpoint must be calibrated (posefuse models quantize --mode int8)."`
	Batch       string `default:"1" help:"Samples per run of the ONNX model: a number, or dynamic."`
	JSON        bool   `name:"json" help:"Print JSON."`
}

// Help shows the command's example.
func (modelsExportCmd) Help() string {
	return "ONNX: opset " + strconv.Itoa(onnx.Opset) + ", batch normalisation folded in. Inputs camera, lidar, radar and csi are what\n" +
		"preprocessing makes; the outputs are pose and each modality's features. Safetensors: the checkpoint that\n" +
		"training elsewhere starts from; posefuse models import takes the result back.\n\n" +
		"Example:\n\n  posefuse models export --onnx paper.onnx --model models/paper\n" +
		"  posefuse models export --onnx paper-int8.onnx --precision int8 --model models/paper-int8\n" +
		"  posefuse models export --safetensors start/weights.safetensors --size paper"
}

// exportView is what export wrote.
type exportView struct {
	ONNX        *onnx.File `json:"onnx,omitempty"`
	Safetensors string     `json:"safetensors,omitempty"`
	Card        string     `json:"card,omitempty"`
	Notices     []string   `json:"notices,omitempty"`
}

// Run writes the files asked for.
func (c modelsExportCmd) Run() error {
	if c.ONNX == "" && c.Safetensors == "" {
		return errors.New("models export: nothing to write: give --onnx FILE or --safetensors FILE")
	}
	batch, err := parseBatch(c.Batch)
	if err != nil {
		return err
	}
	var mask modality.Set
	if c.Modalities != "" {
		if mask, err = modality.Parse(c.Modalities); err != nil {
			return fmt.Errorf("--modalities: %w", err)
		}
	}
	net, card, err := c.network(mask)
	if err != nil {
		return err
	}
	defer func() { _ = net.Close() }() // the process ends here
	if mask == 0 {
		mask = net.Config.Mask()
	}
	var view exportView
	if q := card.Quantization; q != nil && c.ONNX != "" && string(q.Mode) != c.Precision {
		view.Notices = append(view.Notices, fmt.Sprintf("the ONNX model computes in %s, the checkpoint in %s: their poses differ a little", c.Precision, q.Mode))
	}
	if c.Safetensors != "" {
		if mask != net.Config.Mask() {
			return fmt.Errorf("models export: --safetensors holds the whole network, %s: leave out --modalities", net.Config.Mask())
		}
		if card, err = model.SaveCheckpointAs(c.Safetensors, net, card); err != nil {
			return fmt.Errorf("models export: %w", err)
		}
		view.Safetensors, view.Card = c.Safetensors, filepath.Join(filepath.Dir(c.Safetensors), model.CardFile)
	}
	if c.ONNX != "" {
		if view.ONNX, err = onnx.WriteFile(c.ONNX, net, onnx.Options{Modalities: mask, Batch: batch, Precision: model.Precision(c.Precision), Name: card.Name, Version: card.Version, SHA256: card.SHA256}); err != nil {
			return err
		}
	}
	if c.JSON {
		return json.NewEncoder(os.Stdout).Encode(view)
	}
	view.print()
	return nil
}

// parseBatch reads the number of samples per run; dynamic is 0.
func parseBatch(s string) (int, error) {
	if s == "dynamic" {
		return 0, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("--batch %q: want a positive number, or dynamic", s)
	}
	return n, nil
}

// network returns the network to export: a checkpoint's, or a fresh one of
// the size with the modalities of mask.
func (c modelsExportCmd) network(mask modality.Set) (*model.Network, model.Card, error) {
	if c.Size == "" {
		return shipped.Open(c.Model)
	}
	if c.Model != "" {
		return nil, model.Card{}, errors.New("models export: --model and --size exclude each other")
	}
	cfg, err := model.NamedConfig(c.Size)
	if err != nil {
		return nil, model.Card{}, err
	}
	if mask != 0 {
		cfg.Modalities = mask.String()
	}
	cfg.Head = c.Head
	net, err := model.New(cfg, c.Seed)
	if err != nil {
		return nil, model.Card{}, err
	}
	card := model.Card{Name: c.Size, Window: model.Window(c.Window), Data: "none: fresh weights of seed " + strconv.FormatUint(c.Seed, 10), Split: "none"}
	sign(&card)
	return net, card, nil
}

func (v exportView) print() {
	for _, n := range v.Notices {
		fmt.Println("note:", n)
	}
	if v.Safetensors != "" {
		fmt.Printf("%s: weights, described by %s\n", v.Safetensors, v.Card)
	}
	if o := v.ONNX; o != nil {
		fmt.Printf("%s: ONNX opset %d, %s, %.1f MB, modalities %s\n", o.File, o.Opset, o.Precision, float64(o.Bytes)/1e6, o.Modalities)
		for _, p := range o.Inputs {
			fmt.Printf("  in   %-16s %v\n", p.Name, p.Shape)
		}
		for _, p := range o.Outputs {
			fmt.Printf("  out  %-16s %v\n", p.Name, p.Shape)
		}
	}
}
