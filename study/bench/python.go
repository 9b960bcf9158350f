package bench

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// pythonFlags say where PyTorch and the scripts are.
type pythonFlags struct {
	Python  string `default:"/usr/bin/python3" help:"Python with PyTorch (Debian: apt-get install python3-torch libopenblas0-openmp)."`
	Scripts string `default:"study/bench" placeholder:"DIR" help:"Folder study/bench of the repository, which holds the peers' scripts."`
}

// command prepares a run of a script of study/bench/torch.
func (p pythonFlags) command(ctx context.Context, script string, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, p.Python, append([]string{filepath.Join(p.Scripts, "torch", script)}, args...)...)
}

// check reports what is missing, with the command that installs it.
func (p pythonFlags) check(ctx context.Context) error {
	if _, err := os.Stat(filepath.Join(p.Scripts, "torch", "network.py")); err != nil {
		return fmt.Errorf("%w: run in the repository's root, or name its folder study/bench with --scripts", err)
	}
	// Where this runs beside the scripts, their folder torch passes for a package.
	if out, err := exec.CommandContext(ctx, p.Python, "-c", "import torch; torch.tensor").CombinedOutput(); err != nil {
		return fmt.Errorf("%s cannot import torch (%w): apt-get install python3-torch libopenblas0-openmp, or name another interpreter with --python\n%s", p.Python, err, out)
	}
	return nil
}
