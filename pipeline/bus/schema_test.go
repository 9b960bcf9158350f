package bus

import (
	"testing"

	"github.com/nats-io/nats.go"

	"posefuse/internal/schematest"
	"posefuse/internal/testenv"
	"posefuse/message"
)

func TestPublishedMessagesValidate(t *testing.T) {
	dir := t.TempDir()
	b := openIn(t, testConfig(), dir)
	natsURL, _, _ := b.Addresses()
	nc := natsClient(t, natsURL)
	ch := make(chan *nats.Msg, 100)
	if _, err := nc.ChanSubscribe("posefuse.room1.>", ch); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	ex := schematest.Examples()
	if _, err := b.PublishPose(nil, ex[message.PoseSchema].(*message.Pose)); err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{
		b.PublishStatus(ex[message.StatusSchema].(*message.Status)), b.PublishSensor(ex[message.SensorSchema].(*message.Sensor)),
		b.PublishPoints(ex[message.PointsSchema].(*message.Points)),
		b.PublishImageKeypoints(ex[message.ImageKeypointsSchema].(*message.ImageKeypoints)),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	subjects := map[string]string{"posefuse.room1.pose": message.PoseSchema, "posefuse.room1.status": message.StatusSchema, "posefuse.room1.sensor.radar": message.SensorSchema,
		"posefuse.room1.points": message.PointsSchema, "posefuse.room1.image_keypoints": message.ImageKeypointsSchema}
	for left := len(subjects); left > 0; left-- {
		m := testenv.Receive(t, "message", ch)
		if err := schematest.Validate(t, subjects[m.Subject], m.Data); err != nil {
			t.Errorf("%s: %v", m.Subject, err)
		}
	}
	// The daemon's last word and its will are messages too.
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	_, mqttURL, _ := openIn(t, testConfig(), dir).Addresses()
	_, stopped := waitRetained(t, mqttURL, message.Stopped)
	if err := schematest.Validate(t, message.StatusSchema, stopped); err != nil {
		t.Error(err)
	}
	o, ok := (&Bus{room: "room1", topic: "posefuse/room1/", cfg: Config{MQTT: MQTTConfig{URL: "tcp://x:1"}}}).mqttOptions(nil)
	if !ok {
		t.Fatal("no options for an external broker")
	}
	if err := schematest.Validate(t, message.StatusSchema, o.will.payload); err != nil {
		t.Error(err)
	}
}
