// Command convert turns MoveNet SinglePose, as TensorFlow.js publishes it (a
// graph in JSON and its weights), into the safetensors file that package
// keypoint reads. It takes only the files whose hash it knows; make runs it.
//
//	go run ./model/keypoint/convert PACKAGE/models/movenet-lightning.json OUT.safetensors
package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/renameio/v2"

	"posefuse/model/safetensors"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: convert MODEL.json OUT.safetensors")
		os.Exit(2)
	}
	if err := convert(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "convert:", err)
		os.Exit(1)
	}
}

// known are the published models by the SHA-256 of their two files and of what
// they become.
var known = []struct{ name, graph, weights, out string }{
	{"movenet-lightning", "df8cbde44d00f533ccc4916a7c6ebc17316532fb3fadad114ec667fef22872e9", "bf97bc10d9c8a11200b0190ed64ce039b6252f1aff7cb552aca99b3d191c2f34", "19ad314d2ede2de29ed972e0b3689d43ebfa6a357fd958ec17f7995f1187a9bf"},
	{"movenet-thunder", "7ac4e2a8449fc279f71b8b0ba52f7c5daafc124ce9b6bf7549289ca432e342b6", "a2925747fccaf737c0f20eacdeff919efd5d514e90242397002a0de349dff18c", ""},
}

