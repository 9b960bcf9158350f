package message_test

import (
	"testing"
	"time"

	"posefuse/message"
)

func TestReception(t *testing.T) {
	var r message.Receiver
	begin := time.Unix(1000, 0)
	for i, p := range []struct {
		seq       uint64
		atMS      int
		coalition string
		joints    bool
		total     float64
	}{{7, 0, "RLMW", true, 40}, {8, 100, "RLMW", true, 20}, {11, 350, "-", false, 0}, {12, 400, "R", true, 30}} {
		pose := &message.Pose{Seq: p.seq, Coalition: p.coalition, LatencyMS: message.PoseLatency{Total: p.total}}
		if p.joints {
			pose.JointsM = &[17][3]float64{}
			age, skew := p.total+50, -3.0
			pose.Modalities = map[string]message.PoseModality{"L": {AgeMS: &age, SkewMS: &skew}}
		}
		r.Add(pose, begin.Add(time.Duration(p.atMS)*time.Millisecond))
		if r.Poses() != i+1 {
			t.Fatalf("%d poses after %d", r.Poses(), i+1)
		}
	}
	m := r.Reception()
	if m.Poses != 4 || m.Missing != 2 || m.WithoutJoints != 1 || m.WorstGapMS != 250 || m.Seconds != 0.4 || m.RateHz != 7.5 {
		t.Errorf("reception %+v", m)
	}
	if m.Coalitions["RLMW"] != 2 || m.Coalitions["R"] != 1 || m.Coalitions["-"] != 1 {
		t.Errorf("coalitions %v", m.Coalitions)
	}
	if want := (message.Quantiles{P50: 30, P95: 40, P99: 40, Max: 40}); m.Total != want {
		t.Errorf("total %+v, want %+v", m.Total, want)
	}
	if want := (message.Quantiles{P50: 77, P95: 87, P99: 87, Max: 87}); m.Publish != want {
		t.Errorf("publication %+v, want %+v", m.Publish, want)
	}
}
