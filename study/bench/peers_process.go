package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
)

// lockedText collects what a process writes while others read it.
type lockedText struct {
	mu   sync.Mutex
	text strings.Builder
}

// Write implements io.Writer.
func (l *lockedText) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

// String returns what was written so far.
func (l *lockedText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// torchServer is a running time.py that times on request.
type torchServer struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *bufio.Reader
	stderr lockedText
}

// torchFor returns the server for a size and starts it on first use.
func (p *peers) torchFor(ctx context.Context, size string) (*torchServer, error) {
	if why, gone := p.absent[peerTorch]; gone {
		return nil, fmt.Errorf("%w: %s", errAbsent, why)
	}
	if t := p.torch[size]; t != nil {
		return t, nil
	}
	t := &torchServer{cmd: p.command(ctx, "time.py", "--model", filepath.Join(p.dir, size), "--threads", strconv.Itoa(p.threads(size)), "--serve")}
	t.cmd.Stderr = &t.stderr
	var err error
	if t.in, err = t.cmd.StdinPipe(); err != nil {
		return nil, fmt.Errorf("start PyTorch: %w", err)
	}
	out, err := t.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start PyTorch: %w", err)
	}
	if err = t.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start PyTorch: %w", err)
	}
	p.torch[size] = t
	t.out = bufio.NewReader(out)
	var hello struct {
		GEMM float64 `json:"gemm_gflops"`
	}
	if err := t.answer(&hello); err != nil {
		return nil, err
	}
	p.report.TorchGFLOPS = max(p.report.TorchGFLOPS, hello.GEMM)
	if hello.GEMM < p.report.PeakGFLOPS/3 {
		p.report.Notes = append(p.report.Notes, fmt.Sprintf("PyTorch's matrix product reaches %.0f GFLOP/s: it lacks a fast BLAS, the comparison is unfair; apt-get install libopenblas0-openmp, or set OPENBLAS_CORETYPE if it is installed", hello.GEMM))
	}
	return t, nil
}

func (t *torchServer) answer(v any) error {
	line, err := t.out.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, v)
	}
	if err != nil {
		return fmt.Errorf("PyTorch's answer: %w\n%s", err, t.stderr.String())
	}
	return nil
}

func (t *torchServer) ask(request map[string]any) (timings, error) {
	b, err := json.Marshal(request)
	if err != nil {
		return nil, fmt.Errorf("ask PyTorch: %w", err)
	}
	if _, err := t.in.Write(append(b, '\n')); err != nil {
		return nil, fmt.Errorf("ask PyTorch: %w\n%s", err, t.stderr.String())
	}
	var a struct {
		Times timings `json:"times_ms"`
	}
	return a.Times, t.answer(&a)
}

// best returns PyTorch's fastest mode for a task.
func (t *torchServer) best(task string) (contestant, error) {
	modes, runs := []string{"eager", "channels_last", "frozen", "optimized"}, 3
	if strings.HasPrefix(task, "train") {
		modes, runs = []string{"nchw", "channels_last"}, 1
	}
	best, bestMS := "", 0.0
	for _, m := range modes {
		got, err := t.ask(map[string]any{"task": task, "mode": m, "runs": runs})
		if err != nil {
			return contestant{}, err
		}
		if best == "" || got.min() < bestMS {
			best, bestMS = m, got.min()
		}
	}
	if _, err := t.ask(map[string]any{"task": task, "keep": best}); err != nil {
		return contestant{}, err
	}
	return contestant{name: peerTorch, mode: best, run: func(runs int) (timings, error) {
		return t.ask(map[string]any{"task": task, "mode": best, "runs": runs})
	}}, nil
}

// forget lets PyTorch free its networks.
func (t *torchServer) forget() {
	if t != nil {
		_, _ = t.ask(map[string]any{"keep": ""}) // a dead server shows at the next question
	}
}

func (t *torchServer) close() {
	_ = t.in.Close() // ends its loop
	_ = t.cmd.Wait() // its status says nothing any more
}

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

// startORT times a model in a fresh process per round: loading is not timed.
func (p *peers) startORT(ctx context.Context, file string, threads int) (func(runs int) (timings, error), error) {
	script := filepath.Join(p.Scripts, "ort", "time.mjs")
	if _, err := os.Stat(script); err != nil {
		return nil, fmt.Errorf("time ONNX Runtime: %w", err)
	}
	return func(runs int) (timings, error) {
		cmd := exec.CommandContext(ctx, p.Node, script, "--model", file, "--threads", strconv.Itoa(threads), "--runs", strconv.Itoa(runs), "--warmup", "2", "--json")
		out, err := cmd.Output()
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
	}, nil
}

func stderrOf(err error) string {
	if e, ok := err.(*exec.ExitError); ok { //nolint:errorlint // Output returns it unwrapped
		return string(e.Stderr)
	}
	return ""
}

// memory measures the training's peak in a fresh process of each.
func (p *peers) memory(ctx context.Context, row *peerRow, letters string, batch int, task string) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("measure memory: %w", err)
	}
	out, err := exec.CommandContext(ctx, self, "bench", "train", "--size", "paper", "--modalities", letters, "--batch", strconv.Itoa(batch),
		"--threads", strconv.Itoa(p.Threads), "--runs", "1", "--json").Output()
	if err != nil {
		return fmt.Errorf("measure memory: %w\n%s", err, stderrOf(err))
	}
	var ours []trainRow
	if err = json.Unmarshal(out, &ours); err != nil || len(ours) != 1 {
		return fmt.Errorf("measure memory: %d rows: %w", len(ours), err)
	}
	row.OursMS.Bytes = ours[0].PeakBytes
	q, ok := row.Peers[peerTorch]
	if !ok {
		return nil
	}
	out, err = p.command(ctx, "time.py", "--model", filepath.Join(p.dir, "paper"), "--threads", strconv.Itoa(p.Threads), "--tasks", task, "--modes", q.Mode, "--runs", "1", "--json").Output()
	if err != nil {
		return fmt.Errorf("measure PyTorch's memory: %w\n%s", err, stderrOf(err))
	}
	var theirs struct {
		Rows []struct {
			Bytes int64 `json:"peak_bytes"`
		} `json:"rows"`
	}
	if err = json.Unmarshal(out, &theirs); err != nil || len(theirs.Rows) != 1 {
		return fmt.Errorf("measure PyTorch's memory: %d rows: %w", len(theirs.Rows), err)
	}
	q.Bytes = theirs.Rows[0].Bytes
	row.Peers[peerTorch] = q
	return nil
}
