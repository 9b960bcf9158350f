package pipeline

import (
	"strings"
	"testing"

	"posefuse/frame"
	"posefuse/model"
)

// TestModelForAnyRoomNeedsTheRoom: without the sensors' places there is nothing
// that such a model could be given, and the error says what to do.
func TestModelForAnyRoomNeedsTheRoom(t *testing.T) {
	m := newFakeModel("fake")
	m.card.Config = m.card.Config.Room()
	cfg := testConfig(t)
	cfg.Extrinsics = ExtrinsicsConfig{}
	_, err := New(Options{Config: cfg, Model: m})
	if err == nil || !strings.Contains(err.Error(), "extrinsics.room_from_camera") || !strings.Contains(err.Error(), "recipe paper") {
		t.Errorf("without extrinsics: %v", err)
	}
	cfg.Extrinsics.RoomFromCamera = &frame.CameraPose{PositionM: [3]float64{0, 0, 1.25}}
	cfg.Extrinsics.RoomFromLiDAR = &frame.SensorPose{PositionM: [3]float64{0, 0, 1.4}}
	cfg.Extrinsics.RoomFromRadar = &frame.SensorPose{PositionM: [3]float64{0, 0, 1.2}}
	if _, err = New(Options{Config: cfg, Model: m}); err != nil {
		t.Errorf("with extrinsics: %v", err)
	}
	cfg.Person.Enabled = false
	if _, err = New(Options{Config: cfg, Model: m}); err == nil || !strings.Contains(err.Error(), "person.enabled") {
		t.Errorf("with the search off: %v", err)
	}
	if _, err = New(Options{Config: cfg, Model: newFakeModel("paper")}); err != nil {
		t.Errorf("a model of recipe %s with the search off: %v", model.RecipePaper, err)
	}
}
