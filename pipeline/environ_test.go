package pipeline

import (
	"slices"
	"strings"
	"testing"

	"posefuse/pipeline/bus"
)

// FuzzEnvironment: whatever a variable holds gives a configuration that works or
// an error, never a panic, and an error shows nothing of a secret's value. The
// value of a secret is cut at a place and a word put there that must not come out.
func FuzzEnvironment(f *testing.F) {
	keys := Keys()
	index := func(key string) uint16 {
		i := slices.Index(keys, key)
		if i < 0 {
			f.Fatalf("no key %s", key)
		}
		return uint16(i)
	}
	for key, value := range map[string]string{
		"sync.rate_hz":                "17.5",
		"sync.hold_ms":                "060",
		"bus.nats.listen":             "[::1]:4222",
		"bus.mqtt.url":                "ssl://a:b@broker:8883",
		"bus.users":                   "[{name: anna, password: x, role: viewer}]",
		"exercise.targets":            "{squat: {range: 90}}",
		"extrinsics.room_from_camera": "{position_m: [0, 0, 1]}",
		"person.region":               "null",
		"model.trusted_keys":          "[a]",
		"web.enabled":                 "&a [*a]",
	} {
		f.Add(index(key), value, uint8(0))
	}
	for at, value := range []string{"[{name: anna, password: }]", "[{password }]", "[{password: *}]", "{: [", "[{password: !}]", "[{: 1, a: 2}]", "- \x01: ", "a: b: c"} {
		for cut := range len(value) + 1 {
			f.Add(index("bus.users"), value, uint8(cut))
		}
		f.Add(index("bus.hub.password"), value, uint8(at))
	}
	const word = "hunter2Zq"
	f.Fuzz(func(t *testing.T, which uint16, value string, cut uint8) {
		key := keys[int(which)%len(keys)]
		if secret := strings.Contains(key, "password") || strings.Contains(key, "users") || strings.Contains(key, "token"); secret {
			at := min(int(cut), len(value))
			value = value[:at] + word + value[at:]
		}
		cfg := DefaultConfig()
		if err := applyEnviron(&cfg, []string{EnvName(key) + "=" + value}); err != nil {
			if strings.Contains(err.Error(), word) {
				t.Fatalf("%s: the error shows the value: %v", key, err)
			}
			return
		}
		named := slices.ContainsFunc(cfg.Bus.Users, func(u bus.User) bool {
			return strings.Contains(u.Name+string(u.Role)+strings.Join(u.Rooms, " "), word)
		})
		err := cfg.Check()
		if err != nil && !named && strings.Contains(err.Error(), word) {
			t.Fatalf("%s: the check's error shows the value: %v", key, err)
		}
		if err == nil {
			if _, err = BuildSources(&cfg.Sensors); err != nil {
				t.Fatalf("%s: checked, but: %v", key, err)
			}
		}
	})
}

// TestErrorsOfFilesShowNoSecret: a typing error in a password does not bring it
// into the log.
func TestErrorsOfFilesShowNoSecret(t *testing.T) {
	for name, doc := range map[string]string{
		"no colon":      "bus: {users: [{name: a, password hunter2}]}",
		"two colons":    "bus:\n  hub:\n    password: hunter2: x\n",
		"star":          "bus: {hub: {password: *hunter2}}",
		"tag":           "bus: {hub: {password: !!int hunter2}}",
		"list":          "bus: {hub: {password: [hunter2]}}",
		"control":       "bus: {hub: {password: hunter2: \x01}}",
		"in the URL":    "bus: {mqtt: {url: 'tcp://a:hunter2@b:x'}}",
		"key of a user": "bus: {users: [{hunter2: a}]}",
		"no blank":      "bus: {users: [{name: a, password:hunter2}]}",
	} {
		_, err := ParseConfig([]byte(doc), nil)
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", name, err)
		}
	}
	// What is nearly a key is still named.
	if _, err := ParseConfig([]byte("bus: {users: [{rol: a}]}"), nil); err == nil || !strings.Contains(err.Error(), "bus.users[0].rol: no such key; did you mean role?") {
		t.Error(err)
	}
}
