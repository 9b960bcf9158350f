package pipeline

import (
	"context"
	"path/filepath"

	"posefuse/audit"
	"posefuse/message"
	"posefuse/setting"
)

// AuditConfig is who connected, was refused and changed something, kept in
// state_dir.
type AuditConfig struct {
	Enabled  bool `yaml:"enabled"`
	KeepDays int  `yaml:"keep_days"` // 0: as long as there is space
	MaxMiB   int  `yaml:"max_mib"`
}

func (c *AuditConfig) check(p *setting.Problems) {
	p.Between("audit.keep_days", float64(c.KeepDays), 0, 36_500)
	p.Between("audit.max_mib", float64(c.MaxMiB), audit.MinMiB, 1<<20)
}

// openAudit begins the audit log; end writes what is still to be written.
func (c *Core) openAudit(ctx context.Context) (end func(), err error) {
	cfg := c.cfg.Audit
	if !cfg.Enabled || !c.keeps() {
		return func() {}, nil
	}
	log, err := audit.Open(filepath.Join(c.cfg.StateDir, audit.Folder), audit.Options{MaxMiB: cfg.MaxMiB, KeepDays: cfg.KeepDays})
	if err != nil {
		return nil, err
	}
	c.audit.Store(log)
	// It outlives ctx: how the daemon stops is an entry, too.
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		log.Run(ctx)
	}()
	log.Note(audit.Entry{Event: audit.Started, What: "version " + c.opt.Version + ", room " + c.cfg.Room})
	return func() {
		log.Note(audit.Entry{Event: audit.Stopped})
		cancel()
		<-done
	}, nil
}

// auditHealth is the part "audit", if the log is kept.
func (c *Core) auditHealth(parts []message.PartHealth) []message.PartHealth {
	log := c.audit.Load()
	if log == nil {
		if c.cfg.Audit.Enabled && !c.keeps() {
			parts = append(parts, message.PartHealth{Part: "audit", Code: "failed", Severity: severityWarning,
				Text: "who connects and changes something is not kept: see state"})
		}
		return parts
	}
	h := message.PartHealth{Part: "audit", Code: "ok", Severity: severityOK, Text: "who connects and changes something is kept"}
	if err := log.Err(); err != nil {
		h.Code, h.Severity = "failed", severityWarning
		h.Text = "who connects and changes something is not kept, and counted as lost: " + err.Error() + "; is there space in state_dir?"
	}
	return append(parts, h)
}
