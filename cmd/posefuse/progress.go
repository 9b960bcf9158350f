package main

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"
)

// quietPeriod is how often a log, which is no terminal, gets a line.
const quietPeriod = time.Minute

// progress draws one line on a terminal. Elsewhere it writes one a minute.
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
	if !p.tty {
		p.log(share)
		return
	}
	if time.Since(p.last) < 100*time.Millisecond {
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

// log writes a line once a minute.
func (p *progress) log(share float64) {
	if since := time.Since(p.last); share <= 0 || share >= 1 || p.last.IsZero() && time.Since(p.begin) < quietPeriod || since < quietPeriod {
		return
	}
	p.last = time.Now()
	left := time.Duration(float64(time.Since(p.begin)) * (1 - share) / share).Round(time.Second)
	fmt.Fprintf(os.Stderr, "%s: %.0f %%, %s left\n", strings.TrimSpace(p.label), 100*share, left)
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
