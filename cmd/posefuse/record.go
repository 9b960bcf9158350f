package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/nats-io/nats.go"

	"posefuse/recording/session"
)

type recordCmd struct {
	Start  recordStartCmd  `cmd:"" help:"Start a session of a running daemon."`
	Stop   recordStopCmd   `cmd:"" help:"Stop the session."`
	Status recordStatusCmd `cmd:"" help:"Say what is being recorded."`
}

// Help shows the command's examples.
func (recordCmd) Help() string {
	return "The daemon's configuration must have record.enabled: true. Pictures are never recorded.\n\n" +
		"Examples:\n\n  posefuse record start --subject P017 --consent\n  posefuse record status\n  posefuse record stop"
}

// daemonFlags say which daemon a request is for.
type daemonFlags struct {
	NATS string `name:"nats" default:"nats://127.0.0.1:4222" help:"NATS server of the daemon; with bus.users nats://USER:PASSWORD@HOST:PORT, of role control."`
	Room string `default:"room1" help:"Room of the daemon."`
	JSON bool   `name:"json" help:"Print JSON."`
}

// askPatience is how long a daemon may take for an answer: a disk may be slow.
const askPatience = 20 * time.Second

// ask sends a request of a control subject and returns the answer.
func (f daemonFlags) ask(ctx context.Context, name string, request any) ([]byte, error) {
	body, err := json.Marshal(request)
	if err != nil {
		return nil, err
	}
	nc, err := nats.Connect(f.NATS)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w; is the daemon running? (posefuse run)", f.NATS, err)
	}
	defer nc.Close()
	ctx, cancel := context.WithTimeout(ctx, askPatience)
	defer cancel()
	reply, err := nc.RequestWithContext(ctx, "posefuse."+f.Room+".ctl."+name, body)
	switch {
	case errors.Is(err, nats.ErrNoResponders):
		return nil, fmt.Errorf("%s: %w: no daemon of room %q at %s records; set record.enabled to true, or give --room", name, errNoDaemon, f.Room, f.NATS)
	case err != nil:
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if text := reply.Header.Get("Nats-Service-Error"); text != "" {
		return nil, errors.New(text)
	}
	return reply.Data, nil
}

// tell asks and prints: the answer as it is, or text made of it.
func (f daemonFlags) tell(ctx context.Context, out io.Writer, name string, request, answer any, text func() string) error {
	b, err := f.ask(ctx, name, request)
	if err != nil {
		return err
	}
	if f.JSON {
		_, err = fmt.Fprintln(out, string(b))
		return err
	}
	if err = json.Unmarshal(b, answer); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	_, err = fmt.Fprintln(out, text())
	return err
}

type recordStartCmd struct {
	daemonFlags
	Subject string   `required:"" placeholder:"PSEUDONYM" help:"Whose session it is: letters, digits, - and _, such as P017. No name."`
	Consent bool     `help:"The person agreed to be recorded. Without it nothing starts."`
	Note    string   `help:"A remark that is kept with the session."`
	Raw     []string `placeholder:"SENSOR" help:"Sensors of which the bytes are kept, too, as the drivers read them: lidar, radar, csi, camera; none for no sensor. What record.raw says if not given."`
}

// Help shows the command's example.
func (recordStartCmd) Help() string {
	return "Raw bytes are for looking at sensors and drivers again (posefuse replay --raw, posefuse sessions export --format pcap); they take several times the space. " +
		"A camera's are recorded where its driver takes keypoints; one that takes pictures is refused.\n\n" +
		"Examples:\n\n  posefuse record start --subject P017 --consent --note 'left knee, week 3'\n  posefuse record start --subject P017 --consent --raw lidar,radar"
}

// Run starts a session.
func (c recordStartCmd) Run(ctx context.Context, out io.Writer) error {
	var s sessionBrief
	return c.tell(ctx, out, "record.start", session.Request{Subject: c.Subject, Consent: c.Consent, Note: c.Note, Raw: c.raw()}, &s, func() string {
		return "recording session " + s.ID + " of " + s.Subject + "; posefuse record stop ends it"
	})
}

// raw are the sensors of --raw; nil if it was not given.
func (c recordStartCmd) raw() []string {
	if len(c.Raw) == 1 && c.Raw[0] == "none" {
		return []string{}
	}
	return c.Raw
}

type recordStopCmd struct{ daemonFlags }

// Help shows the command's example.
func (recordStopCmd) Help() string { return "Example:\n\n  posefuse record stop" }

// Run stops the session.
func (c recordStopCmd) Run(ctx context.Context, out io.Writer) error {
	var s sessionBrief
	return c.tell(ctx, out, "record.stop", struct{}{}, &s, func() string {
		text := fmt.Sprintf("session %s: %.0f s, %d messages, %s", s.ID, s.Seconds, s.Messages, sizeText(s.Bytes))
		if len(s.Dropped) > 0 {
			text += fmt.Sprintf("; not recorded: %v", s.Dropped)
		}
		return text
	})
}

type recordStatusCmd struct{ daemonFlags }

// Help shows the command's example.
func (recordStatusCmd) Help() string { return "Example:\n\n  posefuse record status --json" }

// Run prints what is being recorded.
func (c recordStatusCmd) Run(ctx context.Context, out io.Writer) error {
	var s session.Status
	return c.tell(ctx, out, "record.status", struct{}{}, &s, func() string {
		switch {
		case s.State != session.StateRecording:
			return "nothing is recorded"
		case s.Code != "ok":
			return fmt.Sprintf("session %s of %s: %s: %s", s.Session, s.Subject, s.Code, s.Text)
		}
		return fmt.Sprintf("session %s of %s: %d messages, %s", s.Session, s.Subject, s.Messages, sizeText(s.Bytes))
	})
}

// sizeText is a number of bytes for people.
func sizeText(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%.0f KiB", float64(n)/(1<<10))
}
