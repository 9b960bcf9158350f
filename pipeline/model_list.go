package pipeline

import (
	"encoding/json"
	"errors"
	"slices"

	"posefuse/model/registry"
)

// Bounds of a list of versions: a message of the bus is at most a mebibyte.
const (
	mostVersions     = 50
	mostVersionBytes = 768 << 10
)

// modelList is the reply of ctl.model.list.
type modelList struct {
	Serving  string            `json:"serving"`            // "name/version", or registry.Shipped
	Earlier  string            `json:"earlier,omitempty"`  // to which a roll-back goes; "": to none
	Fixed    string            `json:"fixed,omitempty"`    // model.path, which makes the model of that folder serve instead
	Versions []json.RawMessage `json:"versions"`           // of registry.Entry: the one that serves, then the newest first
	LeftOut  int               `json:"left_out,omitempty"` // beyond the bounds
}

// list answers ctl.model.list.
func (m *modelControl) list(request []byte) ([]byte, error) {
	if err := parseRequest(request, &struct{}{}); err != nil {
		return nil, err
	}
	if m.registry == nil {
		return nil, errors.New("this daemon keeps no models")
	}
	x, err := m.registry.Index()
	if err != nil {
		return nil, err
	}
	reply, err := newModelList(x)
	if err != nil {
		return nil, err
	}
	reply.Fixed = m.core.cfg.Model.Path
	return json.Marshal(reply)
}

// newModelList returns as much of an index as an answer holds.
func newModelList(x *registry.Index) (*modelList, error) {
	list := slices.Clone(x.Entries)
	slices.Reverse(list)
	slices.SortStableFunc(list, func(a, b *registry.Entry) int { return first(b) - first(a) })
	out := &modelList{Serving: x.ServingName(), Earlier: x.Earlier(), Versions: []json.RawMessage{}}
	size := 0
	for _, e := range list[:min(len(list), mostVersions)] {
		text, err := json.Marshal(e)
		if err != nil {
			return nil, err
		}
		if size += len(text) + 1; size > mostVersionBytes {
			break
		}
		out.Versions = append(out.Versions, text)
	}
	out.LeftOut = len(list) - len(out.Versions)
	return out, nil
}

// first is 1 for the version that serves.
func first(e *registry.Entry) int {
	if e.State == registry.Promoted {
		return 1
	}
	return 0
}
