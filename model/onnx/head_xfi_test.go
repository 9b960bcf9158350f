package onnx

import (
	"io"
	"strings"
	"testing"

	"posefuse/model"
)

// The head of the X-Fi comparison row is not exported, and the error says so.
func TestXFiHeadIsRefused(t *testing.T) {
	cfg := small("R")
	cfg.Head = model.XFiHead
	net, err := model.New(cfg, 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Write(io.Discard, net, Options{}); err == nil || !strings.Contains(err.Error(), `head "xfi": this build exports concat, mlp, attention, precision and reprojection`) {
		t.Errorf("got %v", err)
	}
}
