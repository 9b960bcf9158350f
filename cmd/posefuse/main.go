// Command posefuse is the daemon and its tools; see posefuse --help.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"unicode"

	"github.com/alecthomas/kong"
)

type cli struct {
	Run        runCmd        `cmd:"" help:"Run the daemon: sensors in, poses out on NATS, MQTT and a web page."`
	Keypoints  keypointsCmd  `cmd:"" help:"Find a person's joints in pictures: print keypoint lines, draw figures."`
	Calibrate  calibrateCmd  `cmd:"" help:"Find a camera's lens from a checkerboard, the sensors' places from a person who walks."`
	Replay     replayCmd     `cmd:"" help:"Play MM-Fi recordings or the simulator as fake sensors against a running daemon."`
	Decode     decodeCmd     `cmd:"" help:"Decode a sensor's capture file of any format to JSON, or sum it up."`
	Data       dataCmd       `cmd:"" help:"Check a data set."`
	Simulate   simulateCmd   `cmd:"" help:"Write simulated recordings in MM-Fi's layout."`
	Train      trainCmd      `cmd:"" help:"Train a fused pose model."`
	Retrain    retrainCmd    `cmd:"" help:"Train the serving model further on a room's recordings; promote it if it is better."`
	Worker     workerCmd     `cmd:"" help:"Retrain rooms' models on a bigger machine: take jobs from the hub, give candidates back."`
	Learn      learnCmd      `cmd:"" help:"Demonstrate learning: a new simulated room, three recorded sessions, a better model promoted by itself."`
	Experiment experimentCmd `cmd:"" help:"Train a grid of models and report the paper's tables and figures."`
	Eval       evalCmd       `cmd:"" help:"Evaluate a model: MPJPE and PA-MPJPE per coalition and activity."`
	Models     modelsCmd     `cmd:"" help:"List, show, export, import and quantize models."`
	Record     recordCmd     `cmd:"" help:"Start and stop sessions of a running daemon."`
	Sessions   sessionsCmd   `cmd:"" help:"List, show, verify, recover, export and delete recorded sessions."`
	History    historyCmd    `cmd:"" help:"Keep, list, export and delete patients' sets over months."`
	Exercise   exerciseCmd   `cmd:"" help:"Count repetitions and report angles from the poses on MQTT."`
	Bench      benchCmd      `cmd:"" help:"Measure the network on this machine."`
	Measure    measureCmd    `cmd:"" help:"Measure the poses of a running daemon: rate, gaps, latency."`
	Doctor     doctorCmd     `cmd:"" help:"Say what is plugged in, what each port gives, what is missing and how to mend it."`
	Cert       certCmd       `cmd:"" help:"Make a self-signed certificate for the page on a tablet; print its fingerprint and the address as a QR code."`
	Check      checkCmd      `cmd:"" help:"Check a configuration file and say what is wrong with it."`
	Rooms      roomsCmd      `cmd:"" help:"List the rooms that speak at a hub: state, rate, model, disk, last session, what is wrong."`
	Reload     reloadCmd     `cmd:"" help:"Let a running daemon read its configuration and certificates again."`
	Config     configCmd     `cmd:"" help:"Print the documented default configuration, or yours as this release documents it."`
	Backup     backupCmd     `cmd:"" help:"Write the state, models and sessions of a room to an archive."`
	Restore    restoreCmd    `cmd:"" help:"Bring back what backup wrote, to a folder that is empty."`
	Forget     forgetCmd     `cmd:"" help:"Delete all that is stored of one person."`
	Audit      auditCmd      `cmd:"" help:"Show who connected to the daemon, was refused, and changed something, when."`
	Version    versionCmd    `cmd:"" help:"Print the version."`
	Sbom       sbomCmd       `cmd:"" help:"Print what the program is made of, as CycloneDX."`
	Manual     manualCmd     `cmd:"" help:"Write the manual pages."`
	Completion completionCmd `cmd:"" help:"Print the completion script of a shell."`
}

const description = `Fuses a camera, a LiDAR, a mmWave radar and WiFi CSI into live 3D poses.

With no arguments beyond "run" it starts on simulated sensors, so that a fresh
machine shows the whole product:

  posefuse run`

// newCLI returns the commands with the flags that tables give them. The parser
// also needs methodVars.
func newCLI() *cli {
	var c cli
	c.Train.Constants = kong.Plugins{constantFlags()}
	return &c
}

func main() {
	parser, err := kong.New(newCLI(), methodVars(), kong.Name("posefuse"), kong.Description(description),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}))
	if err != nil {
		panic(err) // a mistake in the tags above
	}
	args := os.Args[1:]
	if len(args) == 0 {
		args = []string{"--help"}
	}
	k, err := parser.Parse(args)
	if err != nil {
		refuse(parser, err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends at once
	k.BindTo(ctx, (*context.Context)(nil))
	k.BindTo(os.Stdout, (*io.Writer)(nil))
	err = advise(k.Run())
	interrupted := ctx.Err() != nil
	stop()
	if err != nil && (!interrupted || !errors.Is(err, context.Canceled)) {
		fmt.Fprintln(os.Stderr, "posefuse:", visible(err.Error()))
		if own, ok := errors.AsType[*exitError](err); ok {
			os.Exit(own.code)
		}
		os.Exit(1)
	}
	if err != nil {
		os.Exit(130)
	}
}

// visible escapes what would move a terminal's cursor: messages quote files and
// the command line.
func visible(text string) string {
	var b strings.Builder
	for _, r := range text {
		if r != '\n' && r != '\t' && unicode.IsControl(r) {
			fmt.Fprintf(&b, "\\u%04x", r)
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

// refuse says what is wrong with the command line and how it is used, and ends.
func refuse(parser *kong.Kong, err error) {
	parser.Errorf("%s", visible(err.Error()))
	code := 1
	if bad, ok := errors.AsType[*kong.ParseError](err); ok {
		usage, command := bad.Context.Model.Summary(), bad.Context.Model.Name
		if cmd := bad.Context.Selected(); cmd != nil {
			usage, command = " "+cmd.Summary(), cmd.FullPath()
		}
		fmt.Fprintf(parser.Stderr, "usage: %s%s; see %s --help\n", bad.Context.Model.Name, usage, command)
		code = bad.ExitCode()
	}
	parser.Exit(code)
}
