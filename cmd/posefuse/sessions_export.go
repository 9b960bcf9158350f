package main

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"

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
		check, err = exportPoses(buf, dir)
	case "jsonl":
		check, err = exportMessages(buf, dir, c.Channel)
	case "pcap":
		check, err = c.exportPackets(buf, dir)
	case "sets", "fhir", "report":
		check, err = exportSets(buf, dir, c.Format, c.Language)
	default:
		check, err = c.exportMotion(buf, dir)
	}
	return check, errors.Join(err, buf.Flush())
}

// exportMotion writes the poses for programs of motion capture.
func (c sessionsExportCmd) exportMotion(out io.Writer, dir string) (session.Check, error) {
	var m export.Motion
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
func exportSets(out io.Writer, dir, format, language string) (session.Check, error) {
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
	switch format {
	case "fhir":
		return check, export.WriteFHIR(out, &s)
	case "report":
		return check, export.WriteReport(out, []export.Session{s}, language)
	}
	return check, export.WriteSets(out, &s)
}

// exportPoses writes a line per pose.
func exportPoses(out io.Writer, dir string) (session.Check, error) {
	w := csv.NewWriter(out)
	head := []string{"seq", "capture_time", "capture_ns", "frame", "coalition", "presence"}
	for j := range 17 {
		for _, axis := range []string{"x", "y", "z"} {
			head = append(head, fmt.Sprintf("joint%d_%s_m", j, axis))
		}
	}
	if err := w.Write(head); err != nil {
		return session.Check{}, err
	}
	_, check, err := session.Visit(dir, session.Part{Topics: []string{session.TopicPose}}, func(e *session.Event) error {
		var p message.Pose
		if err := message.UnmarshalPose(e.Text, &p); err != nil {
			return fmt.Errorf("pose at %d: %w", e.CaptureNS, err)
		}
		return w.Write(poseRow(&p))
	})
	w.Flush()
	return check, errors.Join(err, w.Error())
}

// poseRow is the line of a pose: what nobody knows is empty.
func poseRow(p *message.Pose) []string {
	row := []string{strconv.FormatUint(p.Seq, 10), p.CaptureTime, strconv.FormatInt(p.CaptureNS, 10), p.Frame, p.Coalition, ""}
	number := func(v float64) string {
		if v-v != 0 { // of a joint that is not known
			return ""
		}
		return strconv.FormatFloat(v, 'g', -1, 64)
	}
	if p.Presence != nil {
		row[5] = number(*p.Presence)
	}
	joints := p.JointsM
	for j := range 17 {
		for k := range 3 {
			text := ""
			if joints != nil {
				text = number(joints[j][k])
			}
			row = append(row, text)
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
