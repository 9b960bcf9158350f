package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"text/tabwriter"

	"posefuse/model"
	"posefuse/model/registry"
	"posefuse/model/shipped"
)

type modelsShowCmd struct {
	Model   string `arg:"" optional:"" placeholder:"DIR" help:"Folder with card.json and its weights; the shipped edge model if empty. With --state NAME/VERSION."`
	State   string `placeholder:"DIR" help:"Show a version of the registry in a daemon's state_dir: also what became of it, and its figures at the gate."`
	Tensors bool   `help:"List every tensor: name, shape, range of values."`
	JSON    bool   `name:"json" help:"Print JSON."`
}

// Help shows the command's example.
func (modelsShowCmd) Help() string {
	return "Reads the weights, checks them against the card and runs the network once.\n\n" +
		"Examples:\n\n  posefuse models show models/paper --tensors\n" +
		"  posefuse models show edge/20260102T150405Z --state /var/lib/posefuse"
}

// modelView is what show says about a checkpoint.
type modelView struct {
	Path    string                `json:"path"`
	Card    model.Card            `json:"card"`
	Memory  model.UsedMemory      `json:"memory"`
	Tensors []model.TensorSummary `json:"tensors,omitempty"`
	Version *registry.Entry       `json:"registry,omitempty"` // of the registry
}

// Run prints the card.
func (c modelsShowCmd) Run() error {
	var entry *registry.Entry
	if c.State != "" {
		id, err := registry.ParseID(c.Model)
		if err != nil {
			return err
		}
		r := registry.Open(c.State, nil)
		if entry, err = r.Entry(id); err != nil {
			return err
		}
		c.Model = r.Dir(id)
	}
	net, card, err := shipped.Open(c.Model)
	if err != nil {
		return err
	}
	defer func() { _ = net.Close() }() // the process ends here
	v := modelView{Path: c.Model, Card: card, Version: entry}
	if c.Model == "" {
		v.Path = shippedName
	}
	if v.Memory, err = net.MeasureMemory(); err != nil {
		return err
	}
	if c.Tensors {
		v.Tensors = net.Summary()
	}
	if c.JSON {
		return json.NewEncoder(os.Stdout).Encode(v)
	}
	if err = v.print(); err == nil && entry != nil {
		showRegistered(entry)
	}
	return err
}

func (v *modelView) print() error {
	c := v.Card
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	line := func(name, format string, args ...any) {
		if s := fmt.Sprintf(format, args...); s != "" {
			fmt.Fprintf(w, "%s\t%s\n", name, s)
		}
	}
	line("path", "%s", v.Path)
	line("name", "%s", c.Name)
	line("version", "%s", c.Version)
	line("created", "%s", c.Created)
	line("size", "%s, modalities %s, head %s, %s window", c.Config.Size, c.Config.Modalities, c.Config.Head, c.Window)
	line("parameters", "%d", c.Parameters)
	line("precision", "%s", c.Precision())
	if q := c.Quantization; q != nil {
		line(string(q.Mode)+" costs", "%+.3f mm of MPJPE, %+.3f by WiFi alone (float32: %.3f and %.3f), on %d held-out frames of %s", q.DifferenceMM, q.CSIMM-q.CSIFloat32MM,
			q.MPJPEFloat32MM, q.CSIFloat32MM, q.HeldOut, q.Data)
		if q.MedianMS > 0 {
			line(string(q.Mode)+" takes", "%.2f ms, float32 %.2f (%d threads, %s)", q.MedianMS, q.MedianFloat32MS, q.Threads, q.CPU)
		}
	}
	line("data", "%s", c.Data)
	line("split", "%s", c.Split)
	for _, name := range slices.Sorted(maps.Keys(c.Metrics)) {
		line(name, "%.1f", c.Metrics[name])
	}
	showRooms(line, &c)
	showErrors(line, c.KnownErrors)
	line("parent", "%s", c.Parent)
	line("command", "%s", c.Command)
	line("notes", "%s", c.Notes)
	line("weights", "%s", c.Weights)
	line("sha256", "%s", c.SHA256)
	m := v.Memory
	line("memory", "%.1f MB mapped, %.1f MB of own, %.1f MB packed for inference, %.1f MB of buffers", float64(m.Mapped)/1e6, float64(m.Heap)/1e6, float64(m.Packed)/1e6, float64(m.Runtime)/1e6)
	if err := w.Flush(); err != nil || len(v.Tensors) == 0 {
		return err
	}
	fmt.Println()
	fmt.Fprintln(w, "TENSOR\tSHAPE\tMIN\tMAX\tRMS")
	for _, t := range v.Tensors {
		fmt.Fprintf(w, "%s\t%v\t%.4g\t%.4g\t%.4g\n", t.Name, t.Shape, t.Min, t.Max, t.RMS)
	}
	return w.Flush()
}
