package browser

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"posefuse/internal/testenv"
)

// Size gives the page the size of a screen, in CSS pixels; touch makes it one that
// is touched.
func (p *Page) Size(width, height int64, touch bool) {
	p.t.Helper()
	var opts []chromedp.EmulateViewportOption
	if touch {
		opts = append(opts, chromedp.EmulateTouch, chromedp.EmulateMobile)
	}
	if err := chromedp.Do(p.ctx, chromedp.EmulateViewport(width, height, opts...)); err != nil {
		p.t.Fatalf("size of the screen: %v", err)
	}
}

// Goto opens another address in the page.
func (p *Page) Goto(url string) {
	p.t.Helper()
	if err := chromedp.Do(p.ctx, chromedp.Navigate(url)); err != nil {
		p.t.Fatalf("open %s: %v", url, err)
	}
}

// Reload loads the page again and returns when the new one is there.
func (p *Page) Reload() {
	p.t.Helper()
	p.Read(`(window.before = true, location.reload(), "")`)
	p.Wait("the page again", `window.before === undefined && document.readyState === "complete"`)
}

// Printed returns the text that the page shows on paper, and how many bytes it has
// as a PDF of A4.
func (p *Page) Printed() (text string, pdf int) {
	p.t.Helper()
	_, err := chromedp.Run(p.ctx, func(ctx context.Context, t *chromedp.Target) (chromedp.Void, error) {
		if _, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Media: "print"}); err != nil {
			return chromedp.Void{}, err
		}
		out, err := cdp.Call(ctx, t, page.PrintToPDF, page.PrintToPDFParams{PreferCSSPageSize: new(true)})
		if err == nil {
			pdf = len(out.Data)
			err = os.WriteFile(filepath.Join(p.t.ArtifactDir(), "printed.pdf"), out.Data, 0o600)
		}
		return chromedp.Void{}, err
	})
	if err != nil {
		p.t.Fatalf("print: %v", err)
	}
	text = p.Read(`document.body.innerText`)
	_, err = chromedp.Run(p.ctx, func(ctx context.Context, t *chromedp.Target) (chromedp.Void, error) {
		_, back := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{})
		return chromedp.Void{}, back
	})
	if err != nil {
		p.t.Fatalf("back to the screen: %v", err)
	}
	return text, pdf
}

// axe is the accessibility checker, a development dependency of the page.
const axe = "pipeline/web/node_modules/axe-core/axe.min.js"

// AxeScript returns the accessibility checker's code; without it the test is left out.
func AxeScript(t *testing.T) string {
	t.Helper()
	code, err := os.ReadFile(filepath.Join(testenv.Root(), filepath.FromSlash(axe)))
	if err != nil {
		testenv.LeaveOut(t, "axe-core is missing: rm -f pipeline/web/dist/index.html; make web")
	}
	return string(code)
}

// CheckAccess fails the test where the accessibility checker finds something
// serious or critical in the page; name says what is shown.
func (p *Page) CheckAccess(code, name string) {
	p.t.Helper()
	p.Read(code + `; window.found = null; axe.run(document, {resultTypes: ["violations"]}).then((r) => { window.found = r.violations.filter((v) => ["serious", "critical"].includes(v.impact)).map((v) => v.id + ": " + v.help + " " + v.nodes.map((n) => n.target.join(" ") + " (" + n.any.concat(n.all, n.none).map((c) => c.message).join("; ") + ")").join(", ")).join("\n"); }, (e) => { window.found = "axe: " + e; }), ""`)
	p.Wait("axe looks at "+name, `window.found !== null`)
	if found := p.Read(`window.found`); found != "" {
		p.t.Errorf("%s is not accessible:\n%s", name, found)
	}
}

// Before runs code in every page that is opened from now on, before its own.
func (p *Page) Before(code string) {
	p.t.Helper()
	_, err := chromedp.Run(p.ctx, func(ctx context.Context, t *chromedp.Target) (chromedp.Void, error) {
		_, err := cdp.Call(ctx, t, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: code})
		return chromedp.Void{}, err
	})
	if err != nil {
		p.t.Fatalf("code before the page: %v", err)
	}
}
