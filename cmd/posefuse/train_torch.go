package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"posefuse/model"
	"posefuse/train"
)

// engineFlags choose what computes the training.
type engineFlags struct {
	Engine    string   `default:"go" enum:"go,torch" help:"What computes the training: go, or PyTorch on this machine's GPUs or cores, with posefuse before and after it; ${enum}."`
	Processes int      `default:"1" help:"With --engine torch: processes that share each batch, one a GPU."`
	Precision string   `default:"fp32" enum:"fp32,bf16" help:"With --engine torch: ${enum}."`
	Torchrun  []string `placeholder:"ARG" help:"With --engine torch: more arguments of torchrun, such as --torchrun=--nnodes=2; may be given again."`
	Python    string   `default:"/usr/bin/python3" help:"With --engine torch: Python with PyTorch and NumPy."`
	Scripts   string   `default:"study/bench/torch" placeholder:"DIR" help:"With --engine torch: the repository's folder of that name."`
}

// torchProtocol is the version of arguments and lines that train.py must know, too.
const torchProtocol = 1

// checkTorch refuses what the script does not do and says what is missing to run it.
func (c trainCmd) checkTorch(ctx context.Context, cfg *model.Config) error {
	switch {
	case c.Balance != train.Plain:
		return fmt.Errorf("--engine torch --balance %s: the script trains plainly only: leave --balance out or use --engine go", c.Balance)
	case cfg.Recipe == model.RecipeRoom:
		return errors.New("--engine torch --recipe room: the script knows the paper's form only: use --engine go")
	case c.Fusion == "xfi" || c.Fusion == "precision":
		return fmt.Errorf("--engine torch --fusion %s: the script knows concat, mlp and attention", c.Fusion)
	case c.Holdout > 0 || c.TimeLimit > 0 || c.ResumeLR > 0 || c.FoundBy != "" || c.Vary || c.HeadEpochs > 0 || c.InUse || len(c.AloneFirst) > 0:
		return errors.New("--engine torch: --holdout, --time-limit, --resume-lr, --found-by, --alone-first, --head-epochs, --in-use and --vary are for --engine go")
	case c.Processes < 1 || c.Batch%c.Processes != 0:
		return fmt.Errorf("--processes %d: want a number from 1 that divides --batch %d", c.Processes, c.Batch)
	}
	script := filepath.Join(c.Scripts, "train.py")
	if _, err := os.Stat(script); err != nil {
		return fmt.Errorf("%w: run in the repository's root, or name its folder study/bench/torch with --scripts", err)
	}
	//nolint:gosec // the user names the interpreter
	if out, err := exec.CommandContext(ctx, c.Python, "-c", "import numpy, torch.distributed").CombinedOutput(); err != nil {
		return fmt.Errorf("%s cannot import torch and numpy (%w): apt-get install python3-torch libopenblas0-openmp, or name another interpreter with --python\n%s", c.Python, err, out)
	}
	folder := filepath.Join(c.Out, train.ElsewhereFolder)
	if _, err := os.Stat(folder); err == nil && !c.Resume {
		return fmt.Errorf("%s holds a training already: go on with it (--resume) or use another output folder", folder)
	}
	return nil
}

// torch trains with PyTorch.
func (c trainCmd) torch(ctx context.Context, job *train.Job) error {
	loading, loaded := progressOf()
	defer loaded()
	job.Needs, job.Warn, job.Loading = tellNeeds, warn, loading
	job.Loaded = func(net *model.Network, trainData, _ *train.Data) {
		loaded()
		fmt.Fprintf(os.Stderr, "training %s (%d parameters) on %d frames of %s with PyTorch, %d processes, %s\n", c.Size, net.NumParameters(), len(trainData.Samples), trainData.Describe(), c.Processes, c.Precision)
	}
	job.Evaluated = printReport
	return job.RunElsewhere(ctx, func(ctx context.Context, e train.Elsewhere) error {
		loaded()
		curve, err := os.OpenFile(filepath.Join(c.Out, train.CurveFile), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
		if err != nil {
			return fmt.Errorf("write the curve: %w", err)
		}
		defer func() { _ = curve.Close() }() // each line was checked when written
		return c.runTorch(ctx, e, curve)
	})
}

// runTorch runs the script under torchrun and passes on what it says of each epoch.
func (c trainCmd) runTorch(ctx context.Context, e train.Elsewhere, curve io.Writer) error {
	// What processes say on stderr is shown and kept in files. The defaults, neither of
	// both, end PyTorch 1.13 on Python 3.11, which Debian 12 has.
	args := append([]string{"-m", "torch.distributed.run", "--nproc_per_node", strconv.Itoa(c.Processes), "--redirects", "2", "--tee", "2",
		"--log_dir", filepath.Join(filepath.Dir(e.Weights), "log")}, c.Torchrun...)
	if len(c.Torchrun) == 0 {
		args = append(args, "--standalone")
	}
	number := func(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }
	args = append(args, filepath.Join(c.Scripts, "train.py"), "--protocol", strconv.Itoa(torchProtocol), "--model", e.Start, "--samples", e.Samples, "--out", e.Weights,
		"--state", filepath.Join(filepath.Dir(e.Weights), "state.pt"), "--epochs", strconv.Itoa(c.Epochs), "--batch", strconv.Itoa(c.Batch), "--lr", number(c.LR),
		"--decay-every", strconv.Itoa(c.DecayEvery), "--weight-decay", number(c.WeightDecay), "--modality-dropout", number(c.DropModal),
		"--seed", strconv.FormatUint(c.Seed, 10), "--precision", c.Precision)
	cmd := exec.CommandContext(ctx, c.Python, args...)                       //nolint:gosec // the user names the interpreter
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) } // torchrun ends its processes
	cmd.WaitDelay = 20 * time.Second
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("start PyTorch: %w", err)
	}
	if err = cmd.Start(); err != nil {
		return fmt.Errorf("start PyTorch: %w", err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		var row struct {
			Epoch   int     `json:"epoch"`
			TrainMM float64 `json:"train_mpjpe_mm"`
			ValMM   float64 `json:"val_mpjpe_mm"`
			Seconds float64 `json:"seconds"`
		}
		if !strings.HasPrefix(lines.Text(), "{") || json.Unmarshal(lines.Bytes(), &row) != nil {
			fmt.Fprintln(os.Stderr, visible(lines.Text()))
			continue
		}
		fmt.Fprintf(os.Stderr, "epoch %d: %.1f mm, validation %.1f mm, %.0f s\n", row.Epoch, row.TrainMM, row.ValMM, row.Seconds)
		if _, err = fmt.Fprintln(curve, lines.Text()); err != nil {
			return errors.Join(fmt.Errorf("write the curve: %w", err), cmd.Process.Kill(), cmd.Wait())
		}
	}
	err = errors.Join(lines.Err(), cmd.Wait())
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		return fmt.Errorf("PyTorch ended early (%w), what it said is above: the same command with --resume goes on after the last whole epoch", err)
	}
	return nil
}
