package bus

import (
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
)

// streamRetained is where the embedded server keeps retained messages.
const streamRetained = "$MQTT_rmsgs"

// Bounds of what MQTT clients can have kept.
const (
	maxRetained     = 256      // topics
	maxRetainedSize = 64 << 10 // bytes of a message
	maxSessions     = 1024     // of clients that are away; the oldest give way
)

// mqttStreams returns the streams in which the embedded server keeps what MQTT
// needs. It would make them itself, without bounds, for the first client.
func (b *Bus) mqttStreams() []nats.StreamConfig {
	store := int64(b.cfg.MaxStoreMiB) << 20
	return []nats.StreamConfig{
		{Name: streamRetained, Subjects: []string{"$MQTT.rmsgs.>"}, MaxMsgsPerSubject: 1,
			MaxMsgs: maxRetained, MaxMsgSize: maxRetainedSize, Discard: nats.DiscardNew},
		{Name: "$MQTT_sess", Subjects: []string{"$MQTT.sess.>"}, MaxMsgsPerSubject: 1, MaxMsgs: maxSessions},
		// For sessions that are away.
		{Name: "$MQTT_msgs", Subjects: []string{"$MQTT.msgs.>"}, Retention: nats.InterestPolicy, MaxBytes: store / 4},
		{Name: "$MQTT_qos2in", Subjects: []string{"$MQTT.qos2.in.>"}, MaxMsgsPerSubject: 1,
			Discard: nats.DiscardNew, DiscardNewPerSubject: true, MaxBytes: store / 8},
	}
}

// boundStreams makes the streams that are missing, and bounds those that an
// earlier version made.
func (b *Bus) boundStreams(js nats.JetStreamContext) error {
	for _, want := range b.mqttStreams() {
		want.Replicas, want.Storage = 1, nats.FileStorage
		info, err := js.StreamInfo(want.Name)
		switch {
		case errors.Is(err, nats.ErrStreamNotFound):
			_, err = js.AddStream(&want)
		case err == nil && bounds(&info.Config) != bounds(&want):
			c := info.Config
			c.MaxMsgs, c.MaxMsgSize, c.MaxBytes, c.Discard = want.MaxMsgs, want.MaxMsgSize, want.MaxBytes, want.Discard
			_, err = js.UpdateStream(&c)
		}
		if err != nil {
			return fmt.Errorf("stream %s: %w", want.Name, err)
		}
	}
	return nil
}

// streamBounds are the bounds of a stream; what is not set is 0.
type streamBounds struct {
	messages, bytes, size int64
	discard               nats.DiscardPolicy
}

func bounds(c *nats.StreamConfig) streamBounds {
	return streamBounds{max(c.MaxMsgs, 0), max(c.MaxBytes, 0), int64(max(c.MaxMsgSize, 0)), c.Discard}
}
