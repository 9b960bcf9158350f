package pipeline

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/jpeg"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// The page's picture: how good it is, how long a viewer waits for one, and how
// many may wait at once.
const (
	pictureQuality = 80
	pictureWait    = 2 * time.Second
	maxWaiting     = 16
)

// pictureTap hands pictures of the camera to viewers, if web.show_image is true. It
// keeps none: a viewer waits for the next one.
type pictureTap struct {
	mu      sync.Mutex
	waiting []chan []byte // capacity 1
}

// see encodes the picture for those who wait, if any. It does not keep it.
func (t *pictureTap) see(img image.Image) {
	t.mu.Lock()
	waiting := t.waiting
	t.waiting = nil
	t.mu.Unlock()
	if len(waiting) == 0 {
		return
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: pictureQuality}); err != nil {
		b.Reset() // larger than a JPEG can be: the viewer gets no picture
	}
	for _, ch := range waiting {
		ch <- b.Bytes()
	}
}

// hide sends those who wait away.
func (t *pictureTap) hide() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, ch := range t.waiting {
		ch <- nil
	}
	t.waiting = nil
}

var (
	errNoPicture   = errors.New("no picture came from the camera; its state is on the page and in /api/status")
	errManyViewers = errors.New("too many viewers wait for a picture; ask again")
)

// next waits for a picture and returns it as a JPEG.
func (t *pictureTap) next(ctx context.Context) ([]byte, error) {
	ch := make(chan []byte, 1)
	t.mu.Lock()
	full := len(t.waiting) >= maxWaiting
	if !full {
		t.waiting = append(t.waiting, ch)
	}
	t.mu.Unlock()
	if full {
		return nil, errManyViewers
	}
	ctx, cancel := context.WithTimeout(ctx, pictureWait)
	defer cancel()
	select {
	case b := <-ch:
		if len(b) == 0 {
			return nil, errNoPicture
		}
		return b, nil
	case <-ctx.Done():
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, w := range t.waiting {
		if w == ch {
			t.waiting = append(t.waiting[:i], t.waiting[i+1:]...)
			break
		}
	}
	return nil, errNoPicture
}

// serve answers with the camera's next picture. It is asked only with
// web.show_image.
func (t *pictureTap) serve(w http.ResponseWriter, r *http.Request) {
	// Another page that the viewer has open may not show it.
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" && site != "none" {
		http.Error(w, "pictures are for the daemon's own page", http.StatusForbidden)
		return
	}
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("X-Content-Type-Options", "nosniff")
	b, err := t.next(r.Context())
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	h.Set("Content-Type", "image/jpeg")
	h.Set("Content-Length", strconv.Itoa(len(b)))
	_, _ = w.Write(b) // a viewer that left is no error
}