func hash(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

func convert(graphFile, out string) error {
	text, err := os.ReadFile(graphFile) //nolint:gosec // the user names it
	if err != nil {
		return err
	}
	k := slices.IndexFunc(known, func(k struct{ name, graph, weights, out string }) bool { return k.graph == hash(text) })
	if k < 0 {
		return fmt.Errorf("%s has the sha256 %s, which is none of a known MoveNet: run make clean and make weights to fetch it again", graphFile, hash(text))
	}
	var g graph
	if err = json.Unmarshal(text, &g); err != nil {
		return fmt.Errorf("%s: %w", graphFile, err)
	}
	var data []byte
	for _, group := range g.Weights {
		for _, p := range group.Paths {
			part, readErr := os.ReadFile(filepath.Join(filepath.Dir(graphFile), filepath.Base(p))) //nolint:gosec // beside the graph
			if readErr != nil {
				return readErr
			}
			data = append(data, part...)
		}
	}
	if hash(data) != known[k].weights {
		return fmt.Errorf("the weights beside %s have the sha256 %s, want %s: run make clean and make weights to fetch them again", graphFile, hash(data), known[k].weights)
	}
	file, err := g.convert(data, known[k].name)
	if err != nil {
		return fmt.Errorf("%s: %w", graphFile, err)
	}
	if hash(file) != known[k].out {
		return fmt.Errorf("the result has the sha256 %s, want %s: this converter changed, or its table is behind", hash(file), known[k].out)
	}
	return renameio.WriteFile(out, file, 0o644)
}

// graph is the part of a TensorFlow.js graph model that is read here.
type graph struct {
	Topology struct {
		Node []node `json:"node"`
	} `json:"modelTopology"`
	Weights []struct {
		Paths   []string `json:"paths"`
		Weights []weight `json:"weights"`
	} `json:"weightsManifest"`
}

type node struct {
	Name  string   `json:"name"`
	Op    string   `json:"op"`
	Input []string `json:"input"`
	Attr  struct {
		Ops struct {
			List struct {
				S []string `json:"s"`
			} `json:"list"`
		} `json:"fused_ops"`
	} `json:"attr"`
}

type weight struct {
	Name         string `json:"name"`
	Shape        []int  `json:"shape"`
	DType        string `json:"dtype"`
	Quantization *struct {
		DType string `json:"dtype"`
	} `json:"quantization"`

	data []byte
}

// constants are the graph's numbers that package keypoint needs, by name.
var constants = map[string]string{
	"StatefulPartitionedCall/truediv":                         "input.scale",
	"StatefulPartitionedCall/sub_1/y":                         "input.offset",
	"ConstantFolding/StatefulPartitionedCall/truediv_2_recip": "centre.weight",
	"StatefulPartitionedCall/add_5/y":                         "distance.offset",
	"StatefulPartitionedCall/Reshape_13":                      "output.scale",
}

// layer returns the name of a convolution in package keypoint.
func layer(name string) (string, bool) {
	name = strings.TrimPrefix(name, "StatefulPartitionedCall/")
	name = strings.TrimPrefix(name, "center_net_mobile_net_v2fpn_feature_extractor/model_1/")
	if fixed, ok := layers[name]; ok {
		return fixed, true
	}
	var block int
	var rest string
	if n, err := fmt.Sscanf(name, "model/block_%d_%s", &block, &rest); err != nil || n != 2 {
		return "", false
	}
	kind, _, _ := strings.Cut(rest, "_")
	kind, _, _ = strings.Cut(kind, "/")
	return fmt.Sprintf("block.%d.%s", block, kind), kind == "expand" || kind == "depthwise" || kind == "project"
}

var layers = func() map[string]string {
	m := map[string]string{
		"model/Conv1_relu/Relu6":                          "stem",
		"model/expanded_conv_depthwise/depthwise":         "block.0.depthwise",
		"model/expanded_conv_project_BN/FusedBatchNormV3": "block.0.project",
		"model/out_relu/Relu6":                            "top",
		"conv2d/BiasAdd":                                  "lateral.3",
		"conv2d_1/BiasAdd":                                "lateral.2",
		"conv2d_2/BiasAdd":                                "lateral.1",
		"conv2d_3/BiasAdd":                                "lateral.0",
		"separable_conv2d/separable_conv2d/depthwise":     "merge.2.depthwise",
		"re_lu/Relu":                                      "merge.2.project",
		"separable_conv2d_1/separable_conv2d/depthwise":   "merge.1.depthwise",
		"re_lu_1/Relu":                                    "merge.1.project",
		"separable_conv2d_2/separable_conv2d/depthwise":   "merge.0.depthwise",
		"re_lu_2/Relu":                                    "merge.0.project",
	}
	for i, h := range [][2]string{{"center_0", "centre"}, {"kpt_heatmap_0", "heatmap"}, {"kpt_regress_0", "regress"}, {"kpt_offset_0", "offset"}} {
		m[fmt.Sprintf("%s/separable_conv2d_%d/separable_conv2d/depthwise", h[0], i+3)] = h[1] + ".depthwise"
		m[fmt.Sprintf("%s/re_lu_%d/Relu", h[0], i+3)] = h[1] + ".hidden"
		m[fmt.Sprintf("%s/conv2d_%d/BiasAdd", h[0], i+4)] = h[1] + ".out"
	}
	return m
}()

// convert returns the safetensors file: of every convolution "<layer>.weight"
// [inputs, outputs] (of a 3 x 3 one [9*inputs, outputs], of a depthwise one [9,
// channels], filter row by row) and "<layer>.bias", and the constants.
func (g *graph) convert(data []byte, name string) ([]byte, error) {
	weights, err := g.slice(data)
	if err != nil {
		return nil, err
	}
	have := map[string]weight{}
	add := func(as, from string, shape func(s []int) []int) error {
		w, ok := weights[strings.TrimSuffix(from, ":0")]
		if !ok {
			return fmt.Errorf("%s: no weights %s", as, from)
		}
		if w.Quantization == nil || w.Quantization.DType != "float16" {
			return fmt.Errorf("%s is not float16", from)
		}
		if shape != nil {
			w.Shape = shape(w.Shape)
		}
		have[as] = w
		return nil
	}
	for from, as := range constants {
		if err := add(as, from, nil); err != nil {
			return nil, err
		}
	}
	for _, n := range g.Topology.Node {
		if !strings.Contains(n.Op, "Conv2D") && !strings.Contains(n.Op, "Conv2d") {
			continue
		}
		as, ok := layer(n.Name)
		if !ok {
			return nil, fmt.Errorf("unknown layer %s", n.Name)
		}
		flatten := func(s []int) []int { return []int{s[0] * s[1] * s[2], s[3]} }
		if strings.Contains(n.Op, "Depthwise") {
			flatten = func(s []int) []int { return []int{s[0] * s[1], s[2]} }
		}
		if err := add(as+".weight", n.Input[1], flatten); err != nil {
			return nil, err
		}
		if len(n.Input) > 2 {
			if err := add(as+".bias", n.Input[2], nil); err != nil {
				return nil, err
			}
		}
		if err := n.checkActivation(as); err != nil {
			return nil, err
		}
	}
	return write(have, name)
}

// checkActivation refuses a graph whose activations are not those that package
// keypoint computes.
func (n *node) checkActivation(as string) error {
	var ops []string
	for _, s := range n.Attr.Ops.List.S {
		b, err := base64.StdEncoding.DecodeString(s)
		if err != nil {
			return fmt.Errorf("%s: fused operations: %w", n.Name, err)
		}
		ops = append(ops, string(b))
	}
	_, inner, _ := strings.Cut(as, ".")
	want := "BiasAdd"
	switch {
	case as == "stem", as == "top", strings.HasPrefix(as, "block.") && !strings.HasSuffix(as, ".project"):
		want = "BiasAdd Relu6"
	case strings.HasSuffix(as, ".hidden"), strings.HasPrefix(as, "merge.") && strings.HasSuffix(as, ".project"):
		want = "BiasAdd Relu"
	case strings.HasSuffix(inner, "depthwise"):
		want = ""
	}
	if got := strings.Join(ops, " "); got != want {
		return fmt.Errorf("%s does %q, want %q", n.Name, got, want)
	}
	return nil
}

// slice cuts the data into the manifest's weights.
func (g *graph) slice(data []byte) (map[string]weight, error) {
	out := map[string]weight{}
	for _, group := range g.Weights {
		for _, w := range group.Weights {
			size := 4
			if w.Quantization != nil {
				size = 2
			}
			for _, d := range w.Shape {
				size *= d
			}
			if size > len(data) {
				return nil, fmt.Errorf("weights end in %s", w.Name)
			}
			w.data, data = data[:size], data[size:]
			out[w.Name] = w
		}
	}
	if len(data) > 0 {
		return nil, errors.New("weights go on behind the last one")
	}
	return out, nil
}

func write(have map[string]weight, name string) ([]byte, error) {
	var names []string
	for n := range have {
		names = append(names, n)
	}
	slices.Sort(names)
	list := make([]safetensors.Named, len(names))
	for i, n := range names {
		w := have[n]
		shape := w.Shape
		if shape == nil {
			shape = []int{}
		}
		list[i] = safetensors.Named{Name: n, DType: "F16", Shape: shape, Bytes: int64(len(w.data))}
	}
	h, err := safetensors.Header(list, map[string]string{"model": name,
		"origin": "MoveNet SinglePose v4, Google, Apache-2.0; TensorFlow.js files from the npm packages @vladmandic/human and human-models"})
	if err != nil {
		return nil, err
	}
	out := bytes.NewBuffer(h)
	for _, n := range names {
		out.Write(have[n].data)
	}
	return out.Bytes(), nil
}
