package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"posefuse/model"
	"posefuse/model/onnx"
	"posefuse/sensors/modality"
)

// checkNode reports whether ONNX Runtime runs, with the command that installs it.
func (p *peers) checkNode(ctx context.Context) error {
	dir := filepath.Join(p.Scripts, "ort")
	cmd := exec.CommandContext(ctx, p.Node, "--input-type=module", "-e", "import 'onnxruntime-node'")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s cannot import onnxruntime-node (%w): npm ci --prefix %s\n%s", p.Node, err, dir, firstLines(out, 3))
	}
	return nil
}

func firstLines(b []byte, n int) string {
	lines := strings.SplitAfterN(string(b), "\n", n+1)
	return strings.Join(lines[:min(n, len(lines))], "")
}

// withORT adds ONNX Runtime in a precision where it is installed, with spinning
// threads and, if there are several, without.
func (p *peers) withORT(ctx context.Context, all []contestant, net *model.Network, mask modality.Set, precision model.Precision) ([]contestant, error) {
	file, err := p.export(net, mask, precision)
	if errors.Is(err, errAbsent) {
		return all, nil
	}
	if err != nil {
		return nil, err
	}
	name := peerORT
	if precision == model.Int8 {
		name = peerORTInt8
	}
	ways, err := p.ortWays(ctx, name, file, p.threads(net.Config.Size))
	return append(all, ways...), err
}

// export writes the network for ONNX Runtime.
func (p *peers) export(net *model.Network, mask modality.Set, precision model.Precision) (file string, err error) {
	if why, gone := p.absent[peerORT]; gone {
		return "", fmt.Errorf("%w: %s", errAbsent, why)
	}
	file = filepath.Join(p.dir, fmt.Sprintf("%s-%s-%s.onnx", net.Config.Size, mask, precision))
	if _, err = os.Stat(file); err == nil {
		return file, nil
	}
	opt := onnx.Options{Modalities: mask, Batch: 1, Precision: precision}
	if precision == model.Int8 {
		opt.InputScales = someScales(net)
	}
	_, err = onnx.WriteFile(file, net, opt)
	return file, err
}

// ortWays are ONNX Runtime's ways to wait for work: one thread has none to wait
// for.
func (p *peers) ortWays(ctx context.Context, name, file string, threads int) ([]contestant, error) {
	script := filepath.Join(p.Scripts, "ort", "time.mjs")
	if _, err := os.Stat(script); err != nil {
		return nil, fmt.Errorf("time ONNX Runtime: %w", err)
	}
	if threads == 1 {
		return []contestant{{name: name, long: true, run: p.timeORT(ctx, script, file, threads)}}, nil
	}
	return []contestant{
		{name: name, mode: "spinning", long: true, run: p.timeORT(ctx, script, file, threads)},
		{name: name, mode: "not spinning", long: true, run: p.timeORT(ctx, script, file, threads, "--sleep")},
	}, nil
}

// timeORT times a model in a fresh process per round, which warms itself up:
// loading is not timed.
func (p *peers) timeORT(ctx context.Context, script, file string, threads int, more ...string) func(runs int) (timings, error) {
	return func(runs int) (timings, error) {
		args := append([]string{script, "--model", file, "--threads", strconv.Itoa(threads), "--runs", strconv.Itoa(runs), "--warmup", "2", "--json"}, more...)
		out, err := exec.CommandContext(ctx, p.Node, args...).Output()
		if err != nil {
			return nil, fmt.Errorf("time.mjs: %w\n%s", err, stderrOf(err))
		}
		var r struct {
			Times timings `json:"times_ms"`
		}
		if err := json.Unmarshal(out, &r); err != nil {
			return nil, fmt.Errorf("time.mjs: %w", err)
		}
		if len(r.Times) != runs {
			return nil, fmt.Errorf("time.mjs gave %d times, want %d", len(r.Times), runs)
		}
		return r.Times, nil
	}
}

func stderrOf(err error) string {
	if e, ok := err.(*exec.ExitError); ok { //nolint:errorlint // Output returns it unwrapped
		return string(e.Stderr)
	}
	return ""
}
