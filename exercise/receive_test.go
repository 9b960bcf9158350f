package exercise

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"testing"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"posefuse/message"
)

// FuzzSubscriber: whatever comes over the subscribed topics, each pose message is
// taken or counted, and what is told of the poses are messages that JSON can hold.
// Each line is a message; its first letter says of which topic.
func FuzzSubscriber(f *testing.F) {
	var set []byte
	for i := range int64(12) {
		s := standing()
		for j := range s { // the hips go down and up
			if j != jRAnkle && j != jLAnkle {
				s[j][1] += 0.08 * float64(min(i, 12-i))
			}
		}
		p := message.Pose{Schema: message.PoseSchema, Room: "room1", Seq: uint64(i + 1), CaptureNS: (i + 1) * 3e8, Frame: "camera", JointOrder: "h36m17", Coalition: "R"}
		joints := [17][3]float64(s)
		p.JointsM = &joints
		text, err := json.Marshal(&p)
		if err != nil {
			f.Fatal(err)
		}
		set = append(append(append(set, 'p'), text...), '\n')
	}
	f.Add(set)
	f.Add(bytes.ReplaceAll(set[:2000], []byte(`"capture_ns":`), []byte(`"capture_ns":-9`)))
	f.Add([]byte(`pnull` + "\n" + `p{"schema":"posefuse.pose.v1","room":"room1","capture_ns":9223372036854775807,"frame":"room","joint_order":"h36m17","joints_m":null}` + "\nr{}\n"))
	f.Add([]byte(`s{"schema":"posefuse.status.v1","model":{"sha256":"a"},"figures":{"angle_sd_deg":{"knee":-1},"movement_share":{"A12":1e308}}}` + "\n" + string(set)))
	f.Add([]byte(`o{"schema":"posefuse.exercise.status.v1","room":"room1","owner":"b","state":"online"}` + "\n" + `o{"schema":"posefuse.exercise.status.v1","room":"room1","owner":"b","state":"offline"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := NewSubscriber(SubscriberConfig{ClientID: "a", Tracker: Config{Room: "room1"}, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		tracker, err := NewTracker(Config{Room: "room1"}, &told{t})
		if err != nil {
			t.Fatal(err)
		}
		poses := uint64(0)
		for line := range bytes.SplitSeq(b, []byte("\n")) {
			if len(line) == 0 {
				continue
			}
			m := &heard{payload: line[1:], retained: line[0] == 'r'}
			switch line[0] {
			case 'o':
				s.receiveOwner(nil, m)
			case 's':
				s.receiveStatus(nil, m)
			default:
				poses++
				s.receive(nil, m)
			}
			for len(s.outbox) > 0 {
				if r := <-s.outbox; !json.Valid(r.text) {
					t.Fatalf("%s: %s", r.topic, r.text)
				}
			}
			for len(s.inbox) > 0 {
				if in := <-s.inbox; in.figures != nil {
					tracker.SetFigures(*in.figures)
				} else {
					tracker.Pose(in.pose)
				}
			}
		}
		tracker.Stop()
		if st := s.Stats(); st.Poses+st.Bad+st.Retained != poses || st.Dropped > 0 || st.Unconfirmed > 0 {
			t.Fatalf("%d pose messages: %+v", poses, st)
		}
	})
}

// heard is a message of the broker.
type heard struct {
	mqtt.Message
	payload  []byte
	retained bool
}

func (m *heard) Payload() []byte { return m.payload }
func (m *heard) Retained() bool  { return m.retained }
func (m *heard) Topic() string   { return "posefuse/room1" }

// told takes what a tracker says and fails where JSON cannot hold it.
type told struct{ t *testing.T }

func (o *told) check(what any) {
	if _, err := json.Marshal(what); err != nil {
		o.t.Fatalf("%+v: %v", what, err)
	}
}
func (o *told) Event(e *message.ExerciseEvent)     { o.check(e) }
func (o *told) Summary(s *message.ExerciseSummary) { o.check(s) }
func (o *told) Live(l *message.ExerciseLive)       { o.check(l) }
func (o *told) Notice(string, string)              {}
