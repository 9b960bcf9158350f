package radar

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"
)

// Times of the command dialogue.
const (
	cliSilence      = 300 * time.Millisecond // no answer within this: the device is done, or deaf
	cliStartSilence = 10 * time.Second       // sensorStart calibrates the radio first
	cliLineGap      = 20 * time.Millisecond  // least time between commands
	cliMaxAnswer    = 16 << 10               // bytes; more is not a command port
	cliPromptTries  = 3
)

// prompt is what the demos print when they wait for a command.
var prompt = regexp.MustCompile(`(?:^|[\r\n])\s*\w+:/>\s*$`)

// ErrNoPrompt means that nothing on the port answers like a TI command line.
var ErrNoPrompt = errors.New("no prompt from the command port")

// CommandError is a command the radar refused or did not answer.
type CommandError struct {
	Line    int    // in the configuration file, 0 if not from there
	Command string // as sent
	Answer  string // what came back, one line, "" for silence
}

// Error names the line, the command and the answer.
func (e *CommandError) Error() string {
	where := ""
	if e.Line > 0 {
		where = fmt.Sprintf(" line %d", e.Line)
	}
	if e.Answer == "" {
		return fmt.Sprintf("radar configuration%s %q: no answer", where, e.Command)
	}
	return fmt.Sprintf("radar configuration%s %q refused: %s", where, e.Command, e.Answer)
}

// RefusedError are the commands of one configuration that the radar refused, at
// least one.
type RefusedError []*CommandError

// refusalsShown is how many refused lines an error names.
const refusalsShown = 5

// Error names each line with the radar's answer.
func (r RefusedError) Error() string {
	if len(r) == 1 {
		return r[0].Error()
	}
	text := fmt.Sprintf("radar configuration: %d lines refused:", len(r))
	for i, no := range r[:min(len(r), refusalsShown)] {
		if i > 0 {
			text += ","
		}
		text += fmt.Sprintf(" line %d %q: %s", no.Line, no.Command, no.Answer)
	}
	if len(r) > refusalsShown {
		text += fmt.Sprintf(", and %d more", len(r)-refusalsShown)
	}
	return text
}

// Unwrap returns the refusals.
func (r RefusedError) Unwrap() []error {
	out := make([]error, len(r))
	for i, no := range r {
		out[i] = no
	}
	return out
}

// CLI speaks with a radar's command port. It is not safe for concurrent use.
type CLI struct {
	rw io.ReadWriter
}

// NewCLI returns a dialogue over rw. Its Read must come back within a fraction
// of a second, with 0 bytes and no error if nothing arrived, as a serial port
// with a read timeout does.
func NewCLI(rw io.ReadWriter) *CLI { return &CLI{rw: rw} }

// Configure sends the commands of a configuration in order, each after the
// answer to the one before; behind a refused one it goes on, to tell all that
// are refused, but does not start the radar. identical says that this radar
// has accepted this very configuration before: then one that is refused is
// configured already, as with some demos that want a reset in between, and is
// started with what it has ("sensorStart 0"); Configure returns reused.
func (c *CLI) Configure(ctx context.Context, cfg *Config, identical bool) (reused bool, err error) {
	if err := c.awaitPrompt(ctx); err != nil {
		return false, err
	}
	var refused RefusedError
	for _, l := range cfg.Lines {
		start := strings.HasPrefix(l.Text, "sensorStart")
		if start && len(refused) > 0 {
			continue
		}
		err := c.command(ctx, l)
		var no *CommandError
		switch {
		case err == nil:
			continue
		case !errors.As(err, &no), no.Answer == "", strings.HasPrefix(l.Text, "sensorStop"):
			return false, err
		}
		refused = append(refused, no)
		if start {
			break
		}
	}
	if len(refused) == 0 {
		return false, nil
	}
	for _, no := range refused {
		identical = identical && !strings.Contains(no.Answer, "not recognized")
	}
	if !identical {
		return false, refused
	}
	if again := c.command(ctx, ConfigLine{Text: "sensorStart 0"}); again != nil {
		if errors.As(again, new(*CommandError)) {
			return false, refused
		}
		return false, again
	}
	return true, nil
}

