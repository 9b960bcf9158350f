package bus

import (
	"encoding/json"
	"log/slog"
	"strings"
	"testing"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"posefuse/internal/testenv"
)

// announced is what Home Assistant reads of a device's discovery.
type announced struct {
	Device struct {
		IDs  string `json:"ids"`
		Name string `json:"name"`
	} `json:"dev"`
	Origin       struct{ Name string } `json:"o"`
	Availability []struct {
		Topic    string
		Template string `json:"value_template"`
	}
	Components map[string]struct {
		Platform string `json:"p"`
		UniqueID string `json:"unique_id"`
		Topic    string `json:"state_topic"`
		Template string `json:"value_template"`
		Class    string `json:"device_class"`
	} `json:"cmps"`
}

func discoverableConfig() Config {
	c := testConfig()
	c.MQTT.DiscoveryPrefix = "homeassistant"
	c.Users = []User{{Name: "ha", Password: "secret-of-ha", Role: Viewer}, {Name: "app", Password: "secret-of-app", Role: Control}, {Name: "eye", Password: "secret-of-eye", Role: Camera}}
	return c
}

func openWithSensors(t *testing.T, cfg Config) *Bus {
	t.Helper()
	b, err := Open(cfg, Options{Room: "room1", StateDir: t.TempDir(), Version: "0.1.0", Log: slog.New(slog.DiscardHandler), Sensors: []string{"lidar", "radar"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func as(user, password string) func(*mqtt.ClientOptions) {
	return func(o *mqtt.ClientOptions) { o.SetUsername(user).SetPassword(password) }
}

// TestDiscovery: a client that does as Home Assistant does, with the rights of a
// viewer, finds the room, and finds it again after its birth message.
func TestDiscovery(t *testing.T) {
	b := openWithSensors(t, discoverableConfig())
	_, url, _ := b.Addresses()
	ha := mqttClient(t, url, as("ha", "secret-of-ha"))
	configs := collect(t, ha, "homeassistant/+/+/config")
	m := testenv.Receive(t, "the room", configs)
	if m.Topic() != "homeassistant/device/posefuse_room1/config" {
		t.Fatalf("topic %s", m.Topic())
	}
	var got announced
	if err := json.Unmarshal(m.Payload(), &got); err != nil {
		t.Fatal(err)
	}
	if got.Device.IDs != "posefuse_room1" || got.Origin.Name != "posefuse" || len(got.Availability) != 1 || got.Availability[0].Topic != "posefuse/room1/status" {
		t.Errorf("%s", m.Payload())
	}
	seen := map[string]bool{}
	for key, c := range got.Components {
		if c.Platform == "" || !strings.HasPrefix(c.UniqueID, "posefuse_room1_") || seen[c.UniqueID] || !strings.HasPrefix(c.Template, "{{ ") || !strings.HasPrefix(c.Topic, "posefuse/room1/") {
			t.Errorf("%s: %+v", key, c)
		}
		seen[c.UniqueID] = true
	}
	for key, want := range map[string]string{"presence": "occupancy", "sensor_lidar": "connectivity", "sensor_radar": "connectivity", "problem": "problem", "exercise": "", "repetitions": ""} {
		if c, ok := got.Components[key]; !ok || c.Class != want {
			t.Errorf("component %s: %+v", key, c)
		}
	}
	if _, ok := got.Components["sensor_camera"]; ok {
		t.Error("a sensor that is off is announced")
	}
	for _, word := range []string{"offline", "online"} { // only the birth is answered
		if tok := ha.Publish("homeassistant/status", 1, false, word); !tok.WaitTimeout(testenv.Patience) || tok.Error() != nil {
			t.Fatal(tok.Error())
		}
	}
	if again := testenv.Receive(t, "the room once more", configs); string(again.Payload()) != string(m.Payload()) || again.Retained() {
		t.Errorf("after the birth: retained %v, %s", again.Retained(), again.Payload())
	}
	late := collect(t, mqttClient(t, url, as("app", "secret-of-app")), "homeassistant/#")
	if m := testenv.Receive(t, "what is kept", late); !m.Retained() {
		t.Error("who comes later gets nothing kept")
	}
}

// TestDiscoveryRights: nobody but the daemon announces, and a viewer still says
// nothing else.
func TestDiscoveryRights(t *testing.T) {
	b := openWithSensors(t, discoverableConfig())
	_, url, _ := b.Addresses()
	sub, err := b.Conn().SubscribeSync(">")
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Conn().Flush(); err != nil {
		t.Fatal(err)
	}
	for _, user := range []string{"ha", "app"} {
		c := mqttClient(t, url, as(user, "secret-of-"+user))
		for _, topic := range []string{"homeassistant/device/posefuse_room1/config", "homeassistant/light/x/config", "posefuse/room1/pose", "posefuse/room1/ctl/x", "homeassistant/status"} {
			c.Publish(topic, 1, false, user).WaitTimeout(testenv.Patience)
		}
	}
	want := map[string]int{"homeassistant.status": 2, "posefuse.room1.ctl.x": 1}
	got := map[string]int{}
	for n := 0; n < 3; {
		m, err := sub.NextMsg(testenv.Patience)
		if err != nil {
			t.Fatalf("heard %v: %v", got, err)
		}
		if string(m.Data) == "ha" || string(m.Data) == "app" {
			if strings.HasPrefix(m.Subject, "$") {
				continue
			}
			got[m.Subject]++
			n++
		}
	}
	for subject, n := range want {
		if got[subject] != n {
			t.Errorf("heard %v, want %v", got, want)
		}
	}
	for _, c := range []struct{ prefix, want string }{{"home/assistant", "bus.mqtt.discovery_prefix"}, {"posefuse", "cannot be the first level"}} {
		cfg := testConfig()
		cfg.MQTT.DiscoveryPrefix = c.prefix
		if err := cfg.Check(); len(err) != 1 || !strings.Contains("bus."+err[0].Error(), c.want) {
			t.Errorf("%q: %v", c.prefix, err)
		}
	}
}
