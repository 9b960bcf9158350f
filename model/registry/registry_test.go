package registry

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"posefuse/model"
)

// tiny is the smallest network there is: the radar alone.
func tiny() model.Config {
	cfg := model.Edge()
	cfg.Size, cfg.Modalities = "test", "M"
	cfg.Radar = model.PointsConfig{Points: 8, Planes: []int{8, 8, 8, 8, 8}, Strides: []int{1, 2, 2, 2, 1}, Neighbours: []int{2, 2, 1, 1, 1}}
	return cfg
}

// checkpoint writes a network of a version's own weights.
func checkpoint(t testing.TB, version string) string {
	t.Helper()
	dir := t.TempDir()
	writeCheckpoint(t, dir, version)
	return dir
}

func writeCheckpoint(t testing.TB, dir, version string) {
	t.Helper()
	seed := uint64(0)
	for _, c := range version {
		seed = 31*seed + uint64(c)
	}
	n, err := model.New(tiny(), seed)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = model.SaveCheckpoint(dir, n, model.Card{Name: "m", Version: version, Window: model.Causal, Data: "made up", Parent: "abc"}); err != nil {
		t.Fatal(err)
	}
}

func id(version string) ID { return ID{"m", version} }

// with returns a registry that holds versions of the model m.
func with(t testing.TB, versions ...string) *Registry {
	t.Helper()
	r := Open(t.TempDir(), nil)
	for _, v := range versions {
		if _, err := r.Add(checkpoint(t, v), "for a test"); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

func promote(t testing.TB, r *Registry, version string) {
	t.Helper()
	if _, err := r.Promote(id(version), "for a test", nil); err != nil {
		t.Fatal(err)
	}
}

// serving returns the version that Serving loads, Shipped if none, and checks
// that nothing stood in its way.
func serving(t testing.TB, r *Registry) string {
	t.Helper()
	net, card, problems := r.Serving()
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	if net == nil {
		return Shipped
	}
	if err := net.Close(); err != nil {
		t.Error(err)
	}
	return card.Version
}

func states(t testing.TB, r *Registry) string {
	t.Helper()
	x, err := r.Index()
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range x.Entries {
		out = append(out, e.Version+" "+string(e.State))
	}
	return strings.Join(out, ", ")
}

func TestVersionsServeOneAfterTheOther(t *testing.T) {
	r := with(t, "1", "2", "3")
	if got := serving(t, r); got != Shipped {
		t.Errorf("%s serves before anything was promoted", got)
	}
	if _, err := r.Rollback("x", Retired, nil); !errors.Is(err, ErrNothingBefore) {
		t.Errorf("rolled back from the model inside the program: %v", err)
	}
	steps := []struct {
		do     func() error
		serves string
		states string
	}{
		{func() error { _, err := r.Promote(id("1"), "better", nil); return err }, "1", "1 promoted, 2 candidate, 3 candidate"},
		{func() error { return r.Shadowed(id("2"), "tried", nil) }, "1", "1 promoted, 2 shadow, 3 candidate"},
		{func() error { return r.Shadowed(id("2"), "sane", &ShadowRun{Sane: true}) }, "1", "1 promoted, 2 candidate, 3 candidate"},
		{func() error { _, err := r.Promote(id("2"), "better", nil); return err }, "2", "1 retired, 2 promoted, 3 candidate"},
		{func() error { _, err := r.Promote(id("2"), "again", nil); return err }, "2", "1 retired, 2 promoted, 3 candidate"},
		{func() error { return r.Shadowed(id("3"), "far off", &ShadowRun{}) }, "2", "1 retired, 2 promoted, 3 rejected"},
		{func() error { _, err := r.Promote(id("3"), "a person wants it", nil); return err }, "3", "1 retired, 2 retired, 3 promoted"},
		{func() error { _, err := r.Rollback("errors", Rejected, nil); return err }, "2", "1 retired, 2 promoted, 3 rejected"},
		{func() error { _, err := r.Rollback("by hand", Retired, nil); return err }, "1", "1 promoted, 2 retired, 3 rejected"},
		{func() error { return r.Judged(id("2"), &Gate{Reason: "worse"}) }, "1", "1 promoted, 2 rejected, 3 rejected"},
		{func() error { _, err := r.Rollback("by hand", Retired, nil); return err }, Shipped, "1 retired, 2 rejected, 3 rejected"},
	}
	for i, s := range steps {
		if err := s.do(); err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
		if got := serving(t, r); got != s.serves {
			t.Errorf("step %d: %s serves, want %s", i, got, s.serves)
		}
		if got := states(t, r); got != s.states {
			t.Errorf("step %d: %s, want %s", i, got, s.states)
		}
	}
	x, err := r.Index()
	if err != nil {
		t.Fatal(err)
	}
	e := x.find(id("3"))
	if e.Reason != "errors" || len(e.Past) != 3 || e.Past[1].Reason != "far off" || e.Parent != "abc" || e.Data != "made up" || e.Shadow == nil {
		t.Errorf("what became of 3: %+v", e)
	}
}

func TestRefusals(t *testing.T) {
	r := with(t, "1")
	promote(t, r, "1")
	before, err := os.ReadFile(filepath.Join(r.dir, indexFile))
	if err != nil {
		t.Fatal(err)
	}
	nan := checkpoint(t, "nan")
	breakWeights(t, nan, func(b []byte) []byte { copy(b[len(b)-4:], "\xff\xff\xff\x7f"); return b }, true)
	foreign := checkpoint(t, "foreign")
	setCard(t, foreign, func(c *model.Card) { c.Config.Radar.Planes[0] = 16; c.Parameters = 0 })
	unnamed := checkpoint(t, "x")
	setCard(t, unnamed, func(c *model.Card) { c.Version = "../2" })
	for _, c := range []struct {
		name, want string
		do         func() error
	}{
		{"unknown", "not in the registry", func() error { _, err := r.Promote(id("9"), "", nil); return err }},
		{"again", "in the registry already", func() error { _, err := r.Add(checkpoint(t, "1"), ""); return err }},
		{"truncated", "sha256", func() error {
			dir := checkpoint(t, "2")
			breakWeights(t, dir, func(b []byte) []byte { return b[:len(b)/2] }, false)
			_, err := r.Add(dir, "")
			return err
		}},
		{"wrong hash", "sha256", func() error {
			dir := checkpoint(t, "2")
			breakWeights(t, dir, func(b []byte) []byte { b[len(b)-1] ^= 1; return b }, false)
			_, err := r.Add(dir, "")
			return err
		}},
		{"NaN", "NaN", func() error { _, err := r.Add(nan, ""); return err }},
		{"other shape", "shape", func() error { _, err := r.Add(foreign, ""); return err }},
		{"name", "NAME/VERSION", func() error { _, err := r.Add(unnamed, ""); return err }},
		{"nothing there", "card.json", func() error { _, err := r.Add(t.TempDir(), ""); return err }},
		{"serves", "roll back first", func() error { return r.Reject(id("1"), "") }},
	} {
		if err := c.do(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q in it", c.name, err, c.want)
		}
		after, err := os.ReadFile(filepath.Join(r.dir, indexFile))
		if err != nil || !bytes.Equal(before, after) {
			t.Fatalf("%s: the registry was changed (%v)", c.name, err)
		}
	}
	if got := serving(t, r); got != "1" {
		t.Errorf("%s serves", got)
	}
}

// breakWeights changes a checkpoint's weights file; with right, the card's hash
// follows.
func breakWeights(t testing.TB, dir string, change func([]byte) []byte, right bool) {
	t.Helper()
	card, err := model.ReadCard(os.DirFS(dir), ".")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, card.Weights)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err = os.Remove(path); err != nil { // a mapping of it may live
		t.Fatal(err)
	}
	if err = os.WriteFile(path, change(b), 0o600); err != nil {
		t.Fatal(err)
	}
	if right {
		sum, err := hashFile(path)
		if err != nil {
			t.Fatal(err)
		}
		setCard(t, dir, func(c *model.Card) { c.SHA256 = sum })
	}
}

func setCard(t testing.TB, dir string, change func(*model.Card)) {
	t.Helper()
	card, err := model.ReadCard(os.DirFS(dir), ".")
	if err != nil {
		t.Fatal(err)
	}
	change(&card)
	b, err := json.Marshal(card)
	if err != nil {
		t.Fatal(err)
	}
	if err = os.WriteFile(filepath.Join(dir, model.CardFile), b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestServingFallsBack: whatever happens to the files of the version that
// serves, the one before it serves, and somebody is told.
func TestServingFallsBack(t *testing.T) {
	for name, spoil := range map[string]func(t *testing.T, dir string){
		"truncated": func(t *testing.T, dir string) {
			breakWeights(t, dir, func(b []byte) []byte { return b[:100] }, false)
		},
		"card edited": func(t *testing.T, dir string) { setCard(t, dir, func(c *model.Card) { c.Notes = "mine" }) },
		"gone": func(t *testing.T, dir string) {
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := with(t, "1", "2")
			promote(t, r, "1")
			promote(t, r, "2")
			spoil(t, r.Dir(id("2")))
			net, card, problems := r.Serving()
			if net == nil || card.Version != "1" || len(problems) != 1 || !strings.Contains(problems[0].Error(), "m/2") {
				t.Fatalf("serves %s %s, problems %v", card.Name, card.Version, problems)
			}
			if err := net.Close(); err != nil {
				t.Error(err)
			}
			if _, err := r.Promote(id("2"), "", nil); err != nil { // it serves already, and so is not looked at: nothing to break
				if !strings.Contains(err.Error(), "m/2") {
					t.Error(err)
				}
			}
			if e, err := r.Rollback("spoilt", Rejected, nil); err != nil || e == nil || e.Version != "1" {
				t.Errorf("rolled back to %v: %v", e, err)
			}
		})
	}
	t.Run("registry.json", func(t *testing.T) {
		r := with(t, "1")
		promote(t, r, "1")
		if err := os.WriteFile(filepath.Join(r.dir, indexFile), []byte(`{"schema":1,"serving":"m/1"`), 0o600); err != nil {
			t.Fatal(err)
		}
		net, _, problems := r.Serving()
		if net != nil || len(problems) != 1 || !strings.Contains(problems[0].Error(), "damaged") {
			t.Errorf("%v, problems %v", net, problems)
		}
		if _, err := r.Add(checkpoint(t, "2"), ""); err == nil {
			t.Error("a damaged registry was written over")
		}
	})
}

// TestLeftovers: what a killed process left of a version is in nobody's way.
func TestLeftovers(t *testing.T) {
	r := with(t)
	for _, dir := range []string{filepath.Join(r.dir, modelsDir, incoming+"123"), r.Dir(id("1"))} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, model.CardFile), []byte("{"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.Add(checkpoint(t, "1"), ""); err != nil {
		t.Fatal(err)
	}
	promote(t, r, "1")
	if left, err := filepath.Glob(filepath.Join(r.dir, modelsDir, incoming+"*")); err != nil || len(left) > 0 {
		t.Errorf("left: %v (%v)", left, err)
	}
}

func TestSignatures(t *testing.T) {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	_, other, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := ParseKeys([]string{base64.StdEncoding.EncodeToString(der)})
	if err != nil {
		t.Fatal(err)
	}
	sign := func(dir string, key ed25519.PrivateKey) {
		card, err := os.ReadFile(filepath.Join(dir, model.CardFile))
		if err != nil {
			t.Fatal(err)
		}
		if err = os.WriteFile(filepath.Join(dir, SignatureFile), ed25519.Sign(key, card), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r := Open(t.TempDir(), keys)
	for version, signer := range map[string]ed25519.PrivateKey{"signed": private, "unsigned": nil, "other": other} {
		dir := checkpoint(t, version)
		if signer != nil {
			sign(dir, signer)
		}
		if _, err := r.Add(dir, ""); err != nil {
			t.Fatal(err)
		}
	}
	promote(t, r, "signed")
	if _, err := r.Promote(id("unsigned"), "", nil); !errors.Is(err, ErrUnsigned) {
		t.Errorf("unsigned: %v", err)
	}
	if _, err := r.Promote(id("other"), "", nil); err == nil || !strings.Contains(err.Error(), "none of the 1 keys") {
		t.Errorf("signed by somebody else: %v", err)
	}
	if got := serving(t, r); got != "signed" {
		t.Errorf("%s serves", got)
	}
	rsaLike := base64.StdEncoding.EncodeToString([]byte("no key"))
	for _, bad := range []string{"%", rsaLike, ""} {
		if _, err := ParseKeys([]string{bad}); err == nil {
			t.Errorf("%q is a key", bad)
		}
	}
}

func FuzzIndex(f *testing.F) {
	f.Add([]byte(`{"schema":1,"serving":"shipped","entries":[]}`))
	f.Add([]byte(`{"schema":1,"serving":"m/1","before":["shipped"],"entries":[{"name":"m","version":"1","state":"promoted"},{"name":"m","version":"2","state":"candidate"}]}`))
	f.Add([]byte(`{"schema":2}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		x, err := readIndex(bytes.NewReader(b))
		if err != nil {
			return
		}
		again, err := json.Marshal(x)
		if err != nil {
			t.Fatal(err)
		}
		y, err := readIndex(bytes.NewReader(again))
		if err != nil {
			t.Fatalf("what was read is refused when written: %v", err)
		}
		if y.ServingName() != x.ServingName() || len(y.Entries) != len(x.Entries) {
			t.Errorf("%+v became %+v", x, y)
		}
		for _, e := range x.Entries {
			if strings.Contains(e.Name+e.Version, "/") || strings.HasPrefix(e.Name, ".") || strings.HasPrefix(e.Version, ".") {
				t.Errorf("%q would leave the folder", e.ID)
			}
		}
	})
}

// TestEarlier: a roll-back goes to the newest version that served before and was not
// rejected, else to the model inside the program, and from that to none.
func TestEarlier(t *testing.T) {
	entry := func(version string, s State) *Entry { return &Entry{ID: ID{"m", version}, State: s} }
	all := []*Entry{entry("1", Retired), entry("2", Rejected), entry("3", Promoted)}
	for name, c := range map[string]struct {
		x    Index
		want string
	}{
		"nothing added":         {Index{}, ""},
		"the program's serves":  {Index{Serving: Shipped, Before: []string{"m/1"}, Entries: all[:1]}, ""},
		"the first one":         {Index{Serving: "m/3", Before: []string{Shipped}, Entries: all}, Shipped},
		"none is remembered":    {Index{Serving: "m/3", Entries: all}, Shipped},
		"one before":            {Index{Serving: "m/3", Before: []string{Shipped, "m/1"}, Entries: all}, "m/1"},
		"the last was rejected": {Index{Serving: "m/3", Before: []string{Shipped, "m/1", "m/2"}, Entries: all}, "m/1"},
		"one that is gone":      {Index{Serving: "m/3", Before: []string{Shipped, "m/1", "m/9"}, Entries: all}, "m/1"},
		"the program's between": {Index{Serving: "m/3", Before: []string{"m/1", Shipped}, Entries: all}, Shipped},
	} {
		if got := c.x.Earlier(); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
