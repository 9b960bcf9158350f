package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"posefuse/model"
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

// torchKey is what a server is started for: a size of the network, and whether
// its threads wait for work asleep. Awake is OpenMP's own choice; beside other
// work a thread then waits for one that is off its core.
type torchKey struct {
	size   string
	asleep bool
}

// PyTorch's modes, see time.py.
var (
	inferModes = []string{"eager", "channels_last", "frozen", "optimized"}
	trainModes = []string{"nchw", "channels_last"}
	lowModes   = map[model.Precision][]string{
		model.Int8:     {"dynamic", "static", "static_frozen", "bf16", "autocast"},
		model.BFloat16: {"bf16", "autocast"},
	}
)

// torchFor returns a server and starts it on first use.
func (p *peers) torchFor(ctx context.Context, key torchKey) (*torchServer, error) {
	if why, gone := p.absent[peerTorch]; gone {
		return nil, fmt.Errorf("%w: %s", errAbsent, why)
	}
	if t := p.torch[key]; t != nil {
		return t, nil
	}
	t := &torchServer{cmd: p.command(ctx, "time.py", "--model", filepath.Join(p.dir, key.size), "--threads", strconv.Itoa(p.threads(key.size)), "--serve")}
	if key.asleep {
		t.cmd.Env = append(os.Environ(), "OMP_WAIT_POLICY=passive")
	}
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
	p.torch[key] = t
	t.out = bufio.NewReader(out)
	var hello struct {
		GEMM float64 `json:"gemm_gflops"`
	}
	if err := t.answer(&hello); err != nil {
		return nil, err
	}
	p.report.TorchGFLOPS = max(p.report.TorchGFLOPS, hello.GEMM)
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
		Error string  `json:"error"`
	}
	if err := t.answer(&a); err != nil {
		return nil, err
	}
	if a.Error != "" {
		return nil, fmt.Errorf("PyTorch: %w: %s", errMode, a.Error)
	}
	return a.Times, nil
}

// withTorch adds PyTorch in the best of the modes where it is installed.
func (p *peers) withTorch(ctx context.Context, all []contestant, size, name, task string, modes []string) ([]contestant, error) {
	best, err := p.bestTorch(ctx, size, task, modes)
	if errors.Is(err, errAbsent) {
		return all, nil
	}
	best.name = name
	return append(all, best), err
}

// errMode is a mode that this PyTorch cannot do; the others still can.
var errMode = errors.New("mode failed")

// bestTorch returns PyTorch's fastest of some modes for a task. Where threads
// wait for each other they do it asleep in this trial; then the best mode is
// tried with threads that wait awake, too. A mode that fails is left out by name.
func (p *peers) bestTorch(ctx context.Context, size, task string, modes []string) (contestant, error) {
	asleep := p.threads(size) > 1
	best, err := p.tryTorch(ctx, torchKey{size, asleep}, task, modes)
	if err != nil {
		return contestant{}, err
	}
	if asleep {
		awake, err := p.tryTorch(ctx, torchKey{size, false}, task, []string{best.mode})
		if err != nil && !errors.Is(err, errAbsent) {
			return contestant{}, err
		}
		if err == nil && awake.leastMS < best.leastMS {
			best = awake
		} else {
			best.asleep = true
		}
	}
	for _, t := range p.torch {
		mode := ""
		if t == best.server {
			mode = best.mode
		}
		if _, err := t.ask(map[string]any{"task": task, "keep": mode}); err != nil {
			return contestant{}, err
		}
	}
	c := contestant{name: peerTorch, mode: best.mode, run: func(runs int) (timings, error) { return best.server.time(task, best.mode, runs) }}
	if best.asleep {
		c.mode += ", waiting asleep"
	}
	return c, nil
}

// torchTrial is the best mode of one server.
type torchTrial struct {
	server  *torchServer
	asleep  bool
	mode    string
	leastMS float64
}

func (p *peers) tryTorch(ctx context.Context, key torchKey, task string, modes []string) (torchTrial, error) {
	runs := 3
	if strings.HasPrefix(task, "train") {
		runs = 1
	}
	t, err := p.torchFor(ctx, key)
	if err != nil {
		return torchTrial{}, err
	}
	best := torchTrial{server: t, leastMS: math.Inf(1)}
	for _, m := range modes {
		got, err := t.time(task, m, runs)
		if errors.Is(err, errMode) {
			p.note(err.Error())
			continue
		}
		if err != nil {
			return torchTrial{}, err
		}
		if got.min() < best.leastMS {
			best.leastMS, best.mode = got.min(), m
		}
	}
	if best.mode == "" {
		return torchTrial{}, fmt.Errorf("%w: PyTorch can do none of %s for %s", errAbsent, strings.Join(modes, ", "), task)
	}
	return best, nil
}

// time times a mode of a task.
func (t *torchServer) time(task, mode string, runs int) (timings, error) {
	return t.ask(map[string]any{"task": task, "mode": mode, "runs": runs})
}

// note adds a sentence to the report, once.
func (p *peers) note(text string) {
	if !slices.Contains(p.report.Notes, text) {
		p.report.Notes = append(p.report.Notes, text)
	}
}

// forgetTorch lets PyTorch free its networks.
func (p *peers) forgetTorch() {
	for _, t := range p.torch {
		_, _ = t.ask(map[string]any{"keep": ""}) // a dead server shows at the next question
	}
}

func (t *torchServer) close() {
	_ = t.in.Close() // ends its loop
	_ = t.cmd.Wait() // its status says nothing any more
}
