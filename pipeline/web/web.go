// Package web serves the live page and its feed. The page's assets are built
// with npm from src/ into dist/ (make web) and embedded.
package web

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"io/fs"
	"net/http"

	"github.com/nats-io/nats.go"
)

//go:embed all:dist
var dist embed.FS

//go:embed package.json
var manifest []byte

// Libraries returns what the page's script is bundled with: npm packages and
// their versions.
func Libraries() (map[string]string, error) {
	var m struct {
		Dependencies map[string]string `json:"dependencies"`
	}
	err := json.Unmarshal(manifest, &m)
	return m.Dependencies, err
}

// contentPolicy lets the page load nothing but itself: it works offline and
// cannot be made to talk to anyone else.
const contentPolicy = "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"

const notBuilt = `<!doctype html><meta charset="utf-8"><title>posefuse</title>
<p>This binary was built without the page's assets. Run <code>make web build</code> and start it again.
The API is at <a href="/api/status">/api/status</a>.</p>`

// Options are what the page has beside its feed.
type Options struct {
	// ShowImage reports whether a page that opens now asks for the camera's pictures
	// at api/camera.jpg; nil: it does not.
	ShowImage func() bool
	// Ask sends a request to the daemon's ctl.<name> as a user of the bus, for who
	// has not signed in at the guard; the error may be ErrLogin or ErrRole. nil:
	// nobody may.
	Ask func(ctx context.Context, user, password, name string, request []byte) ([]byte, error)
}

// Handler serves the session at /, the engineer's page at /engineer and their feed at /ws. nc is a connection to the
// bus, room the room whose subjects the feed carries.
func Handler(nc *nats.Conn, room string, opt Options) http.Handler {
	assets, err := fs.Sub(dist, "dist")
	if err != nil {
		panic(err) // the pattern above guarantees the folder
	}
	mux := http.NewServeMux()
	f := &feed{nc: nc, room: room}
	_ = f.hear() // a connection that is closed; the first viewer tries again
	mux.Handle("GET /ws", f)
	e := &controls{nc: nc, room: room, ask: opt.Ask}
	mux.HandleFunc("GET /api/me", e.me)
	mux.HandleFunc("GET /api/exercise", e.list("exercise.list"))
	mux.HandleFunc("GET /api/models", e.list("model.list"))
	if opt.Ask != nil {
		mux.HandleFunc("POST /api/exercise", e.order)
		mux.HandleFunc("POST /api/ctl/{name}", e.order)
	}
	for path, file := range map[string]string{"/{$}": "index.html", "/engineer": "engineer.html"} {
		mux.Handle("GET "+path, servePage(assets, file, opt.ShowImage))
	}
	files := http.FileServerFS(assets)
	mux.HandleFunc("GET /assets/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "no-cache")
		files.ServeHTTP(w, r)
	})
	return mux
}

// servePage serves one of the pages.
func servePage(assets fs.FS, file string, showImage func() bool) http.Handler {
	page, err := fs.ReadFile(assets, file)
	if err != nil {
		page = []byte(notBuilt)
	}
	withImage := bytes.Replace(page, []byte("<body>"), []byte("<body data-show-image>"), 1)
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		secure(w)
		w.Header().Set("Cache-Control", "no-cache")
		text := page
		if showImage != nil && showImage() {
			text = withImage
		}
		_, _ = w.Write(text) // a viewer that left is no error
	})
}
