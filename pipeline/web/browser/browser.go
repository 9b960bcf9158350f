// Package browser drives a real headless Chromium in tests of the live page.
package browser

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"posefuse/internal/testenv"
)

// path is where Debian's package puts the browser.
const path = "/usr/bin/chromium"

// Page is one open page. Its methods fail the test they were opened for.
type Page struct {
	t   *testing.T
	ctx context.Context

	mu       sync.Mutex
	problems []string
}

// Open starts Chromium, opens url and closes both when the test ends.
func Open(t *testing.T, url string) *Page {
	t.Helper()
	if _, err := os.Stat(path); err != nil {
		testenv.LeaveOut(t, "chromium is missing: apt-get install chromium (make test does it)")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*testenv.Patience)
	t.Cleanup(cancel)
	alloc, done := chromedp.NewExecAllocator(ctx, append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox,
		chromedp.UserDataDir(t.TempDir()), chromedp.Flag("hide-scrollbars", false), chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("use-angle", "swiftshader"),
		chromedp.Flag("enable-unsafe-swiftshader", true), chromedp.WindowSize(1440, 960))...)
	t.Cleanup(done)
	page, closePage := chromedp.NewContext(alloc)
	t.Cleanup(closePage)
	p := &Page{t: t, ctx: page}
	if err := chromedp.Listen(page, p.note); err != nil {
		t.Fatalf("start chromium: %v", err)
	}
	if err := chromedp.Do(page, chromedp.Navigate(url)); err != nil {
		t.Fatalf("open %s: %v", url, err)
	}
	return p
}

// note collects what the console shows as an error.
func (p *Page) note(ev any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch e := ev.(type) {
	case *runtime.EventExceptionThrown:
		p.problems = append(p.problems, "exception: "+e.ExceptionDetails.Text)
	case *runtime.EventConsoleAPICalled:
		if string(e.Type) == "error" {
			p.problems = append(p.problems, fmt.Sprintf("console.error: %v", e.Args))
		}
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError {
			p.problems = append(p.problems, "log: "+e.Entry.Text)
		}
	}
}

// Read returns the string that a JavaScript expression gives.
func (p *Page) Read(js string) string {
	p.t.Helper()
	s, err := chromedp.Run(p.ctx, chromedp.Evaluate[string](js))
	if err != nil {
		p.t.Fatalf("%s: %v", js, err)
	}
	return s
}

// Wait returns how long it took until a JavaScript expression was true, and
// fails when testenv.Patience is over; what says what was waited for.
func (p *Page) Wait(what, js string) time.Duration {
	p.t.Helper()
	start := time.Now()
	for ; ; time.Sleep(40 * time.Millisecond) {
		ok, err := chromedp.Run(p.ctx, chromedp.Evaluate[bool](js))
		if err == nil && ok {
			return time.Since(start)
		}
		if time.Since(start) > testenv.Patience {
			p.t.Fatalf("%s: not seen within %s (last error %v)", what, testenv.Patience, err)
		}
	}
}

// WaitSteady is Wait for what may show for a moment only: it returns how long
// it took until the expression was true and stayed so for half a second.
func (p *Page) WaitSteady(what, js string) time.Duration {
	p.t.Helper()
	start := time.Now()
	for {
		p.Wait(what, js)
		since := time.Now()
		for steady := true; steady; time.Sleep(40 * time.Millisecond) {
			if time.Since(since) > 500*time.Millisecond {
				return since.Sub(start)
			}
			ok, err := chromedp.Run(p.ctx, chromedp.Evaluate[bool](js))
			steady = err == nil && ok
		}
	}
}

// Screenshot saves a picture of the page among the test's artifacts.
func (p *Page) Screenshot(name string) {
	p.t.Helper()
	shot, err := chromedp.Run(p.ctx, chromedp.CaptureScreenshot())
	if err != nil {
		p.t.Fatal(err)
	}
	file := filepath.Join(p.t.ArtifactDir(), name)
	if err := os.WriteFile(file, shot, 0o600); err != nil {
		p.t.Fatal(err)
	}
	p.t.Logf("screenshot: %s", file)
}

// CheckConsole fails the test if the console showed an error.
func (p *Page) CheckConsole() {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.problems) > 0 {
		p.t.Errorf("the console shows %d errors:\n%s", len(p.problems), strings.Join(p.problems, "\n"))
	}
}
