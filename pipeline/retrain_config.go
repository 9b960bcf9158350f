package pipeline

import (
	"time"

	"posefuse/setting"
)

// RetrainConfig is about the daemon's own retraining of the room's model, which
// runs in a process of its own.
type RetrainConfig struct {
	// At is the time of day, e.g. "03:30", at which the model learns from sessions
	// that were recorded since; empty: never by itself.
	At string `yaml:"at"`
	// Judge are folders of labelled recordings of the room, in MM-Fi's layout, that
	// a candidate is judged by.
	Judge []string `yaml:"judge"`
	// Workers gives the work to machines at bus.hub: sessions, Judge and the model are
	// sent there, and a candidate comes back.
	Workers   bool    `yaml:"workers"`
	Cores     float64 `yaml:"cores"`      // used on average
	MemoryMiB int     `yaml:"memory_mib"` // used at most
}

// DailyTime is the form of RetrainConfig.At.
const DailyTime = "15:04"

func (c *RetrainConfig) check(p *setting.Problems, hub string) {
	if c.At != "" {
		if _, err := time.Parse(DailyTime, c.At); err != nil {
			p.Add("retrain.at", "%q: want a time of day such as 03:30, or nothing", c.At)
		}
	}
	if c.Workers && hub == "" {
		p.Add("retrain.workers", "the workers are at a hub, and there is none: set bus.hub.url, or remove retrain.workers to retrain here")
	}
	p.Between("retrain.cores", c.Cores, 0.05, 64)
	p.Between("retrain.memory_mib", float64(c.MemoryMiB), 256, 1<<20)
}
