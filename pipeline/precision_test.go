package pipeline

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"posefuse/internal/modeltest"
	"posefuse/model"
)

// model.precision reaches the network, and the log and the status say what runs
// and why.
func TestModelPrecision(t *testing.T) {
	net, err := model.New(modeltest.Small(), 3)
	if err != nil {
		t.Fatal(err)
	}
	card := model.Card{Name: "small", Version: "1", Config: modeltest.Small(), Window: model.Causal}
	cfg := DefaultConfig()
	if cfg.Model.Precision != PrecisionAuto {
		t.Errorf("the default is %q, want %q", cfg.Model.Precision, PrecisionAuto)
	}
	for precision, want := range map[string]string{PrecisionAuto: "float32: the card names no other precision", "float32": "float32"} {
		inf, err := NewInfererIn(net, card, precision)
		if err != nil {
			t.Fatal(err)
		}
		cfg.Model.Precision, cfg.Person.Enabled = precision, false
		var log bytes.Buffer
		c, err := New(Options{Config: cfg, Model: inf, Log: slog.New(slog.NewTextHandler(&log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		if text := c.modelHealth().Text; !strings.HasSuffix(text, " in "+want) {
			t.Errorf("%s: the status says %q, want it to end in %q", precision, text, want)
		}
		if !strings.Contains(log.String(), want) {
			t.Errorf("%s: the log says %q, which lacks %q", precision, log.String(), want)
		}
	}
	var scales *model.NotCalibratedError
	if _, err := NewInfererIn(net, card, "int8"); model.Int8.Native() && !errors.As(err, &scales) {
		t.Errorf("int8 without scales: %v", err)
	}
	if _, err := ParseConfig([]byte("model: {precision: fp4}"), nil); err == nil || !strings.Contains(err.Error(), "model.precision") {
		t.Errorf("an unknown precision: %v", err)
	}
}
