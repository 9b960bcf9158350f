package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"posefuse/model"
	"posefuse/model/shipped"
)

type modelsCmd struct {
	List     modelsListCmd     `cmd:"" help:"List the checkpoints below a folder, or the versions of a daemon's registry."`
	Show     modelsShowCmd     `cmd:"" help:"Show a checkpoint: its card, its memory, its tensors."`
	Add      modelsAddCmd      `cmd:"" help:"Copy a checkpoint into a daemon's registry, as a candidate."`
	Shadow   modelsShadowCmd   `cmd:"" help:"Run a version of the registry beside the serving one and compare their poses."`
	Promote  modelsPromoteCmd  `cmd:"" help:"Make a version of the registry the one that serves."`
	Rollback modelsRollbackCmd `cmd:"" help:"Make the version that served before serve again."`
	Sign     modelsSignCmd     `cmd:"" help:"Sign a checkpoint, card and weights, for model.trusted_keys."`
	Verify   modelsVerifyCmd   `cmd:"" help:"Check a checkpoint against its card and the signature of somebody trusted."`
	Export   modelsExportCmd   `cmd:"" help:"Write a network for other programs: ONNX, or safetensors for PyTorch."`
	Import   modelsImportCmd   `cmd:"" help:"Make a checkpoint of weights trained elsewhere."`
	Samples  modelsSamplesCmd  `cmd:"" help:"Write prepared samples, to train elsewhere."`
	Quantize modelsQuantizeCmd `cmd:"" help:"Make a checkpoint that computes in int8 or bfloat16, and measure what it costs."`
}

// Help shows the command's example.
func (modelsCmd) Help() string {
	return "Example: what is there, and one of them for another program\n\n" +
		"  posefuse models list ./models\n  posefuse models export --onnx paper.onnx --model models/paper"
}

type modelsListCmd struct {
	Dir   string `arg:"" optional:"" default:"models" placeholder:"DIR" help:"Folder to search; models if empty."`
	State string `placeholder:"DIR" help:"Instead list the registry in a daemon's state_dir: its versions, which one serves, what became of the others."`
	JSON  bool   `name:"json" help:"Print JSON."`
}

// Help shows the command's example.
func (modelsListCmd) Help() string {
	return "The model inside the program is the first line. A checkpoint that cannot be read is listed with the reason.\n\n" +
		"Examples:\n\n  posefuse models list ./models\n  posefuse models list --state /var/lib/posefuse"
}

// shippedName stands for the model inside the program, where a folder would be.
const shippedName = "(shipped)"

// modelRow is one checkpoint of a list.
type modelRow struct {
	Path       string       `json:"path"`
	Name       string       `json:"name,omitempty"`
	Version    string       `json:"version,omitempty"`
	Size       string       `json:"size,omitempty"`
	Modalities string       `json:"modalities,omitempty"`
	Window     model.Window `json:"window,omitempty"`
	Precision  string       `json:"precision,omitempty"`
	Parameters int          `json:"parameters,omitempty"`
	Bytes      int64        `json:"bytes,omitempty"` // of the weights file
	MPJPEMM    *float64     `json:"mpjpe_mm,omitempty"`
	Metric     string       `json:"metric,omitempty"` // which of the card's metrics that is
	Error      string       `json:"error,omitempty"`
}

// Run prints one line per checkpoint or version.
func (c modelsListCmd) Run() error {
	if c.State != "" {
		return listRegistry(c.State, c.JSON)
	}
	rows := []modelRow{newModelRow(shipped.Files(), ".", shippedName)}
	err := filepath.WalkDir(c.Dir, func(file string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrPermission) && d != nil && d.IsDir() {
			rows = append(rows, modelRow{Path: file, Error: err.Error()})
			return fs.SkipDir
		}
		if err == nil && !d.IsDir() && d.Name() == model.CardFile {
			dir := filepath.Dir(file)
			rows = append(rows, newModelRow(os.DirFS(dir), ".", dir))
		}
		return err
	})
	if errors.Is(err, fs.ErrNotExist) && c.Dir == "models" {
		err = nil // the default; the shipped model is the answer
	}
	if err != nil {
		return fmt.Errorf("list models: %w", err)
	}
	if c.JSON {
		return json.NewEncoder(os.Stdout).Encode(rows)
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "PATH\tNAME\tVERSION\tSIZE\tMODALITIES\tWINDOW\tPRECISION\tPARAMETERS\tMB\tMPJPE MM")
	for _, r := range rows {
		if r.Error != "" {
			fmt.Fprintf(w, "%s\t%s\n", r.Path, r.Error)
			continue
		}
		mpjpe := "-"
		if r.MPJPEMM != nil {
			mpjpe = fmt.Sprintf("%.1f %s", *r.MPJPEMM, r.Metric)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d\t%.1f\t%s\n", r.Path, r.Name, r.Version, r.Size, r.Modalities, r.Window,
			r.Precision, r.Parameters, float64(r.Bytes)/1e6, mpjpe)
	}
	return w.Flush()
}

// newModelRow reads the card in dir of fsys; the weights are only looked for.
func newModelRow(fsys fs.FS, dir, name string) modelRow {
	r := modelRow{Path: name}
	card, err := model.ReadCard(fsys, dir)
	if err != nil {
		r.Error = err.Error()
		return r
	}
	st, err := fs.Stat(fsys, path.Join(dir, card.Weights))
	if err != nil {
		r.Error = err.Error()
		return r
	}
	r.Name, r.Version, r.Size, r.Modalities, r.Window = card.Name, card.Version, card.Config.Size, card.Config.Modalities, card.Window
	r.Precision, r.Parameters, r.Bytes = string(card.Precision()), card.Parameters, st.Size()
	for _, metric := range []string{"val_" + card.Config.Modalities, "sim_val_" + card.Config.Modalities, "train"} {
		if v, ok := card.Metrics[metric+"_mpjpe_mm"]; ok {
			r.MPJPEMM, r.Metric = &v, metric
			break
		}
	}
	return r
}

// sign writes into a card when and how its checkpoint is made.
func sign(card *model.Card) {
	now := time.Now().UTC()
	card.Version, card.Created = now.Format("20060102T150405Z"), now.Format(time.RFC3339)
	card.Command = commandLine()
}

// commandLine is what the user typed.
func commandLine() string { return "posefuse " + strings.Join(os.Args[1:], " ") }
