package pipeline

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"posefuse/frame"
	"posefuse/sensors"
	"posefuse/sensors/camera"
	"posefuse/sensors/modality"
	timesync "posefuse/sync"
)

// Watch runs the sensors of a configuration without the rest of the daemon, and
// shows each sample with its capture time to tap, one at a time, until ctx ends. A
// sensor that fails is tried again, as in the daemon; failed tells of it.
func Watch(ctx context.Context, cfg Config, tap func(*sensors.Sample), failed func(sensor, problem string)) error {
	if err := cfg.Check(); err != nil {
		return fmt.Errorf("configuration: %w", err)
	}
	sources, err := BuildSources(&cfg.Sensors)
	if err != nil {
		return fmt.Errorf("configuration: %w", err)
	}
	clock := timesync.NewClock()
	var mu sync.Mutex
	var stages []stage
	for _, e := range cfg.Sensors.list() {
		src := sources[e.modality]
		if src == nil {
			continue
		}
		if e.modality == modality.Camera {
			if err := watchable(&cfg, src); err != nil {
				return err
			}
		}
		model := timesync.NewClockModel(timesync.ModelConfig{FixedLatency: millis(e.cfg.LatencyMS)})
		supervisor := sensors.NewSupervisor(e.name, e.modality, src, sensors.SupervisorConfig{
			StaleAfter: millis(float64(e.cfg.StaleMS)),
			OnChange: func(s sensors.Snapshot) {
				if s.State == sensors.Down {
					failed(s.Name, s.WhatToDo())
				}
			},
		}, clock, func(s *sensors.Sample) {
			model.Stamp(s)
			mu.Lock()
			defer mu.Unlock()
			tap(s)
		})
		stages = append(stages, stage{"sensor " + e.name, supervisor.Run})
	}
	return runStages(ctx, stages)
}

// watchable gives a camera that takes pictures its detector, and refuses one whose
// keypoints come over the daemon's bus.
func watchable(cfg *Config, src sensors.Source) error {
	c, ok := src.(*configuredSource)
	if !ok {
		return nil
	}
	switch s := c.Source.(type) {
	case *camera.PushSource:
		return errors.New("sensors.camera.driver: keypoints over the bus need the daemon; use another driver for this")
	case *camera.VideoSource:
		d, err := NewDetector(cfg.Detector.Model)
		if err != nil {
			return fmt.Errorf("detector.model: %w", err)
		}
		s.Detector = d
	}
	return nil
}

// ThoughtRig returns how the sensors are thought to stand: what the configuration
// says, else level at usual heights, and a lens like that of the models' training.
// lensKnown is false for that.
func (c *Config) ThoughtRig() (r frame.Rig, lensKnown bool) {
	r, _ = c.rig(&frame.AnyRoom)
	return r, c.Extrinsics.Camera != nil
}
