package pipeline

import (
	"strings"
	"testing"

	"posefuse/model"
)

// TestModelForAnyRoomNeedsTheSearch: a place that nobody gave is assumed, but
// without the search there is nothing that such a model could be given, and the
// error says what to do.
func TestModelForAnyRoomNeedsTheSearch(t *testing.T) {
	m := newFakeModel("fake")
	m.card.Config = m.card.Config.Room()
	cfg := testConfig(t)
	cfg.Person.Enabled = true
	_, err := New(Options{Config: cfg, Model: m})
	if err != nil {
		t.Errorf("without extrinsics: %v", err)
	}
	cfg.Person.Enabled = false
	if _, err = New(Options{Config: cfg, Model: m}); err == nil || !strings.Contains(err.Error(), "person.enabled") {
		t.Errorf("with the search off: %v", err)
	}
	if _, err = New(Options{Config: cfg, Model: newFakeModel("paper")}); err != nil {
		t.Errorf("a model of recipe %s with the search off: %v", model.RecipePaper, err)
	}
}
