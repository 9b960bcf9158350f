package bus

import (
	"encoding/json"
	"fmt"

	"posefuse/message"
)

// PublishPoints sends point clouds for viewers, on NATS only: over a broker
// far away they would crowd out the poses. The embedded server's own MQTT
// clients can have them.
func (b *Bus) PublishPoints(p *message.Points) error { return b.publishForViewers("points", p) }

// PublishImageKeypoints sends what the camera saw, for viewers, as
// PublishPoints does.
func (b *Bus) PublishImageKeypoints(k *message.ImageKeypoints) error {
	return b.publishForViewers("image_keypoints", k)
}

func (b *Bus) publishForViewers(what string, m any) error {
	payload, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("publish %s: %w", what, err)
	}
	if err := b.nc.Publish(b.subject+what, payload); err != nil {
		b.dropped.Add(1)
		return fmt.Errorf("publish %s: %w", what, err)
	}
	return nil
}
