package main

import "testing"

func TestVisible(t *testing.T) {
	for in, want := range map[string]string{
		"a: b\n\tc é": "a: b\n\tc é", "\x1b[31mred\x07": `\u001b[31mred\u0007`, "\u009b2J": `\u009b2J`, "a\rb": `a\u000db`,
	} {
		if got := visible(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
