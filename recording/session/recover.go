package session

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"posefuse/recording/session/mcap"
)

// Check is what Recover or Verify found in a session.
type Check struct {
	Session  string            `json:"session"`
	Messages uint64            `json:"messages"` // that are there
	ByTopic  map[string]uint64 `json:"by_channel"`
	RawBytes map[string]uint64 `json:"raw_bytes,omitempty"` // what drivers read, by channel; of Verify
	Lost     uint64            `json:"lost"`                // messages known to be missing
	Torn     bool              `json:"torn"`                // something is missing, even if nobody knows how much
	Changed  bool              `json:"changed"`             // the session was mended
	Problems []string          `json:"problems,omitempty"`
}

// add notes what was found in a file.
func (c *Check) add(name string, r *mcap.Report) {
	c.Messages += r.Messages
	for t, n := range r.PerTopic {
		c.ByTopic[t] += n
	}
	c.Lost += r.Lost
	c.Torn = c.Torn || r.Torn()
	for _, p := range r.Problems {
		c.Problems = append(c.Problems, fmt.Sprintf("%s, byte %d: %s", name, p.Offset, p.Text))
	}
}

// readSegment reads a file of a session.
func readSegment(path string, opt mcap.Options, h mcap.Handler) (mcap.Report, error) {
	f, err := os.Open(path)
	if err != nil {
		return mcap.Report{}, err
	}
	defer f.Close() //nolint:errcheck // only read
	st, err := f.Stat()
	if err != nil {
		return mcap.Report{}, err
	}
	r, err := mcap.Read(f, st.Size(), opt, h)
	if err != nil {
		return r, fmt.Errorf("%s: %w", path, err)
	}
	return r, nil
}

// Verify reads all of a session and compares it with its session.json. Nothing is
// changed.
func Verify(dir string) (Check, error) {
	c := Check{Session: filepath.Base(dir), ByTopic: map[string]uint64{}}
	info, err := Read(dir)
	if err != nil {
		return c, err
	}
	names, err := segmentFiles(dir)
	if err != nil {
		return c, err
	}
	for _, name := range names {
		r, err := readSegment(filepath.Join(dir, name), mcap.Options{}, mcap.Handler{Message: func(_ *mcap.Schema, ch *mcap.Channel, m *mcap.Message) error {
			c.weigh(name, ch.Topic, m)
			return nil
		}})
		if err != nil {
			c.Torn = true
			c.Problems = append(c.Problems, err.Error())
			continue
		}
		c.add(name, &r)
	}
	noted := map[string]bool{}
	for _, s := range info.Segments {
		noted[s.File] = true
		if !slices.Contains(names, s.File) {
			n, _ := (&Info{Segments: []Segment{s}}).Messages()
			c.Torn, c.Lost = true, c.Lost+n
			c.Problems = append(c.Problems, fmt.Sprintf("%s with %d messages is missing", s.File, n))
		}
	}
	if n, _ := info.Messages(); info.State != Recording && n != c.Messages+c.Lost {
		c.Torn = true
		c.Problems = append(c.Problems, fmt.Sprintf("%s names %d messages, and there are %d", infoFile, n, c.Messages))
	}
	return c, nil
}

// weigh counts the bytes of a raw message, and notes one that is none.
func (c *Check) weigh(file, topic string, m *mcap.Message) {
	if _, ok := rawOf(topic); !ok {
		return
	}
	raw, err := parseRaw(m.Data)
	if err != nil {
		c.Torn = true
		c.Problems = append(c.Problems, fmt.Sprintf("%s, message %d on %s: %v", file, m.Sequence, topic, err))
		return
	}
	if c.RawBytes == nil {
		c.RawBytes = map[string]uint64{}
	}
	c.RawBytes[topic] += uint64(len(raw.Data))
}

// Recover makes a session whole that a crash or damage left: unfinished segments
// are ended, damaged ones written anew without what is broken (the original stays
// beside them, ending in .damaged), session.json says what is there. A whole
// session stays as it is, to the byte.
func Recover(dir string) (Check, error) {
	c := Check{Session: filepath.Base(dir), ByTopic: map[string]uint64{}}
	if err := refuseLive(dir); err != nil {
		return c, err
	}
	info, err := Read(dir)
	if err != nil {
		if info, err = rebuild(dir); err != nil {
			return c, err
		}
		c.Changed = true
	}
	before := slices.Clone(info.Segments)
	mended, err := recoverParts(dir, &info)
	c.Changed = c.Changed || len(mended) > 0
	for _, m := range mended {
		c.add(m.name, &m.report)
	}
	if err != nil {
		return c, err
	}
	if err := recoverDamaged(dir, &info, &c, mended); err != nil {
		return c, err
	}
	for _, s := range before {
		if _, serr := os.Stat(filepath.Join(dir, s.File)); serr != nil {
			c.Torn = true
			c.Problems = append(c.Problems, s.File+" is missing")
		}
	}
	if info.State == Recording || c.Changed {
		info.State, c.Changed = Recovered, true
		info.Lost += c.Lost
		if err := info.write(dir); err != nil {
			return c, err
		}
	}
	return c, nil
}

// mend is a file that was written anew.
type mend struct {
	name   string
	report mcap.Report
}

