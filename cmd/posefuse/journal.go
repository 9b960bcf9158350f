package main

import (
	"context"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coreos/go-systemd/v22/journal"

	"posefuse/message"
	"posefuse/pipeline"
)

// newLog writes to the journal, with priorities and fields, where systemd reads
// standard error; else to standard error in the configuration's format, and in the
// other one when asJSON changes.
func newLog(cfg pipeline.LogConfig, level *slog.LevelVar) (log *slog.Logger, asJSON *atomic.Bool) {
	setLevel(level, cfg.Level)
	asJSON = new(atomic.Bool)
	asJSON.Store(cfg.Format == "json")
	if underJournal() {
		return slog.New(&journalHandler{level: level, send: journal.Send}), asJSON
	}
	opt := &slog.HandlerOptions{Level: level}
	return slog.New(&formatHandler{asJSON, slog.NewTextHandler(os.Stderr, opt), slog.NewJSONHandler(os.Stderr, opt)}), asJSON
}

// formatHandler writes each record in the format of the moment.
type formatHandler struct {
	asJSON     *atomic.Bool
	text, json slog.Handler
}

func (h *formatHandler) now() slog.Handler {
	if h.asJSON.Load() {
		return h.json
	}
	return h.text
}

// Enabled implements slog.Handler.
func (h *formatHandler) Enabled(ctx context.Context, l slog.Level) bool {
	return h.now().Enabled(ctx, l)
}

// Handle implements slog.Handler.
func (h *formatHandler) Handle(ctx context.Context, r slog.Record) error {
	return h.now().Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h *formatHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &formatHandler{h.asJSON, h.text.WithAttrs(attrs), h.json.WithAttrs(attrs)}
}

// WithGroup implements slog.Handler.
func (h *formatHandler) WithGroup(name string) slog.Handler {
	return &formatHandler{h.asJSON, h.text.WithGroup(name), h.json.WithGroup(name)}
}

// tellStart is the first line of a daemon that runs: what of which configuration,
// where.
func tellStart(log *slog.Logger, file string, cfg *pipeline.Config, m *message.PoseModel, at addresses) {
	if m == nil {
		m = &message.PoseModel{Name: "none"}
	}
	log.Info("posefuse started", "version", version(), "room", cfg.Room, "configuration", orDefault(file, "none"),
		"model", strings.TrimSpace(m.Name+" "+m.Version), "sha256", m.SHA256, "state_dir", cfg.StateDir,
		"page", at.page, "nats", at.nats, "mqtt", at.mqtt)
}

// underJournal reports whether what the program says goes to systemd's journal.
var underJournal = sync.OnceValue(func() bool {
	stream, err := journal.StderrIsJournalStream()
	return err == nil && stream && journal.Enabled()
})

func setLevel(v *slog.LevelVar, level string) {
	var l slog.Level
	_ = l.UnmarshalText([]byte(level)) // checked with the configuration
	v.Set(l)
}

// journalHandler gives each record to the journal: its text with the attributes
// for people, priority and one field an attribute for queries such as
// journalctl PF_SENSOR=lidar -p warning.
type journalHandler struct {
	level slog.Leveler
	send  func(message string, p journal.Priority, fields map[string]string) error

	attrs  []slog.Attr // of WithAttrs, their keys complete
	prefix string      // of WithGroup
}

// Enabled implements slog.Handler.
func (h *journalHandler) Enabled(_ context.Context, l slog.Level) bool { return l >= h.level.Level() }

// WithAttrs implements slog.Handler.
func (h *journalHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	next := *h
	next.attrs = append([]slog.Attr(nil), h.attrs...)
	for _, a := range attrs {
		next.attrs = flatten(next.attrs, h.prefix, a)
	}
	return &next
}

// WithGroup implements slog.Handler.
func (h *journalHandler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	next := *h
	next.prefix += name + "."
	return &next
}

// Handle implements slog.Handler. What the journal does not take goes to
// standard error, which it reads as well.
func (h *journalHandler) Handle(_ context.Context, r slog.Record) error {
	attrs := append([]slog.Attr(nil), h.attrs...)
	r.Attrs(func(a slog.Attr) bool {
		attrs = flatten(attrs, h.prefix, a)
		return true
	})
	fields := map[string]string{"SYSLOG_IDENTIFIER": "posefuse"}
	var text strings.Builder
	text.WriteString(r.Message)
	for _, a := range attrs {
		value := attrText(a.Value)
		fields[fieldName(a.Key)] = value
		text.WriteString(" " + a.Key + "=" + quoted(value))
	}
	if err := h.send(text.String(), priority(r.Level), fields); err != nil {
		_, err = os.Stderr.WriteString(text.String() + "\n")
		return err
	}
	return nil
}

// priority is syslog's, which journalctl -p asks for.
func priority(l slog.Level) journal.Priority {
	switch {
	case l >= slog.LevelError:
		return journal.PriErr
	case l >= slog.LevelWarn:
		return journal.PriWarning
	case l >= slog.LevelInfo:
		return journal.PriInfo
	}
	return journal.PriDebug
}

// flatten appends an attribute with its whole key; groups become their members.
func flatten(to []slog.Attr, prefix string, a slog.Attr) []slog.Attr {
	v := a.Value.Resolve()
	if v.Kind() == slog.KindGroup {
		if a.Key != "" {
			prefix += a.Key + "."
		}
		for _, member := range v.Group() {
			to = flatten(to, prefix, member)
		}
		return to
	}
	if a.Key == "" {
		return to
	}
	return append(to, slog.Attr{Key: prefix + a.Key, Value: v})
}

func attrText(v slog.Value) string {
	if v.Kind() == slog.KindTime {
		return v.Time().UTC().Format(time.RFC3339Nano)
	}
	return v.String()
}

// fieldName makes a key one of the journal's: capitals, digits and underscores,
// in a name space of its own, at most 64 characters.
func fieldName(key string) string {
	name := "PF_" + strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
			return r
		}
		return '_'
	}, key)
	return name[:min(len(name), 64)]
}

// quoted writes a value as slog's text does: quoted where a space or a control
// character would make it two.
func quoted(v string) string {
	if v == "" || strings.ContainsFunc(v, func(r rune) bool { return r <= ' ' || r == '"' || r == '=' || r == 0x7f }) {
		return strconv.Quote(v)
	}
	return v
}
