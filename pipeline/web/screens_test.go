package web

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"sync"
	"testing"

	"posefuse/pipeline/web/browser"
)

// TestScreensInBrowser: login, session and engineer's page on desktop, tablet and
// phone, with nothing serious against accessibility, and without WebGL.
func TestScreensInBrowser(t *testing.T) {
	axe := browser.AxeScript(t)
	c := &chooser{chosen: []string{"A12"}}
	nc := startBus(t)
	c.list(t, nc)
	c.serveOrders(t, nc)
	g := NewGuard(GuardOptions{Required: true, SignIn: func(_ context.Context, name, password, _ string) (Visitor, error) {
		if name != "anna" || password != "secret" {
			return Visitor{}, errors.New("nobody")
		}
		return Visitor{Name: name, Control: true, Valid: func() bool { return true }}, nil
	}})
	srv := httptest.NewServer(g.Wrap(Handler(nc, "room1", Options{Ask: c.choose})))
	t.Cleanup(srv.Close)
	room := &therapy{simulated: true, counts: true, reps: 7, fault: true}
	ctx, cancel := context.WithCancel(t.Context())
	var talking sync.WaitGroup
	t.Cleanup(func() { cancel(); talking.Wait() })
	talking.Go(func() { room.run(ctx, t, nc) })

	page := browser.Open(t, srv.URL)
	wait, read := page.Wait, page.Read
	enter := func(password string) {
		read(`(f => { f.user.value = "anna"; f.password.value = "` + password + `"; f.requestSubmit(); return "" })(document.forms[0])`)
	}
	wait("the login shows", `document.querySelector("main.login h1") !== null`)
	page.Size(900, 560, false)
	page.CheckAccess(axe, "the login")
	page.Screenshot("login.png")
	enter("wrong")
	wait("a wrong password is told", `document.getElementById("problem")?.textContent === "Name or password is wrong."`)
	enter("secret")
	live := `document.getElementById("state")?.textContent === "Measuring with 4 of 4 sensors" && document.getElementById("count").textContent === "7" && !document.getElementById("bar").hidden && document.getElementById("advice").textContent.startsWith("Go further")`
	wait("the session shows", live+` && !document.getElementById("signout").hidden && !document.getElementById("start").disabled`)
	for _, screen := range []struct {
		name          string
		width, height int64
		touch         bool
	}{{"desktop", 1440, 900, false}, {"tablet", 1024, 768, true}, {"phone", 390, 844, true}} {
		page.Size(screen.width, screen.height, screen.touch)
		wait(screen.name+" has nothing beside the screen", fmt.Sprintf(`document.documentElement.scrollWidth <= %d`, screen.width))
		wait(screen.name+" shows the count large", `parseFloat(getComputedStyle(document.getElementById("count")).fontSize) >= 160`)
		if small := read(`[...document.querySelectorAll("button, select, input, nav a")].filter((e) => e.offsetParent && (e.getBoundingClientRect().height < 44 || e.getBoundingClientRect().width < 44)).map((e) => e.id || e.textContent).join()`); small != "" {
			t.Errorf("%s: too small to touch: %s", screen.name, small)
		}
		page.CheckAccess(axe, screen.name)
		page.Screenshot(screen.name + ".png")
	}
	page.Size(1440, 900, false)
	page.Goto(srv.URL + "/engineer")
	wait("the engineer's page shows", `document.getElementById("link").textContent === "Measuring with 4 of 4 sensors" && document.getElementById("signout").hidden === false`)
	read(`(document.querySelector('[data-view="top"]').click(), "")`)
	wait("from above", `document.getElementById("view").dataset.view === "top"`)
	page.CheckAccess(axe, "the engineer's page")
	page.Screenshot("engineer.png")

	page.Before(withoutWebGL)
	page.Goto(srv.URL + "/engineer")
	wait("a flat figure moves without WebGL", `!document.getElementById("noWebGL").hidden && document.querySelector("#flat g").getAttribute("visibility") === "visible"`)
	if got := read(`[...document.querySelectorAll("#flat text")].map((e) => e.textContent + " " + getComputedStyle(e).strokeWidth).join()`); got != "L 0.03px,R 0.03px" {
		t.Errorf("the letters of the flat figure, whose unit is the metre, have strokes of %s", got)
	}
	wait("the count shows without WebGL", `document.getElementById("reps").textContent === "7/10"`)
	read(`(document.getElementById("signout").requestSubmit(), "")`)
	wait("signed out", `document.querySelector("main.login h1") !== null`)
}