// recoverParts ends what recorders left unfinished and notes it in info.
func recoverParts(dir string, info *Info) (done []mend, err error) {
	names, err := segmentFiles(dir)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		whole, part := strings.CutSuffix(name, partExt)
		if !part {
			continue
		}
		path := filepath.Join(dir, name)
		if slices.Contains(names, whole) { // a recovery was broken off before this
			if r, rerr := readSegment(filepath.Join(dir, whole), mcap.Options{}, mcap.Handler{}); rerr == nil && r.Intact() {
				err = errors.Join(err, os.Remove(path))
				info.note(dir, whole, &r)
				done = append(done, mend{whole, mcap.Report{}})
				continue
			}
		}
		r, rerr := rewrite(path, filepath.Join(dir, whole))
		if rerr == nil {
			rerr = os.Remove(path)
		}
		if rerr != nil {
			err = errors.Join(err, fmt.Errorf("recover: %w", rerr))
			continue
		}
		info.note(dir, whole, &r)
		done = append(done, mend{whole, r})
	}
	return done, err
}

// recoverDamaged writes the damaged among the whole files anew.
func recoverDamaged(dir string, info *Info, c *Check, mended []mend) error {
	names, err := segmentFiles(dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if slices.ContainsFunc(mended, func(m mend) bool { return m.name == name && m.report.PerTopic != nil }) {
			continue // just written
		}
		path := filepath.Join(dir, name)
		r, err := readSegment(path, mcap.Options{}, mcap.Handler{})
		if err != nil {
			c.Torn = true
			c.Problems = append(c.Problems, err.Error())
			continue
		}
		if !r.Intact() {
			if err = os.Link(path, path+damagedExt); err != nil && !errors.Is(err, os.ErrExist) {
				return fmt.Errorf("recover: %w", err)
			}
			if r, err = rewrite(path, path); err != nil {
				return fmt.Errorf("recover: %w", err)
			}
			c.Changed = true
		}
		if info.note(dir, name, &r) {
			c.Changed = true
		}
		c.add(name, &r)
	}
	return nil
}

// rewrite writes what is sound in a file to another one, which may be the same,
// in one step.
func rewrite(from, to string) (r mcap.Report, err error) {
	in, err := os.Open(from)
	if err != nil {
		return r, err
	}
	defer in.Close() //nolint:errcheck // only read
	st, err := in.Stat()
	if err != nil {
		return r, err
	}
	fresh := to + ".new"
	out, err := os.OpenFile(fresh, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return r, err
	}
	if r, err = mcap.Recover(in, st.Size(), out); err == nil {
		err = out.Sync()
	}
	if err = errors.Join(err, out.Close()); err == nil {
		err = errors.Join(os.Rename(fresh, to), syncDir(filepath.Dir(to)))
	}
	if err != nil {
		_ = os.Remove(fresh)
		return r, fmt.Errorf("%s: %w", from, err)
	}
	return r, nil
}

// note enters a file into the segments and reports whether that changed anything.
func (i *Info) note(dir, name string, r *mcap.Report) bool {
	s := Segment{File: name, Messages: map[string]uint64{}}
	maps.Copy(s.Messages, r.PerTopic)
	if r.Messages > 0 {
		s.FromNS, s.ToNS = int64(r.Start)-i.AnchorNS, int64(r.End)-i.AnchorNS
	}
	if st, err := os.Stat(filepath.Join(dir, name)); err == nil {
		s.Bytes = st.Size()
	}
	at := slices.IndexFunc(i.Segments, func(o Segment) bool { return o.File == name })
	if at < 0 {
		i.Segments = append(i.Segments, s)
		slices.SortFunc(i.Segments, func(a, b Segment) int { return strings.Compare(a.File, b.File) })
		return true
	}
	old := i.Segments[at]
	i.Segments[at] = s
	return old.Bytes != s.Bytes || !maps.Equal(old.Messages, s.Messages)
}

// rebuild makes the Info of a session from what its segments say of it.
func rebuild(dir string) (info Info, err error) {
	names, err := segmentFiles(dir)
	if err != nil {
		return info, err
	}
	why := fmt.Errorf("%s: %w: nothing in it says what it is", dir, ErrNotFound)
	for _, name := range names {
		var meta map[string]string
		var setup []byte
		_, rerr := readSegment(filepath.Join(dir, name), mcap.Options{To: 1}, mcap.Handler{
			Metadata: func(m *mcap.Metadata) error {
				if m.Name == metadataName {
					meta = m.Values
				}
				return nil
			},
			Attachment: func(a *mcap.Attachment) error {
				if a.Name == setupName {
					setup = slices.Clone(a.Data)
				}
				return nil
			},
		})
		if rerr != nil {
			why = rerr
			continue
		}
		if meta == nil {
			continue
		}
		if info, rerr = parseMetadata(meta, setup); rerr == nil {
			info.State, info.Segments = Recording, []Segment{}
			return info, nil
		}
		why = fmt.Errorf("%s: %w", name, rerr)
	}
	return Info{}, why
}

// stampText and parseStamp are times in metadata.
func stampText(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

func parseStamp(s string) (time.Time, error) { return time.Parse(time.RFC3339Nano, s) }
