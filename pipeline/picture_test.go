package pipeline

import (
	"bytes"
	"image"
	"image/color"
	"image/jpeg"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"
)

// plain is a picture of one colour.
func plain(c color.Color) image.Image {
	img := image.NewRGBA(image.Rect(0, 0, 32, 16))
	for i := range 32 * 16 {
		img.Set(i%32, i/32, c)
	}
	return img
}

// TestPictureTap: viewers get the next picture, all the same one; nobody gets
// an old one, and one that comes too late is not made.
func TestPictureTap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tap := &pictureTap{}
		tap.see(plain(color.Black)) // nobody waits: it is not kept
		answers := make(chan *httptest.ResponseRecorder, 3)
		ask := func(site string) {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/api/camera.jpg", nil)
			r.Header.Set("Sec-Fetch-Site", site)
			w := httptest.NewRecorder()
			tap.serve(w, r)
			answers <- w
		}
		go ask("same-origin")
		go ask("")
		synctest.Wait()
		tap.see(plain(color.White))
		for range 2 {
			w := <-answers
			img, err := jpeg.Decode(bytes.NewReader(w.Body.Bytes()))
			if err != nil || w.Code != http.StatusOK || img.Bounds().Dx() != 32 {
				t.Fatalf("%d, %v", w.Code, err)
			}
			if r, _, _, _ := img.At(3, 3).RGBA(); r < 0xf000 {
				t.Errorf("an old picture: red is %#x", r)
			}
			for key, want := range map[string]string{"Cache-Control": "no-store", "Content-Type": "image/jpeg", "Cross-Origin-Resource-Policy": "same-origin"} {
				if got := w.Header().Get(key); got != want {
					t.Errorf("%s: %q, want %q", key, got, want)
				}
			}
		}
		begin := time.Now()
		ask("same-origin")
		if w := <-answers; w.Code != http.StatusServiceUnavailable || time.Since(begin) != pictureWait {
			t.Errorf("a camera without pictures: %d after %s", w.Code, time.Since(begin))
		}
		if len(tap.waiting) != 0 {
			t.Error("a viewer that gave up still waits")
		}
		ask("cross-site")
		if w := <-answers; w.Code != http.StatusForbidden {
			t.Errorf("another site's page: %d", w.Code)
		}
		tap.waiting = make([]chan []byte, maxWaiting)
		ask("same-origin")
		if w := <-answers; w.Code != http.StatusServiceUnavailable {
			t.Errorf("one viewer too many: %d", w.Code)
		}
	})
}
