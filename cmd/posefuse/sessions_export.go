package main

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"posefuse/message"
	"posefuse/recording/session"
)

type sessionsExportCmd struct {
	stateFlags
	Session string   `arg:"" placeholder:"SESSION" help:"Session, by name or path."`
	As      string   `default:"csv" enum:"csv,jsonl" help:"csv: a line per pose; jsonl: a line per message, with its channel and times."`
	Channel []string `placeholder:"CHANNEL" help:"Channels of --as jsonl, e.g. /pose; all if empty."`
	To      string   `default:"-" placeholder:"FILE" help:"File to write; - is standard output."`
}

// Help shows the command's example.
func (sessionsExportCmd) Help() string {
	return "Joints are metres in the frame of the pose, in the order h36m17; a pose without joints has empty fields. " +
		"The exit code is 3 if something of the session is lost.\n\n" +
		"Example:\n\n  posefuse sessions export 20261130T101500Z --to poses.csv"
}

// Run writes a session in another form.
func (c sessionsExportCmd) Run(out io.Writer) error {
	dir, err := session.Find(c.root(), c.Session)
	if err != nil {
		return err
	}
	if c.To != "-" {
		var f *os.File
		f, err = os.OpenFile(c.To, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
		if err != nil {
			return fmt.Errorf("--to: %w", err)
		}
		var check session.Check
		check, err = c.write(f, dir)
		if err = errors.Join(err, f.Close()); err != nil {
			return fmt.Errorf("--to %s: %w", c.To, err)
		}
		return lossOf(&check)
	}
	check, err := c.write(out, dir)
	if err != nil {
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
	if c.As == "csv" {
		check, err = exportPoses(buf, dir)
	} else {
		check, err = exportMessages(buf, dir, c.Channel)
	}
	return check, errors.Join(err, buf.Flush())
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
	number := func(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }
	_, check, err := session.Visit(dir, session.Part{Topics: []string{session.TopicPose}}, func(e *session.Event) error {
		var p message.Pose
		if err := message.UnmarshalPose(e.Text, &p); err != nil {
			return fmt.Errorf("pose at %d: %w", e.CaptureNS, err)
		}
		row := []string{strconv.FormatUint(p.Seq, 10), p.CaptureTime, strconv.FormatInt(p.CaptureNS, 10), p.Frame, p.Coalition, ""}
		if p.Presence != nil {
			row[5] = number(*p.Presence)
		}
		for j := range 17 {
			for k := range 3 {
				text := ""
				if p.JointsM != nil {
					text = number(p.JointsM[j][k])
				}
				row = append(row, text)
			}
		}
		return w.Write(row)
	})
	w.Flush()
	return check, errors.Join(err, w.Error())
}

// exportMessages writes a line per message.
func exportMessages(out io.Writer, dir string, topics []string) (session.Check, error) {
	enc := json.NewEncoder(out)
	_, check, err := session.Visit(dir, session.Part{Topics: topics}, func(e *session.Event) error {
		return enc.Encode(struct {
			Channel   string          `json:"channel"`
			AtNS      int64           `json:"at_ns"`
			CaptureNS int64           `json:"capture_ns"`
			Message   json.RawMessage `json:"message"`
		}{e.Topic, e.AtNS, e.CaptureNS, e.Text})
	})
	return check, err
}