// awaitPrompt drops old output and makes the device show its prompt.
func (c *CLI) awaitPrompt(ctx context.Context) error {
	if _, err := c.collect(ctx, 50*time.Millisecond, func(string) bool { return false }); err != nil {
		return err
	}
	for range cliPromptTries {
		if _, err := io.WriteString(c.rw, "\n"); err != nil {
			return fmt.Errorf("write to command port: %w", err)
		}
		got, err := c.collect(ctx, cliSilence, prompt.MatchString)
		if err != nil {
			return err
		}
		if prompt.MatchString(got) {
			return nil
		}
	}
	return ErrNoPrompt
}

func (c *CLI) command(ctx context.Context, l ConfigLine) error {
	if _, err := io.WriteString(c.rw, l.Text+"\n"); err != nil {
		return fmt.Errorf("write to command port: %w", err)
	}
	silence := cliSilence
	if strings.HasPrefix(l.Text, "sensorStart") {
		silence = cliStartSilence
	}
	// The wait ends at the prompt; once there is a verdict, a short silence
	// will do, for builds that do not print one.
	got, err := c.collectUntil(ctx, func(s string) (bool, time.Duration) {
		if prompt.MatchString(s) && verdict(s, l.Text) != "" {
			return true, 0
		}
		if verdict(s, l.Text) != "" {
			return false, cliSilence
		}
		return false, silence
	})
	if err != nil {
		return err
	}
	switch v := verdict(got, l.Text); v {
	case "":
		return &CommandError{Line: l.Number, Command: l.Text}
	case "ok":
	default:
		return &CommandError{Line: l.Number, Command: l.Text, Answer: v}
	}
	return pause(ctx, cliLineGap)
}

// verdict reads an answer: "ok", the refusing line, or "" if there is neither.
// The echo of the command is no answer.
func verdict(answer, command string) string {
	ok := false
	for _, line := range strings.FieldsFunc(answer, func(r rune) bool { return r == '\n' || r == '\r' }) {
		line = strings.TrimSpace(line)
		if i := strings.Index(line, ":/>"); i >= 0 {
			line = strings.TrimSpace(line[i+3:])
		}
		switch {
		case line == strings.TrimSpace(command):
		case strings.HasPrefix(line, "Error"), strings.Contains(line, "not recognized"):
			return line
		case strings.HasPrefix(line, "Done"), strings.HasPrefix(line, "Ignored"), strings.HasPrefix(line, "Skipped"):
			ok = true
		}
	}
	if ok {
		return "ok"
	}
	return ""
}

// collect reads until done, or until nothing came for the given time.
func (c *CLI) collect(ctx context.Context, silence time.Duration, done func(string) bool) (string, error) {
	return c.collectUntil(ctx, func(s string) (bool, time.Duration) { return done(s), silence })
}

func (c *CLI) collectUntil(ctx context.Context, state func(string) (done bool, silence time.Duration)) (string, error) {
	var got []byte
	buf := make([]byte, 512)
	last := time.Now()
	for {
		if err := ctx.Err(); err != nil {
			return string(got), err
		}
		done, silence := state(string(got))
		if done {
			return string(got), nil
		}
		// Only a read that began after the time was up proves silence: this
		// process may have been held up while the answer came.
		over := time.Since(last) >= silence
		n, err := c.rw.Read(buf)
		if over && n == 0 && err == nil {
			return string(got), nil
		}
		if n > 0 {
			got = append(got, buf[:n]...)
			last = time.Now()
		}
		if err != nil {
			return string(got), fmt.Errorf("read command port: %w", err)
		}
		if len(got) > cliMaxAnswer {
			return string(got), fmt.Errorf("%w: %d bytes without one; is this the data port?", ErrNoPrompt, len(got))
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
