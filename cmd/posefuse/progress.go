package main

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"
)

// progress draws one line on a terminal and nothing elsewhere.
type progress struct {
	mu    sync.Mutex
	label string
	begin time.Time
	last  time.Time
	tty   bool
}

func newProgress(label string) *progress {
	return &progress{label: label, begin: time.Now(), tty: term.IsTerminal(int(os.Stderr.Fd()))}
}

// show draws the bar at share (0..1) with a note, at most ten times a second.
func (p *progress) show(share float64, note string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.tty || time.Since(p.last) < 100*time.Millisecond {
		return
	}
	p.last = time.Now()
	const width = 28
	full := int(min(max(share, 0), 1) * width)
	left := ""
	if share > 0.01 {
		eta := time.Duration(float64(time.Since(p.begin)) * (1 - share) / share).Round(time.Second)
		left = fmt.Sprintf(" · %s left", eta)
	}
	fmt.Fprintf(os.Stderr, "\r%s [%s%s] %3.0f %%%s%s\x1b[K", p.label, strings.Repeat("█", full), strings.Repeat("·", width-full), 100*share, left, note)
}

// done ends the line.
func (p *progress) done() {
	if p.tty {
		fmt.Fprintln(os.Stderr)
	}
}

// progressOf returns a function that shows the progress of one thing after
// another, each on a line of its own, and one that ends the last line.
func progressOf() (show func(label string, share float64), done func()) {
	var mu sync.Mutex
	var bar *progress
	show = func(label string, share float64) {
		mu.Lock()
		defer mu.Unlock()
		if bar == nil || bar.label != label {
			if bar != nil {
				bar.done()
			}
			bar = newProgress(label)
		}
		bar.show(share, "")
	}
	return show, func() {
		if bar != nil {
			bar.done()
			bar = nil
		}
	}
}
