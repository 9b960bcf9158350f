package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"posefuse/export"
	"posefuse/message"
	"posefuse/recording/session"
	"posefuse/sensors"
)

type sessionsExportCmd struct {
	stateFlags
	Session  string   `arg:"" placeholder:"SESSION" help:"Session, by name or path."`
	Format   string   `aliases:"as" default:"csv" enum:"csv,angles,sets,jsonl,trc,mot,c3d,bvh,fhir,report,pcap" help:"csv, angles: a line per pose; sets: a line per set; jsonl: a line per message; trc, mot: OpenSim; c3d, bvh: motion capture, Blender; fhir: a Bundle of Observations; report: a page to print; pcap: raw datagrams and packets, for tcpdump, Wireshark and the sensor's own tools."`
	Channel  []string `placeholder:"CHANNEL" help:"Channels of --format jsonl, e.g. /pose, all if empty; of pcap, /lidar/raw if empty."`
	RateHz   float64  `placeholder:"HZ" help:"Rate of trc, mot, c3d and bvh; the poses' own if not given."`
	Language string   `default:"en" enum:"en,de,fr,zh" help:"Of report: en, de, fr or zh."`
	Decimal  string   `default:"point" enum:"point,comma" help:"Of csv, angles and sets: point, with commas between the cells; comma, with semicolons, for a spreadsheet in German, French and the like."`
	Patient  string   `placeholder:"ID" help:"Of fhir: the id that the server has for the person, for its searches by patient. The pseudonym alone if not given."`
	To       string   `default:"-" placeholder:"FILE" help:"File to write; - is standard output."`
}

// Help shows the command's examples.
func (sessionsExportCmd) Help() string {
	return "csv has metres in the frame of the pose, in the order h36m17; a pose without joints has empty fields. trc, mot, c3d and bvh have y up and an even rate; " +
		"gaps that they cannot show are filled, and standard error says how many. pcap puts each datagram into one Ethernet frame, however long; an Ouster's metadata " +
		"is written beside it. The exit code is 3 if something of the session is lost.\n\n" +
		"Examples:\n\n  posefuse sessions export 20261130T101500Z --to poses.csv\n  posefuse sessions export 20261130T101500Z --format trc --to walk.trc\n  posefuse sessions export 20261130T101500Z --format pcap --to lidar.pcap"
}

// Run writes a session in another form.
func (c sessionsExportCmd) Run(out io.Writer) error {
	dir, err := session.Find(c.root(), c.Session)
	if err != nil {
		return err
	}
	var check session.Check
	if err := toFile(c.To, out, func(w io.Writer) (err error) { check, err = c.write(w, dir); return err }); err != nil {
		return err
	}
	return lossOf(&check)
}

func lossOf(c *session.Check) error {
	if !c.Torn {
		return nil
	}
	return &exitError{exitLost, fmt.Errorf("session %s: something is lost; posefuse sessions verify says what", c.Session)}
}

func (c sessionsExportCmd) write(out io.Writer, dir string) (session.Check, error) {
	buf := bufio.NewWriter(out)
	var check session.Check
	var err error
	switch c.Format {
	case "csv":
		check, err = exportPoses(buf, dir, export.Decimal(c.Decimal))
	case "jsonl":
		check, err = exportMessages(buf, dir, c.Channel)
	case "pcap":
		check, err = c.exportPackets(buf, dir)
	case "sets", "fhir", "report":
		check, err = c.exportSets(buf, dir)
	default:
		check, err = c.exportMotion(buf, dir)
	}
	return check, errors.Join(err, buf.Flush())
}

// exportMotion writes the poses for programs of motion capture.
func (c sessionsExportCmd) exportMotion(out io.Writer, dir string) (session.Check, error) {
	m := export.Motion{Decimal: export.Decimal(c.Decimal)}
	_, check, err := session.Visit(dir, session.Part{Topics: []string{session.TopicPose}}, func(e *session.Event) error {
		var p message.Pose
		if err := message.UnmarshalPose(e.Text, &p); err != nil {
			return fmt.Errorf("pose at %d: %w", e.CaptureNS, err)
		}
		return m.Add(&p)
	})
	if err != nil {
		return check, err
	}
	told, err := m.Write(out, c.Format, filepath.Base(dir)+"."+c.Format, c.RateHz)
	for _, line := range told {
		fmt.Fprintln(os.Stderr, line)
	}
	return check, err
}

