package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"posefuse/doctor"
)

type doctorCmd struct {
	For    time.Duration `help:"How long to listen at the ports, or to look with --sync; 3s, or 40s."`
	Ports  []int         `default:"7502,7503,2368,8308,56301,56401" help:"UDP ports to listen at: those of the LiDARs."`
	Sync   bool          `help:"Measure the delays between the sensors while one person walks to and fro."`
	Config string        `short:"c" placeholder:"FILE" help:"With --sync: configuration of the room."`
	JSON   bool          `name:"json" help:"Print JSON."`
}

// listenFor is how long ports are listened at.
const listenFor = 3 * time.Second

// Help shows the command's example.
func (doctorCmd) Help() string {
	return "Lists serial ports, cameras, network interfaces and UDP ports with data: what each gives, what\n" +
		"is missing and how to mend it. Nothing is sent and nothing changed; stop the daemon first, for\n" +
		"a port has one reader.\n\n" +
		"With --sync it runs the sensors of a configuration while one person walks to and fro and from\n" +
		"side to side, unevenly, with sudden stops, in sight of all. The velocities that the sensors see\n" +
		"are correlated: how much later one shows the same movement, how sharp that peak is, and what\n" +
		"latency_ms makes up for it.\n\n" +
		"Examples:\n\n  posefuse doctor\n  posefuse doctor --sync --config posefuse.yaml"
}

// Run looks and prints.
func (c doctorCmd) Run(ctx context.Context, out io.Writer) error {
	if c.Sync {
		return c.sync(ctx, out)
	}
	if c.Config != "" {
		return errors.New("--config: it goes with --sync alone; posefuse check looks at a configuration")
	}
	if c.For == 0 {
		c.For = listenFor
	}
	for _, p := range c.Ports {
		if p < 1 || p > 65535 {
			return fmt.Errorf("--ports: %d is no port", p)
		}
	}
	if c.For <= 0 || c.For > time.Minute {
		return fmt.Errorf("--for: %v is out of range, want more than 0 and at most 1m", c.For)
	}
	r := doctor.Examine(ctx, doctor.Options{Root: "/", Listen: c.For, UDPPorts: c.Ports})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if c.JSON {
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		return e.Encode(r)
	}
	_, err := io.WriteString(out, doctorText(r))
	return err
}

// doctorText is the report for people. Lines that ask for something begin with
// an exclamation mark.
func doctorText(r *doctor.Report) string {
	var b strings.Builder
	item := func(good bool, name string, more ...string) {
		mark := " "
		if !good {
			mark = "!"
		}
		fmt.Fprintf(&b, "%s %s\n", mark, name)
		for _, m := range more {
			if m != "" {
				fmt.Fprintf(&b, "      %s\n", m)
			}
		}
	}
	none := func(n int, text string) {
		if n == 0 {
			fmt.Fprintf(&b, "! %s\n", text)
		}
	}
	b.WriteString("Serial ports (radar, ESP32)\n")
	none(len(r.Serial), "none: plug in the radar, look with lsusb; over a network there is none")
	for _, p := range r.Serial {
		name := p.Path + ": " + p.Device
		if p.Role != "" {
			name += ", " + p.Role
		}
		item(p.Access.Good, name, p.Access.Text, "gives: "+p.Gives, p.Setting)
	}
	b.WriteString("\nCameras\n")
	none(len(r.Cameras), "none on this machine: plug in a webcam, or use a network camera (posefuse run --camera URL)")
	for _, p := range r.Cameras {
		item(p.Access.Good, p.Path+": "+p.Name, p.Access.Text, p.Setting)
	}
	b.WriteString("\nNetwork interfaces\n")
	none(len(r.Interfaces), "none but loopback: connect a network for the LiDAR")
	for _, p := range r.Interfaces {
		item(p.Finding.Good, p.Name+" "+strings.Join(p.Addresses, " "), p.Finding.Text)
	}
	b.WriteString("\nUDP ports (LiDAR)\n")
	heard := false
	for _, p := range r.UDP {
		if p.Datagrams == 0 && p.Finding.Good && p.Finding.Code != "in_use" {
			continue
		}
		heard = true
		looks := ""
		if p.Looks != "" {
			looks = "looks like " + p.Looks
		}
		item(p.Finding.Good, fmt.Sprintf("%d: %d datagrams from %s", p.Port, p.Datagrams, strings.Join(p.From, ", ")), looks, p.Finding.Text)
	}
	if !heard {
		b.WriteString("  nothing came: set the sensor's destination to this machine's address; tcpdump -n udp shows what comes\n")
	}
	b.WriteString("\nThis machine\n")
	for _, f := range r.Machine {
		item(f.Good, f.Text)
	}
	return b.String()
}
