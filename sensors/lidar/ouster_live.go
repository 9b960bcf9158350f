package lidar

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"posefuse/setting"
)

// Times of the metadata.
const (
	metadataLook    = 500 * time.Millisecond // how often the file is looked at
	metadataRefetch = 2 * time.Second        // least time between two questions to the sensor
	metadataTimeout = 3 * time.Second        // of one question
)

// metadataPath is where the sensor's web server has its metadata, from firmware
// 2.1 on.
const metadataPath = "/api/v1/sensor/metadata"

// isHost reports whether s is an address or a name, perhaps with a port.
func isHost(s string) bool {
	if strings.ContainsAny(s, "/@?# %\\") {
		return false
	}
	host := s
	if h, _, err := net.SplitHostPort(s); err == nil {
		host = h
	}
	if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return true
	}
	return host != "" && !strings.ContainsAny(host, ":[]")
}

// metadataWatch gets a sensor's metadata and gets it again: the file when it
// changes, the sensor when its packets say that it was reconfigured.
type metadataWatch struct {
	cfg    *OusterConfig
	client *http.Client
	wanted atomic.Bool // packets were refused
	next   atomic.Pointer[news]
	done   sync.WaitGroup
	cancel context.CancelFunc
	file   fs.FileInfo // as read last, nil if there was none
	text   string      // that was read last
	asked  time.Time
}

// news is new metadata, or why there is none.
type news struct {
	meta   *Metadata
	text   string // of meta
	failed string
}

func newMetadataWatch(c *OusterConfig) *metadataWatch {
	return &metadataWatch{cfg: c, client: &http.Client{Timeout: metadataTimeout,
		Transport:     &http.Transport{Proxy: nil, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// remedy says who gets new metadata.
func (w *metadataWatch) remedy() string {
	if w.cfg.Sensor != "" {
		return "its metadata is fetched again from " + w.cfg.Sensor
	}
	return fmt.Sprintf("fetch its metadata (http://SENSOR%s) and save it as %s; it is taken without a restart", metadataPath, w.cfg.MetadataFile)
}

// refetch says that packets do not fit the metadata.
func (w *metadataWatch) refetch() { w.wanted.Store(true) }

// news returns metadata that came since the last call, or why some could not be
// taken; nil if nothing happened.
func (w *metadataWatch) news() *news {
	if w.next.Load() == nil { // nearly always
		return nil
	}
	return w.next.Swap(nil)
}

// first returns the metadata to begin with: the sensor's own, or that of the
// file if the sensor does not answer.
func (w *metadataWatch) first(ctx context.Context) (*Metadata, error) {
	var asked error
	if w.cfg.Sensor != "" {
		meta, err := w.ask(ctx)
		if err == nil {
			w.file, _ = os.Stat(w.cfg.MetadataFile) // of no use until it changes
			return meta, nil
		}
		asked = err
	}
	if w.cfg.MetadataFile == "" {
		return nil, asked
	}
	meta, err := w.read()
	if err == nil {
		return meta, nil
	}
	if asked != nil && errors.Is(err, fs.ErrNotExist) {
		return nil, asked
	}
	if _, ok := errors.AsType[badMetadata](err); ok {
		return nil, err
	}
	return nil, &setting.Problem{Key: "metadata_file", Err: err, Text: func(key string) string {
		return fmt.Sprintf("metadata: %v: save the sensor's GET %s there, or correct %s", err, metadataPath, key)
	}}
}

// badMetadata is the error of a file that was read and is no metadata.
type badMetadata struct{ error }

// Unwrap returns the error itself.
func (b badMetadata) Unwrap() error { return b.error }

// read reads the file.
func (w *metadataWatch) read() (*Metadata, error) {
	info, err := os.Stat(w.cfg.MetadataFile)
	if err != nil {
		return nil, openError(err)
	}
	w.file = info
	text, err := setting.ReadFile(w.cfg.MetadataFile, setting.MaxFile)
	if err != nil {
		return nil, err
	}
	w.text = string(text)
	meta, err := ParseMetadata(text)
	if err != nil {
		return nil, badMetadata{fmt.Errorf("%s: %w", w.cfg.MetadataFile, err)}
	}
	return meta, nil
}

// openError words the error of a file that is not there like that of opening it.
func openError(err error) error {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return &fs.PathError{Op: "open", Path: p.Path, Err: p.Err}
	}
	return err
}

// ask gets the metadata from the sensor.
func (w *metadataWatch) ask(ctx context.Context) (*Metadata, error) {
	w.asked = time.Now()
	url := "http://" + w.cfg.Sensor + metadataPath
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, &setting.Problem{Key: "sensor", Err: err, Text: func(key string) string {
			return fmt.Sprintf("the sensor's address %q is none: correct %s", w.cfg.Sensor, key)
		}}
	}
	res, err := w.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask the sensor for its metadata: %w", err)
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("ask the sensor for its metadata: %s answers %s: firmware before 2.1 has no metadata there; save it with the vendor's tools and name it in metadata_file", url, res.Status)
	}
	text, err := io.ReadAll(io.LimitReader(res.Body, maxMetadataBytes+1))
	if err != nil {
		return nil, fmt.Errorf("ask the sensor for its metadata: %w", err)
	}
	w.text = string(text)
	meta, err := ParseMetadata(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", url, err)
	}
	return meta, nil
}

// start watches until ctx ends or stop is called.
func (w *metadataWatch) start(ctx context.Context) {
	ctx, w.cancel = context.WithCancel(ctx)
	w.done.Go(func() {
		t := time.NewTicker(metadataLook)
		defer t.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-t.C:
			}
			w.look(ctx)
		}
	})
}

func (w *metadataWatch) stop() {
	w.cancel()
	w.done.Wait()
}

// look gets the metadata again if there is reason to.
func (w *metadataWatch) look(ctx context.Context) {
	old := w.text
	take := func(meta *Metadata, err error) {
		switch {
		case err != nil:
			w.next.Store(&news{failed: err.Error()})
		case w.text != old:
			w.next.Store(&news{meta: meta, text: w.text})
		}
	}
	if w.changed() {
		take(w.read())
		return
	}
	if w.cfg.Sensor == "" || time.Since(w.asked) < metadataRefetch || !w.wanted.Swap(false) {
		return
	}
	meta, err := w.ask(ctx)
	if ctx.Err() == nil {
		take(meta, err)
	}
}

// changed reports whether the file is another than the one read last. A file
// that is gone or cannot be read leaves the metadata as it is.
func (w *metadataWatch) changed() bool {
	if w.cfg.MetadataFile == "" {
		return false
	}
	info, err := os.Stat(w.cfg.MetadataFile)
	if err != nil {
		return false
	}
	return w.file == nil || !os.SameFile(info, w.file) || info.Size() != w.file.Size() || !info.ModTime().Equal(w.file.ModTime())
}
