package train

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"math"
	"slices"
	"strings"

	"posefuse/model"
)

// fingerprint lists everything on which the weights after an epoch depend,
// except the state of the session. Limits in time are left out.
func (s *Session) fingerprint() (map[string]string, error) {
	type recipe struct {
		Epochs       int        `json:"epochs"`
		Batch        int        `json:"batch"`
		LR           float64    `json:"lr"`
		DecayEvery   int        `json:"decay_every"`
		WeightDecay  float64    `json:"weight_decay"`
		Seed         uint64     `json:"seed"`
		Replicas     int        `json:"replicas"`
		Dropout      float64    `json:"modality_dropout"`
		MeanStart    bool       `json:"mean_start"`
		ScheduleTime string     `json:"schedule_time"`
		KeepBest     bool       `json:"keep_best"`
		Augment      Augment    `json:"augment"`
		Begun        string     `json:"begun,omitempty"`
		Vary         *Variation `json:"vary,omitempty"`
		HeadEpochs   int        `json:"head_epochs,omitempty"`
		InUse        bool       `json:"in_use,omitempty"`
	}
	type method struct {
		Name     string `json:"name"`
		Settings any    `json:"settings,omitempty"`
	}
	o := s.opt
	var augment Augment
	if o.Augment != nil {
		augment = *o.Augment
	}
	whole := struct {
		Recipe     recipe       `json:"recipe"`
		Network    model.Config `json:"network"`
		Method     method       `json:"method"`
		Data       dataPrint    `json:"data"`
		Validation *dataPrint   `json:"validation,omitempty"`
	}{
		Recipe: recipe{o.Epochs, o.Batch, o.LR, o.DecayEvery, o.WeightDecay, o.Seed, max(o.Replicas, 1), o.Dropout, o.MeanStart,
			o.ScheduleTime.String(), o.Best != nil, augment, strings.Join(o.Begun, " "), o.Vary, o.HeadEpochs, o.InUse},
		Network: s.Net.Config, Method: method{Name: Plain}, Data: s.Data.print(),
	}
	if o.Method != nil {
		whole.Method = method{o.Method.Descriptor().Name, o.Method.Settings()}
	}
	if o.Validation != nil {
		p := o.Validation.print()
		whole.Validation = &p
	}
	b, err := json.Marshal(whole)
	if err != nil {
		return nil, fmt.Errorf("checkpoint: options: %w", err)
	}
	out := map[string]string{}
	return out, flatten(b, "", out)
}

// flatten lists the values of a JSON object under the path of their keys.
func flatten(b json.RawMessage, path string, out map[string]string) error {
	if !bytes.HasPrefix(b, []byte("{")) {
		out[path] = string(b)
		return nil
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal(b, &object); err != nil {
		return err
	}
	for key, value := range object {
		if path != "" {
			key = path + "." + key
		}
		if err := flatten(value, key, out); err != nil {
			return err
		}
	}
	return nil
}

// checkFingerprint refuses a state of another training and names what differs.
func (s *Session) checkFingerprint(st *state) error {
	var differ []string
	show := func(v string, ok bool) string {
		if !ok {
			return "nothing"
		}
		return v
	}
	keys := map[string]bool{}
	for _, m := range []map[string]string{st.Fingerprint, s.print} {
		for k := range m {
			keys[k] = true
		}
	}
	for k := range keys {
		there, a := st.Fingerprint[k]
		here, b := s.print[k]
		if a != b || there != here {
			differ = append(differ, fmt.Sprintf("%s is %s there and %s here", k, show(there, a), show(here, b)))
		}
	}
	if differ == nil {
		return nil
	}
	slices.Sort(differ)
	return fmt.Errorf("resume from %s: it is of another training, %s: repeat its options and data, or use another folder", s.opt.Checkpoint, strings.Join(differ, ", "))
}

// dataPrint tells one set of samples from another.
type dataPrint struct {
	Source  string       `json:"source"`
	Window  model.Window `json:"window"`
	Samples int          `json:"samples"`
	// List is the hash of the clips' names and frames, Values that of what
	// was prepared of them.
	List   string `json:"list_sha256"`
	Values string `json:"values_sha256"`
}

func (d *Data) print() dataPrint {
	list, values := sha256.New(), sha256.New()
	var buf []byte
	for _, c := range d.Clips {
		fmt.Fprintf(list, "%s %v\n", c.Key, c.Frames)
		for _, v := range [][]float32{c.Camera, c.LiDAR, c.Radar, c.CSI, c.Truth, c.Taught} {
			buf = hashValues(values, v, buf)
		}
	}
	for _, ref := range d.Samples {
		fmt.Fprintf(list, "%d %d\n", ref.Clip, ref.Row)
	}
	return dataPrint{d.source, d.window, len(d.Samples), hex.EncodeToString(list.Sum(nil)), hex.EncodeToString(values.Sum(nil))}
}

func hashValues(h hash.Hash, v []float32, buf []byte) []byte {
	const chunk = 1 << 14
	for part := range slices.Chunk(v, chunk) {
		buf = buf[:0]
		for _, x := range part {
			buf = binary.LittleEndian.AppendUint32(buf, math.Float32bits(x))
		}
		h.Write(buf)
	}
	return buf
}
