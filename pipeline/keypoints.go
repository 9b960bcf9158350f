package pipeline

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go"

	"posefuse/sensors"
	"posefuse/sensors/camera"
)

// busKeypoints is a camera whose keypoint lines come over the bus, one per
// message on posefuse.<room>.keypoints. Package sensors knows nothing of NATS,
// so the subscription is made here.
type busKeypoints struct {
	push    *camera.PushSource
	subject string
	conn    func() *nats.Conn
}

// Run subscribes until ctx ends. It implements sensors.Source.
func (k *busKeypoints) Run(ctx context.Context, sink sensors.Sink) error {
	sub, err := k.conn().Subscribe(k.subject, func(m *nats.Msg) {
		_ = k.push.Push(m.Data) // not running yet, or no more: as if it had come then
	})
	if err != nil {
		return fmt.Errorf("subscribe to %s: %w", k.subject, err)
	}
	defer func() { _ = sub.Unsubscribe() }() // the connection may be closing too
	return k.push.Run(ctx, sink)
}
