package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"posefuse/sensors/capture"
	"posefuse/sensors/csi"
	"posefuse/sensors/lidar"
	"posefuse/sensors/modality"
	"posefuse/sensors/radar"
	"posefuse/setting"
)

// captureFormats are what posefuse decode reads.
func captureFormats() []capture.Format {
	return slices.Concat(lidar.Formats(), radar.Formats(), csi.Formats())
}

type decodeCmd struct {
	File     string `arg:"" placeholder:"FILE" help:"File to decode; - is standard input."`
	Format   string `default:"auto" placeholder:"NAME" help:"What the file holds; auto tells it from the file's start."`
	Metadata string `placeholder:"FILE" help:"Further file that a format needs, see below."`
	Sender   string `placeholder:"ADDRESS" help:"Only the frames of this sender: a LiDAR's IP address, a WiFi station's MAC address."`
	Summary  bool   `help:"Print one object about the whole file in place of a line per frame."`
}

// Help shows the formats and the command's examples.
func (decodeCmd) Help() string {
	var b strings.Builder
	b.WriteString("Prints a JSON object per frame: a sweep, a radar frame, a WiFi packet. What a decoder\n" +
		"refuses is counted by reason, on standard error or in the summary. Packet captures may be\n" +
		"pcap or pcapng. Frames of several sensors are never mixed: each line names its sender, the\n" +
		"summary all of them, and --sender chooses one. Points are in metres, in the sensor's frame (x forward, y left, z up); CSI is\n" +
		"as the device wrote it, real and imaginary part per value.\n\nFormats:\n\n")
	for _, f := range captureFormats() {
		fmt.Fprintf(&b, "  %-12s %s\n", f.Name, f.Title)
		if f.Metadata != "" {
			fmt.Fprintf(&b, "  %-12s --metadata: %s\n", "", f.Metadata)
		}
	}
	b.WriteString("\nExamples:\n\n" +
		"  posefuse decode csi.pcap > frames.jsonl\n" +
		"  posefuse decode --format ouster --metadata os1.json --summary os1.pcap\n" +
		"  posefuse decode --sender 192.168.50.21 --summary two-livox.pcap\n" +
		"  tcpdump -i wlan0 -w - udp port 5500 | posefuse decode --format nexmon -")
	return b.String()
}

// Run decodes the file.
func (c decodeCmd) Run(out io.Writer) error {
	in, name := os.Stdin, "standard input"
	if c.File != "-" {
		f, err := setting.Open(c.File)
		if errors.Is(err, setting.ErrNotRegular) {
			return fmt.Errorf("%w; give a stream on standard input, as -", err)
		}
		if err != nil {
			return err // names the file
		}
		defer f.Close() //nolint:errcheck // only read
		in, name = f, c.File
	}
	formats := captureFormats()
	if c.Format != "auto" && !slices.ContainsFunc(formats, c.chosen) {
		return fmt.Errorf("--format %s: unknown; use auto or %s", c.Format, strings.Join(formatNames(formats), ", "))
	}
	o := &capture.Options{MetadataName: c.Metadata, Sender: c.Sender}
	if c.Metadata != "" {
		var err error
		if o.Metadata, err = setting.ReadFile(c.Metadata, setting.MaxFile); err != nil {
			return fmt.Errorf("--metadata: %w", err)
		}
	}
	file, err := capture.Open(in)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	best := file.Best(formats)
	format := best
	if c.Format != "auto" {
		format = &formats[slices.IndexFunc(formats, c.chosen)]
	}
	if format == nil {
		return fmt.Errorf("%s: no format is recognised: %s; if you know what it is, say so with --format: %s", name, file.Looks(), strings.Join(formatNames(formats), ", "))
	}
	r := newDecodeReport(out, format, c.Summary)
	if err = file.Decode(format, o, r.output()); err != nil && r.Frames == 0 {
		return fmt.Errorf("%s: %w%s", name, adviseDecode(err), looksLike(format, best))
	}
	if err = errors.Join(err, r.finish()); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if r.Frames == 0 && len(r.Rejected) > 0 {
		return fmt.Errorf("%s: nothing was decoded as %s: %s%s", name, format.Name, reasons(r.Rejected), looksLike(format, best))
	}
	return nil
}

func (c decodeCmd) chosen(f capture.Format) bool { return f.Name == c.Format }

func formatNames(formats []capture.Format) []string {
	var names []string
	for i := range formats {
		names = append(names, formats[i].Name)
	}
	return names
}

// adviseDecode says which flag helps.
func adviseDecode(err error) error {
	if errors.Is(err, capture.ErrMetadata) {
		return fmt.Errorf("%w; give it with --metadata", err)
	}
	if errors.Is(err, capture.ErrNoSender) {
		return fmt.Errorf("--sender: %w", err)
	}
	return err
}

// looksLike names the format that the file fits, if another was asked for.
func looksLike(format, best *capture.Format) string {
	if best == nil || best.Name == format.Name {
		return ""
	}
	return fmt.Sprintf("; this looks like %s: try --format %s", best.Title, best.Name)
}

// valueNames are what a frame's values are called, and their first two columns.
func valueNames(m modality.Kind) (values, first, second string) {
	if m == modality.CSI {
		return "csi", "sum_re", "sum_im"
	}
	return "points", "sum_x", "sum_y"
}
