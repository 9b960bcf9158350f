package pipeline

import (
	"posefuse/frame"
	"posefuse/model"
	timesync "posefuse/sync"
)

// newTicks builds the part that makes poses of ticks, for a configuration and the
// model that it begins with. Its owner adds publish and onError.
func (c *Config) newTicks(card model.Card, clock timesync.Clock, m *metrics) *tickLoop {
	var roomFromCamera *frame.Transform
	if p := c.Extrinsics.RoomFromCamera; p != nil {
		t := p.RoomFromCamera()
		roomFromCamera = &t
	}
	trained := card.TrainedIn()
	rig, _ := c.rig(&trained)
	l := newTickLoop(c.Room, c.Sync.RateHz, clock, roomFromCamera)
	l.metrics, l.points = m, newPointFeed(c.Room, roomFromCamera, &rig)
	if p := c.personStage(trained); p != nil {
		p.HoldRadar(card.Config.RadarFrames())
		l.person, l.intake = p, p.Intake
	}
	l.body = newBodyStage(c.Pose)
	return l
}

// aligner returns the settings of the aligner, without sensors.
func (s *SyncConfig) aligner(clock timesync.Clock) timesync.Config {
	return timesync.Config{
		Clock:       clock,
		Period:      s.TickPeriod(),
		Hold:        millis(float64(s.HoldMS)),
		Stale:       millis(float64(s.StaleMS)),
		MaxGap:      millis(float64(s.MaxGapMS)),
		NoPhaseLock: !s.PhaseLock,
	}
}

// aligned returns what the aligner knows of a sensor.
func (e *sensorEntry) aligned() timesync.SensorConfig {
	return timesync.SensorConfig{Name: e.name, Modality: e.modality,
		Period: millis(e.cfg.PeriodMS), Jitter: millis(e.cfg.ToleranceMS), Centre: millis(e.cfg.CentreMS)}
}
