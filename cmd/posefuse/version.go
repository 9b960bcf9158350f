package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
)

type versionCmd struct {
	JSON bool `name:"json" help:"Print JSON."`
}

// Help shows the command's example.
func (versionCmd) Help() string { return "Example:\n\n  posefuse version --json" }

// builtFrom is what version tells, for machines.
type builtFrom struct {
	Version  string `json:"version"`
	Revision string `json:"revision"` // commit
	Time     string `json:"time"`     // of the commit
	Modified bool   `json:"modified"` // the checkout had changes
	Go       string `json:"go"`
	OS       string `json:"os"`
	Arch     string `json:"arch"`
}

// Run prints the version, the commit it was built from and the Go release.
func (c versionCmd) Run(out io.Writer) error {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return errors.New("this binary carries no build information")
	}
	b := builtFrom{Version: info.Main.Version, Revision: "unknown commit", Go: info.GoVersion, OS: runtime.GOOS, Arch: runtime.GOARCH}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Revision = s.Value
		case "vcs.time":
			b.Time = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	if c.JSON {
		return json.NewEncoder(out).Encode(b)
	}
	_, err := fmt.Fprintln(out, "posefuse", b.Version, b.Revision, b.Go)
	return err
}
