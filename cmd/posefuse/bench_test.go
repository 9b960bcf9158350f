package main

import "testing"

func TestBenchWithoutSubcommand(t *testing.T) {
	for _, args := range [][]string{{"bench"}, {"bench", "--size", "paper", "--threads", "1,2"}, {"bench", "model", "--precision", "bf16,int8"}} {
		k, err := newParser(t).Parse(args)
		if err != nil {
			t.Errorf("%v: %v", args, err)
			continue
		}
		if got := k.Selected().Path(); got != "bench model" {
			t.Errorf("%v runs %q", args, got)
		}
	}
	if _, err := newParser(t).Parse([]string{"bench", "--size", "huge"}); err == nil {
		t.Error("a size that does not exist is accepted")
	}
}
