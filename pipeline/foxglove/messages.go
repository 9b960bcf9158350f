package foxglove

import (
	"encoding/json"
	"time"

	"github.com/nats-io/nats.go"

	"posefuse/message"
)

// pose takes a pose of the room: as it is, and as a figure. A pose without joints, or
// with one that is not known, makes no figure; the last one fades by its lifetime.
func (s *server) pose(m *nats.Msg) {
	var p message.Pose
	if message.UnmarshalPose(m.Data, &p) != nil {
		return // somebody else's
	}
	at, err := time.Parse(time.RFC3339Nano, p.CaptureTime)
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.anchorNS = at.UnixNano() - p.CaptureNS
	if s.wanted[chanPose] > 0 {
		s.give(chanPose, m.Data)
	}
	if s.wanted[chanSkeleton] > 0 && known(p.JointsM) {
		s.text = s.opt.Scene(s.text[:0], p.JointsM, p.Frame, at.UnixNano())
		s.give(chanSkeleton, s.text)
	}
}

// known reports whether there is a whole pose: NaN is what nobody knows.
func known(joints *[17][3]float64) bool {
	if joints == nil {
		return false
	}
	for _, p := range joints {
		for _, v := range p {
			if v-v != 0 {
				return false
			}
		}
	}
	return true
}

// points takes the newest points of LiDAR and radar, in the frame of the pose.
func (s *server) points(m *nats.Msg) {
	var p message.Points
	if json.Unmarshal(m.Data, &p) != nil {
		return // somebody else's
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.anchorNS + p.CaptureNS
	if s.anchorNS == 0 { // before the first pose
		at = time.Now().UnixNano()
	}
	if s.wanted[chanLiDAR] > 0 {
		s.values = s.values[:0]
		for i := range p.LiDAR {
			s.values = append(s.values, p.LiDAR[i][:]...)
		}
		s.text = s.opt.Cloud(s.text[:0], p.Frame, at, s.values, "x", "y", "z")
		s.give(chanLiDAR, s.text)
	}
	if s.wanted[chanRadar] > 0 {
		s.values = s.values[:0]
		for i := range p.Radar {
			s.values = append(s.values, p.Radar[i][:]...)
		}
		s.text = s.opt.Cloud(s.text[:0], p.Frame, at, s.values, "x", "y", "z", "doppler")
		s.give(chanRadar, s.text)
	}
}
