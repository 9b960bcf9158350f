package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"posefuse/replay"
	"posefuse/sensors/modality"
)

// printCounts writes a line per sensor played, and of the counters only those
// that say something.
func printCounts(w io.Writer, counts map[modality.Kind]replay.Counts) {
	for m := range modality.Count {
		c, played := counts[m]
		if !played {
			continue
		}
		parts := []string{fmt.Sprintf("%d frames", c.Frames), fmt.Sprintf("%d pieces sent", c.Sent)}
		for _, x := range []struct {
			n    uint64
			name string
		}{
			{c.Unsent, "not delivered"}, {c.Lost, "lost"}, {c.Duplicated, "duplicated"}, {c.Reordered, "reordered"}, {c.Cut, "cut"},
			{c.Restarts, "restarts"}, {c.Steps, "clock steps"}, {c.Absent, "frames without data"}, {c.Idle, "frames before the daemon started it"},
			{c.Unreadable, "unreadable frames"}, {c.Off, "frames off"},
		} {
			if x.n > 0 {
				parts = append(parts, fmt.Sprintf("%d %s", x.n, x.name))
			}
		}
		_, _ = fmt.Fprintf(w, "%-7s %s\n", m, strings.Join(parts, ", "))
	}
}

// printCountsJSON writes the counters by sensor.
func printCountsJSON(w io.Writer, counts map[modality.Kind]replay.Counts) error {
	named := map[string]replay.Counts{}
	for m, c := range counts {
		named[m.String()] = c
	}
	return json.NewEncoder(w).Encode(named)
}

// undelivered says which sensors played to nobody, or could not be played; nil
// if something of each arrived or its clips hold nothing. A LiDAR's datagrams
// count as delivered: like the sensor, the replay does not see who hears them.
func undelivered(counts map[modality.Kind]replay.Counts) error {
	var errs []error
	add := func(m modality.Kind, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s: "+format, append([]any{m}, args...)...))
	}
	for m := range modality.Count {
		c := counts[m]
		switch {
		case c.Unreadable > 0:
			add(m, "%d frames cannot be read; the lines above name the files", c.Unreadable)
		case c.Sent > 0 || c.Cut+c.Lost > 0:
		case c.Unsent > 0:
			add(m, "no driver took anything; start the daemon first with this sensor on (posefuse run --config configs/replay.yaml), or leave it out (--without %s)", m)
		case c.Idle > 0:
			add(m, "the daemon did not start it; its configuration must name this replay's ports and a config_file, or leave it out (--without %s)", m)
		case c.Off > 0:
			add(m, "could not be plugged in; the lines above say why")
		}
	}
	return errors.Join(errs...)
}
