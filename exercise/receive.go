package exercise

import (
	"encoding/json"
	"fmt"
	"math"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"posefuse/message"
)

// refusedQoS is what a broker answers to a subscription that it does not
// allow. The client library takes it for a success.
const refusedQoS = 0x80

// maxTrunkM: a longer trunk is no person's, or not in metres.
const maxTrunkM = 2.0

// connected subscribes after every connection: with a clean session the broker
// has forgotten.
func (s *Subscriber) connected(client mqtt.Client) {
	s.hears.Store(false)
	for _, sub := range []struct {
		topic  string
		take   mqtt.MessageHandler
		needed bool
	}{
		{s.prefix + "/exercise/status", s.receiveOwner, false},
		{s.prefix + "/status", s.receiveStatus, false},
		{s.prefix + "/pose", s.receive, true},
	} {
		err := s.subscribe(client, sub.topic, sub.take)
		if err == nil {
			continue
		}
		if !sub.needed {
			s.cfg.Log.Warn("exercise subscriber goes on without", "topic", sub.topic, "error", err)
			continue
		}
		s.cfg.Log.Error("exercise subscriber gets no poses", "error", err)
		s.fail(err)
		return
	}
	s.connects.Add(1)
	s.cfg.Log.Info("exercise subscriber connected", "broker", s.cfg.Broker, "topic", s.prefix+"/pose")
	s.refused.Store(false)
	select {
	case s.arrived <- struct{}{}:
	default:
	}
}

// subscribe asks for one topic and takes the broker's word for it.
func (s *Subscriber) subscribe(client mqtt.Client, topic string, take mqtt.MessageHandler) error {
	token := client.Subscribe(topic, poseQoS, take)
	switch {
	case !token.WaitTimeout(s.cfg.Timeout):
		return fmt.Errorf("subscription to %s: no answer from %s within %v", topic, s.cfg.Broker, s.cfg.Timeout)
	case token.Error() != nil:
		return fmt.Errorf("subscription to %s: %w", topic, token.Error())
	}
	if t, ok := token.(*mqtt.SubscribeToken); ok && t.Result()[topic] == refusedQoS {
		return fmt.Errorf("subscription to %s refused by %s: let user %q read that topic in the broker's access list", topic, s.cfg.Broker, s.cfg.Username)
	}
	return nil
}

// heard notes that the broker delivers. Some brokers accept a subscription that
// they do not allow, and deliver nothing.
func (s *Subscriber) heard() {
	if s.hears.CompareAndSwap(false, true) {
		select {
		case s.hearing <- struct{}{}:
		default:
		}
	}
}

// deaf says so if nothing came through the subscriptions, not even the
// subscriber's own word.
func (s *Subscriber) deaf() {
	if s.hears.Load() {
		return
	}
	s.cfg.Log.Error("subscription refused: the broker accepted it, but delivers neither a pose nor this program's own status. Let the user read the topic in the broker's access list; if it may, the daemon is not publishing",
		"topic", s.prefix+"/pose", "user", s.cfg.Username, "broker", s.cfg.Broker, "waited", s.cfg.Timeout)
}

// fail ends Run, or with Retry tries again later.
func (s *Subscriber) fail(err error) {
	if s.cfg.Retry {
		s.refused.Store(true) // the heartbeat asks again
		return
	}
	select {
	case s.failed <- err:
	default:
	}
}

// receive takes a pose message; it never blocks the client's reader.
func (s *Subscriber) receive(_ mqtt.Client, m mqtt.Message) {
	s.heard()
	if m.Retained() {
		s.retained.Add(1)
		return
	}
	p := new(message.Pose)
	if err := s.read(m.Payload(), p); err != nil {
		s.bad.Add(1)
		now := time.Now().Unix()
		if last := s.lastBadLog.Load(); now-last >= 10 && s.lastBadLog.CompareAndSwap(last, now) {
			s.cfg.Log.Warn("message is no pose", "topic", m.Topic(), "error", err, "so_far", s.bad.Load())
		}
		return
	}
	s.poses.Add(1)
	s.give(input{pose: p})
}

// give hands to the tracker; where it is behind, the oldest gives way.
func (s *Subscriber) give(in input) {
	for {
		select {
		case s.inbox <- in:
			return
		default:
		}
		select {
		case old := <-s.inbox:
			if old.pose != nil {
				s.dropped.Add(1)
			}
		default:
		}
	}
}

// read decodes and checks a pose.
func (s *Subscriber) read(text []byte, p *message.Pose) error {
	if err := message.UnmarshalPose(text, p); err != nil {
		return err
	}
	switch {
	case p.Schema != message.PoseSchema:
		return fmt.Errorf("schema is %q, this program reads %q", p.Schema, message.PoseSchema)
	case p.Room != s.cfg.Tracker.Room:
		return fmt.Errorf("room is %q, the topic's is %q", p.Room, s.cfg.Tracker.Room)
	case p.JointOrder != "h36m17":
		return fmt.Errorf("joint order is %q, this program reads h36m17", p.JointOrder)
	case p.Frame != "room" && p.Frame != "camera":
		return fmt.Errorf("frame is %q, this program reads room and camera", p.Frame)
	case p.CaptureNS == 0:
		return fmt.Errorf("capture_ns is missing: without the time of the pose nothing can be counted")
	}
	if p.JointsM != nil {
		trunk := vec(p.JointsM[jThorax]).sub(vec(p.JointsM[jPelvis])).norm()
		if trunk > maxTrunkM || math.IsInf(trunk, 0) {
			return fmt.Errorf("the trunk is %.3g m long: joints_m is in metres", trunk)
		}
	}
	return nil
}

// receiveStatus takes the daemon's status for what it says of the model.
func (s *Subscriber) receiveStatus(_ mqtt.Client, m mqtt.Message) {
	var st message.Status
	if json.Unmarshal(m.Payload(), &st) != nil || st.Schema != message.StatusSchema || st.Model == nil {
		return
	}
	if last := s.model.Swap(&st.Model.SHA256); last != nil && *last == st.Model.SHA256 {
		return
	}
	f := new(Figures)
	if st.Figures != nil {
		*f = Figures{AngleSDDeg: st.Figures.AngleSDDeg, MovementShare: st.Figures.MovementShare}
	}
	if len(f.AngleSDDeg) == 0 || len(f.MovementShare) == 0 {
		s.cfg.Log.Warn("the model's card does not say how far off its angles are and how much of a movement it shows: less sure what is counted and what a fault is; measure it with posefuse eval --card",
			"code", "no_figures", "model", st.Model.Name, "version", st.Model.Version)
	}
	s.give(input{figures: f})
}
