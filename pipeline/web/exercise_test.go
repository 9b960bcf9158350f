package web

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"

	"posefuse/internal/testenv"
	"posefuse/pipeline/web/browser"
)

// chooser stands for the daemon's exercise service.
type chooser struct {
	mu     sync.Mutex
	chosen []string
	fail   error
	user   string
}

func (c *chooser) choose(_ context.Context, user, _, _ string, order []byte) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.user = user
	if c.fail != nil {
		return nil, c.fail
	}
	var o struct{ Exercises []string }
	if err := json.Unmarshal(order, &o); err != nil {
		return nil, err
	}
	c.chosen = o.Exercises
	return order, nil
}

func (c *chooser) refuse(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fail = err
}

// looksFor are the exercises that were chosen last.
func (c *chooser) looksFor() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return strings.Join(c.chosen, ",")
}

// serve answers the list and returns the page's server.
func (c *chooser) serve(t *testing.T) *httptest.Server {
	t.Helper()
	nc := startBus(t)
	c.list(t, nc)
	srv := httptest.NewServer(Handler(nc, "room1", Options{Ask: c.choose}))
	t.Cleanup(srv.Close)
	return srv
}

// list answers what may be looked for.
func (c *chooser) list(t *testing.T, nc *nats.Conn) {
	t.Helper()
	_, err := nc.Subscribe("posefuse.room1.ctl.exercise.list", func(m *nats.Msg) {
		c.mu.Lock()
		defer c.mu.Unlock()
		var list []map[string]any
		for _, e := range [][2]string{{"A09", "lunge left-front"}, {"A12", "squat"}, {"A14", "raise hand right"}} {
			list = append(list, map[string]any{"exercise": e[0], "name": e[1], "chosen": len(c.chosen) == 0 || slices.Contains(c.chosen, e[0])})
		}
		text, err := json.Marshal(map[string]any{"exercises": list})
		if err == nil {
			err = m.Respond(text)
		}
		if err != nil {
			t.Error(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}

// serveOrders answers orders over the bus.
func (c *chooser) serveOrders(t *testing.T, nc *nats.Conn) {
	t.Helper()
	_, err := nc.Subscribe("posefuse.room1.ctl.exercise", func(m *nats.Msg) {
		reply, err := c.choose(t.Context(), "", "", "exercise", m.Data)
		if err == nil {
			err = m.Respond(reply)
		}
		if err != nil {
			t.Error(err)
		}
	})
	if err == nil {
		err = nc.Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestExerciseChosenInBrowser: the page shows what is looked for, changes it, and
// says why it may not.
func TestExerciseChosenInBrowser(t *testing.T) {
	c := &chooser{chosen: []string{"A12", "A14"}}
	page := browser.Open(t, c.serve(t).URL+"/engineer")
	choice := `document.getElementById("choice")`
	page.Wait("the programme is shown", choice+`.value === "several" && `+choice+`.selectedOptions[0].textContent === "programme: squat, raise hand right" && `+choice+`.offsetParent !== null`)
	pick := func(value string) {
		page.Read(choice + `.value = "` + value + `", ` + choice + `.dispatchEvent(new Event("change")), ""`)
		page.Wait("it asks", `document.getElementById("ask").open && document.getElementById("question").textContent.startsWith("Look for this")`)
		page.Read(`(document.querySelector('#ask button[value="yes"]').click(), "")`)
	}
	pick("A09")
	testenv.Wait(t, "the lunge is looked for", func() bool { return c.looksFor() == "A09" })
	page.Wait("it is shown", choice+`.value === "A09" && `+choice+`.options.length === 5 && document.getElementById("choiceNote").textContent === "Looked for now: lunge left-front."`)
	page.Screenshot("exercise.png")
	pick("several")
	testenv.Wait(t, "the programme is looked for", func() bool { return c.looksFor() == "A12,A14" })
	page.Wait("the programme is shown again", choice+`.value === "several"`)
	pick("")
	testenv.Wait(t, "all are looked for", func() bool { return c.looksFor() == "" })
	page.CheckConsole()
	c.refuse(ErrRole)
	pick("A12")
	page.Wait("the refusal is shown", `document.getElementById("choiceNote").textContent.includes("role control") && `+choice+`.value === ""`)
	if got := c.looksFor(); got != "" {
		t.Errorf("looks for %s", got)
	}
}

func TestWhoMayChoose(t *testing.T) {
	c := new(chooser)
	srv := c.serve(t)
	post := func(user, body string) *http.Response {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, srv.URL+"/api/exercise", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if user != "" {
			r.SetBasicAuth(user, "secret")
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		return resp
	}
	order := `{"exercises":["A12"]}`
	for _, x := range []struct {
		fail error
		user string
		body string
		want int
	}{
		{nil, "", order, http.StatusOK},
		{nil, "anna", order, http.StatusOK},
		{ErrLogin, "", order, http.StatusUnauthorized},
		{ErrRole, "anna", order, http.StatusForbidden},
		{errors.New("no exercise is called x"), "", order, http.StatusBadRequest},
		{nil, "", strings.Repeat(" ", maxOrder+1), http.StatusRequestEntityTooLarge},
	} {
		c.refuse(x.fail)
		resp := post(x.user, x.body)
		if resp.StatusCode != x.want || (resp.Header.Get("WWW-Authenticate") != "") != (x.want == http.StatusUnauthorized) {
			t.Errorf("%v: %d, %q", x, resp.StatusCode, resp.Header.Get("WWW-Authenticate"))
		}
		if c.user != x.user && x.want != http.StatusRequestEntityTooLarge {
			t.Errorf("asked as %q, want %q", c.user, x.user)
		}
	}
}

// TestNothingToChoose: without an exercise service the page has no list.
func TestNothingToChoose(t *testing.T) {
	for _, opt := range []Options{{}, {Ask: new(chooser).choose}} {
		srv := httptest.NewServer(Handler(startBus(t), "room1", opt))
		defer srv.Close()
		resp, err := http.Get(srv.URL + "/api/exercise")
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusNoContent {
			t.Errorf("answered with %d", resp.StatusCode)
		}
	}
}
