package testenv

import (
	"os/exec"
	"path/filepath"
	"testing"
)

// Promtool returns Prometheus' own checker: of the path, or where make
// need-promtool puts Debian's. Without it the test is left out.
func Promtool(t testing.TB) string {
	t.Helper()
	for _, name := range []string{"promtool", filepath.Join(Root(), "bin", "promtool")} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	LeaveOut(t, "promtool is not installed: make need-promtool")
	return ""
}
