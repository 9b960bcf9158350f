package pipeline

import (
	"strings"
	"testing"

	"posefuse/intake"
	"posefuse/sensors/modality"
	"posefuse/skeleton"
)

// upright is somebody who stands, room frame.
func upright() (p skeleton.Pose) {
	for j, at := range map[int][3]float64{
		skeleton.Pelvis: {0, 3, 0.95}, skeleton.Spine: {0, 3, 1.18}, skeleton.Thorax: {0, 3, 1.43}, skeleton.Nose: {0, 2.95, 1.57}, skeleton.Head: {0, 3, 1.70},
		skeleton.RightHip: {0.12, 3, 0.93}, skeleton.RightKnee: {0.13, 3, 0.51}, skeleton.RightAnkle: {0.14, 3, 0.09},
		skeleton.RightShoulder: {0.18, 3, 1.40}, skeleton.RightElbow: {0.22, 3, 1.12}, skeleton.RightWrist: {0.23, 3, 0.88},
	} {
		p[j] = at
	}
	for _, pair := range [][2]int{{skeleton.LeftHip, skeleton.RightHip}, {skeleton.LeftKnee, skeleton.RightKnee}, {skeleton.LeftAnkle, skeleton.RightAnkle},
		{skeleton.LeftShoulder, skeleton.RightShoulder}, {skeleton.LeftElbow, skeleton.RightElbow}, {skeleton.LeftWrist, skeleton.RightWrist}} {
		p[pair[0]] = p[pair[1]]
		p[pair[0]][0] *= -1
	}
	return p
}

// TestBodyIsLearnedAndForgotten: 2 s of quiet standing calibrate, and a request begins
// anew; the status says which.
func TestBodyIsLearnedAndForgotten(t *testing.T) {
	b := newBodyStage(DefaultConfig().Pose)
	in := intake.New()
	ns := int64(0)
	stand := func(ticks int) (calibrated bool) {
		for range ticks {
			ns += 100_000_000
			r := result{present: modality.All, joints: upright()}
			calibrated = b.take(ns, in, &r)
		}
		return calibrated
	}
	if h := b.health(); h.Code != "not_calibrated" || !strings.Contains(h.Text, "stands quietly") {
		t.Errorf("at first: %+v", h)
	}
	if stand(15) || !stand(10) {
		t.Error("calibrated after 1.5 s, or not after 2.5 s")
	}
	if h := b.health(); h.Code != "calibrated" || !strings.Contains(h.Text, "1.32 m") {
		t.Errorf("then: %+v", h)
	}
	reply, err := b.calibrate(nil)
	if err != nil || string(reply) != `{"calibrating":true}` {
		t.Errorf("%s, %v", reply, err)
	}
	if stand(15) || !stand(10) {
		t.Error("not learned anew after the request")
	}
	b.newNetwork()
	if !stand(1) {
		t.Error("another network forgets the bones")
	}
}

// TestBodySwitchedOff: poses stay as they are, and the status and a request say so.
func TestBodySwitchedOff(t *testing.T) {
	cfg, err := ParseConfig([]byte("pose: {filter: {enabled: false}, bones: {enabled: false}}"), nil)
	if err != nil {
		t.Fatal(err)
	}
	b := newBodyStage(cfg.Pose)
	if b != nil {
		t.Error("there is a stage")
	}
	if h := b.health(); h.Code != "off" || !strings.Contains(h.Text, "pose.bones.enabled") {
		t.Errorf("%+v", h)
	}
	if _, err := b.calibrate(nil); err == nil || !strings.Contains(err.Error(), "pose.bones.enabled") {
		t.Errorf("%v", err)
	}
	cfg.Pose.Filter.Enabled = true
	if h := newBodyStage(cfg.Pose).health(); h.Code != "ok" || !strings.Contains(h.Text, "late") {
		t.Errorf("the filter alone: %+v", h)
	}
}