// exportSets writes the sets that were counted.
func (c sessionsExportCmd) exportSets(out io.Writer, dir string) (session.Check, error) {
	var s export.Session
	info, check, err := session.Visit(dir, session.Part{Topics: []string{session.TopicExercise}}, func(e *session.Event) error {
		var kind struct {
			Schema string `json:"schema"`
		}
		if err := json.Unmarshal(e.Text, &kind); err != nil || kind.Schema != message.ExerciseSummarySchema {
			return err
		}
		var set message.ExerciseSummary
		if err := json.Unmarshal(e.Text, &set); err != nil {
			return fmt.Errorf("set at %d: %w", e.AtNS, err)
		}
		s.Sets = append(s.Sets, set)
		return nil
	})
	if err != nil {
		return check, err
	}
	s.ID, s.Room, s.Subject, s.Started, s.Program = info.ID, info.Room, info.Subject, info.Started, "posefuse "+info.Version
	switch c.Format {
	case "fhir":
		return check, export.WriteFHIR(out, &s, c.Patient)
	case "report":
		return check, export.WriteReport(out, []export.Session{s}, c.Language)
	}
	return check, export.WriteSets(out, &s, export.Decimal(c.Decimal))
}

// exportPoses writes a line per pose.
func exportPoses(out io.Writer, dir string, decimal export.Decimal) (session.Check, error) {
	w := export.NewTable(out, decimal)
	head := []any{"seq", "capture_time", "capture_ns", "frame", "coalition", "presence"}
	for j := range 17 {
		for _, axis := range []string{"x", "y", "z"} {
			head = append(head, fmt.Sprintf("joint%d_%s_m", j, axis))
		}
	}
	if err := w.Row(head...); err != nil {
		return session.Check{}, err
	}
	_, check, err := session.Visit(dir, session.Part{Topics: []string{session.TopicPose}}, func(e *session.Event) error {
		var p message.Pose
		if err := message.UnmarshalPose(e.Text, &p); err != nil {
			return fmt.Errorf("pose at %d: %w", e.CaptureNS, err)
		}
		return w.Row(poseRow(&p)...)
	})
	return check, errors.Join(err, w.End())
}

// poseRow is the line of a pose: what nobody knows is empty.
func poseRow(p *message.Pose) []any {
	row := []any{p.Seq, p.CaptureTime, p.CaptureNS, p.Frame, p.Coalition, p.Presence}
	for j := range 17 {
		for k := range 3 {
			if p.JointsM == nil {
				row = append(row, "")
				continue
			}
			row = append(row, p.JointsM[j][k])
		}
	}
	return row
}

// exportMessages writes a line per message.
func exportMessages(out io.Writer, dir string, topics []string) (session.Check, error) {
	enc := json.NewEncoder(out)
	_, check, err := session.Visit(dir, session.Part{Topics: topics}, func(e *session.Event) error {
		text := json.RawMessage(e.Text)
		if e.Raw != nil {
			var err error
			if text, err = rawText(e.Raw); err != nil {
				return err
			}
		}
		return enc.Encode(struct {
			Channel   string          `json:"channel"`
			AtNS      int64           `json:"at_ns"`
			CaptureNS int64           `json:"capture_ns"`
			Message   json.RawMessage `json:"message"`
		}{e.Topic, e.AtNS, e.CaptureNS, text})
	})
	return check, err
}

// rawText is a raw message as JSON, the bytes in base64.
func rawText(r *sensors.Raw) ([]byte, error) {
	m := map[string]any{"receive_ns": r.AtNS, "transport": r.Transport.String(), "data": r.Data}
	if r.From.IsValid() {
		m["from"] = r.From.String()
	}
	if r.Begin {
		m["begin"] = true
	}
	if r.Link != 0 {
		m["link"] = r.Link
	}
	if r.Name != "" {
		m["name"] = r.Name
	}
	return json.Marshal(m)
}
