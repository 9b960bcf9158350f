package experiment

import (
	"bufio"
	"os"
	"runtime"
	"runtime/debug"
	"strings"

	"posefuse/model"
)

// Machine is where and by what a cell was trained.
type Machine struct {
	Program string `json:"program"` // version and commit
	Kernels string `json:"kernels"` // the instruction set its loops use
	Go      string `json:"go"`
	System  string `json:"system"` // operating system and architecture
	CPU     string `json:"cpu"`
	Cores   int    `json:"cores"`
}

// ThisMachine describes the machine and the program.
func ThisMachine() Machine {
	m := Machine{Go: runtime.Version(), System: runtime.GOOS + "/" + runtime.GOARCH, Cores: runtime.NumCPU(), CPU: cpuName(), Kernels: model.CPUPath()}
	if info, ok := debug.ReadBuildInfo(); ok {
		m.Program = info.Main.Version
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				m.Program += " " + s.Value
			}
		}
	}
	return m
}

// cpuName returns what the kernel calls the processor, or nothing.
func cpuName() string {
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }() // only read
	for s := bufio.NewScanner(f); s.Scan(); {
		if name, value, ok := strings.Cut(s.Text(), ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
