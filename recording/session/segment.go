package session

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"posefuse/recording/session/mcap"
)

// Names within a segment.
const (
	profile        = "posefuse.session.v1"
	metadataName   = "posefuse"
	setupName      = "setup.json"
	backgroundName = "background.bin"
)

// segment is the file being written.
type segment struct {
	name  string // without .part
	path  string // of the part
	file  file
	w     *mcap.Writer
	good  int64 // bytes that are whole and on the disk
	since int64 // room clock of its beginning
	seqs  [numKinds]uint32

	messages [numKinds]uint64
	fromNS   int64
	toNS     int64
}

// segmentName is the n-th file of a session, from 1.
func segmentName(n int) string { return fmt.Sprintf("%06d%s", n, segmentExt) }

// openSegment begins a file with what it takes to understand it. keep is written
// into it, the first one's background too.
func openSegment(d disk, dir string, n int, info *Info, background []byte, nowNS int64) (s *segment, err error) {
	s = &segment{name: segmentName(n), since: nowNS}
	s.path = filepath.Join(dir, s.name+partExt)
	if s.file, err = d.create(s.path); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			s.abandon()
		}
	}()
	if s.w, err = mcap.NewWriter(s.file, profile, "posefuse "+info.Version); err != nil {
		return nil, err
	}
	ids := map[string]uint16{}
	for _, c := range channels {
		schemaEncoding, messageEncoding := c.encodings()
		id, ok := ids[c.schema]
		if !ok {
			var text []byte
			if text, err = SchemaText(c.schema); err != nil {
				return nil, err
			}
			if id, err = s.w.AddSchema(c.schema, schemaEncoding, text); err != nil {
				return nil, err
			}
			ids[c.schema] = id
		}
		if _, err = s.w.AddChannel(id, c.topic, messageEncoding, nil); err != nil {
			return nil, err
		}
	}
	if err = s.w.AddMetadata(&mcap.Metadata{Name: metadataName, Values: info.metadata()}); err != nil {
		return nil, err
	}
	at := uint64(info.AnchorNS + nowNS)
	for _, a := range []mcap.Attachment{{Name: setupName, MediaType: "application/json", Data: info.Setup}, {Name: backgroundName, MediaType: "application/octet-stream", Data: background}} {
		if len(a.Data) == 0 {
			continue
		}
		a.LogTime = at
		if err = s.w.Attach(&a); err != nil {
			return nil, err
		}
	}
	return s, s.sync()
}

// metadata is what a segment says of its session, so that session.json can be made
// from it.
func (i *Info) metadata() map[string]string {
	rig := []byte("null")
	if b, err := json.Marshal(i.Rig); err == nil {
		rig = b
	}
	return map[string]string{
		"rig":    string(rig),
		"schema": Schema, "id": i.ID, "room": i.Room, "subject": i.Subject, "version": i.Version, "model": i.Model, "note": i.Note,
		"consent": strconv.FormatBool(i.Consent.Given), "consent_noted": stampText(i.Consent.Noted),
		"started": stampText(i.Started), "anchor_ns": strconv.FormatInt(i.AnchorNS, 10),
		"raw": strings.Join(i.Raw, ","),
	}
}

// write adds a message to the chunk being made.
func (s *segment) write(kind int, anchorNS, atNS, publishNS int64, text []byte) error {
	s.seqs[kind]++
	err := s.w.Write(&mcap.Message{ChannelID: uint16(kind + 1), Sequence: s.seqs[kind], LogTime: uint64(anchorNS + atNS), PublishTime: uint64(anchorNS + publishNS), Data: text})
	if err != nil {
		return err
	}
	if s.fromNS == 0 {
		s.fromNS = atNS
	}
	s.messages[kind]++
	s.fromNS, s.toNS = min(s.fromNS, atNS), max(s.toNS, atNS)
	return nil
}

// sync ends the chunk and returns when it is on the disk.
func (s *segment) sync() error {
	if err := s.w.Flush(); err != nil {
		return err
	}
	if err := s.file.Sync(); err != nil {
		return err
	}
	s.good = s.w.Offset()
	return nil
}

// finish ends the file and gives it its name.
func (s *segment) finish() (Segment, error) {
	err := s.w.Close()
	if err == nil {
		err = s.file.Sync()
	}
	if err != nil {
		s.abandon()
		return Segment{}, err
	}
	if err := s.file.Close(); err != nil {
		return Segment{}, err
	}
	whole := filepath.Join(filepath.Dir(s.path), s.name)
	if err := errors.Join(os.Rename(s.path, whole), syncDir(filepath.Dir(s.path))); err != nil {
		return Segment{}, err
	}
	return s.entry(), nil
}

func (s *segment) entry() Segment {
	e := Segment{File: s.name, Bytes: s.w.Offset(), Messages: map[string]uint64{}, FromNS: s.fromNS, ToNS: s.toNS}
	for k, n := range s.messages {
		if n > 0 {
			e.Messages[channels[k].topic] = n
		}
	}
	return e
}

// abandon leaves the part as it is up to the last chunk that is on the disk; it is
// made whole later.
func (s *segment) abandon() {
	_ = s.file.Truncate(s.good) // a part cut anywhere can be read, too
	_ = s.file.Close()
	if s.good == 0 {
		_ = os.Remove(s.path) // it holds nothing
	}
}

// parseMetadata is the inverse of Info.metadata.
func parseMetadata(m map[string]string, setup []byte) (i Info, err error) {
	i = Info{Schema: m["schema"], ID: m["id"], Room: m["room"], Subject: m["subject"], Version: m["version"], Model: m["model"], Note: m["note"]}
	if i.Schema != Schema {
		return i, fmt.Errorf("its metadata have the schema %q, want %q", i.Schema, Schema)
	}
	i.Consent.Given = m["consent"] == "true"
	if i.AnchorNS, err = strconv.ParseInt(m["anchor_ns"], 10, 64); err != nil {
		return i, fmt.Errorf("its metadata: anchor_ns: %w", err)
	}
	if i.Started, err = parseStamp(m["started"]); err != nil {
		return i, fmt.Errorf("its metadata: started: %w", err)
	}
	if i.Consent.Noted, err = parseStamp(m["consent_noted"]); err != nil {
		return i, fmt.Errorf("its metadata: consent_noted: %w", err)
	}
	if err := json.Unmarshal([]byte(m["rig"]), &i.Rig); err != nil {
		return i, fmt.Errorf("its metadata: rig: %w", err)
	}
	if raw := m["raw"]; raw != "" {
		i.Raw = strings.Split(raw, ",")
	}
	if json.Valid(setup) {
		i.Setup = setup
	}
	return i, nil
}
