package bus

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/nats-io/nats.go"

	"posefuse/internal/testenv"
	"posefuse/message"
)

// What somebody left on the daemon's topics before nobody could any more is
// cleared at the start; the exercise subscriber's stays.
func TestForeignRetainedMessagesAreCleared(t *testing.T) {
	dir := t.TempDir()
	b := openIn(t, testConfig(), dir)
	testenv.Wait(t, "the own MQTT client", func() bool { ok, _, _ := b.retained.state(); return ok })
	b.warden.close() // it would clear them now
	a := b.access
	c := mqttClient(t, a.URL, func(o *mqtt.ClientOptions) { o.SetUsername(a.User).SetPassword(a.Password) })
	for _, topic := range []string{"posefuse/room1/pose", "posefuse/other/status", "elsewhere", "posefuse/room1/exercise/status"} {
		if tok := c.Publish(topic, 1, true, "left"); !tok.WaitTimeout(testenv.Patience) || tok.Error() != nil {
			t.Fatal(topic, tok.Error())
		}
	}
	kept := func(b *Bus) (subjects []string) {
		js, err := b.nc.JetStream()
		if err != nil {
			t.Fatal(err)
		}
		info, err := js.StreamInfo(streamRetained, &nats.StreamInfoRequest{SubjectsFilter: ">"})
		if err != nil {
			return nil
		}
		for s := range info.State.Subjects {
			subjects = append(subjects, strings.TrimPrefix(s, "$MQTT.rmsgs."))
		}
		return subjects
	}
	testenv.Wait(t, "four retained messages", func() bool { return len(kept(b)) == 4 })
	if err := b.Close(); err != nil { // leaves its own status
		t.Fatal(err)
	}
	b = openIn(t, testConfig(), dir)
	testenv.Wait(t, "two retained messages", func() bool { return len(kept(b)) == 2 })
	for _, s := range kept(b) {
		if s != "posefuse.room1.status" && s != "posefuse.room1.exercise.status" {
			t.Errorf("%s is kept", s)
		}
	}
}

// A server that is built anew has the same addresses, users and bounds, and the
// daemon's own connections find it.
func TestRebuild(t *testing.T) {
	cfg := testConfig()
	cfg.Users = []User{{Name: "screen", Password: "a", Role: Viewer}}
	b := open(t, cfg)
	natsURL, mqttURL, _ := b.Addresses()
	js, err := b.nc.JetStream()
	if err != nil {
		t.Fatal(err)
	}
	// What the MQTT side cannot work without is gone.
	testenv.Wait(t, "the own MQTT client", func() bool { ok, _, _ := b.retained.state(); return ok })
	if err = js.DeleteStream(streamRetained); err != nil {
		t.Fatal(err)
	}
	if err = b.server.rebuild(); err != nil {
		t.Fatal(err)
	}
	testenv.Wait(t, "a bus that is well", func() bool {
		for _, p := range b.Health() {
			if p.Code != "ok" {
				return false
			}
		}
		return true
	})
	status := collect(t, mqttClient(t, mqttURL, func(o *mqtt.ClientOptions) { o.SetUsername("screen").SetPassword("a") }), "posefuse/room1/status")
	if err = b.PublishStatus(onlineStatus()); err != nil {
		t.Fatal(err)
	}
	waitState(t, status, message.Online)
	poses := make(chan *nats.Msg, 10)
	nc := natsClient(t, natsURL, nats.UserInfo("screen", "a"))
	if _, err = nc.ChanSubscribe("posefuse.room1.pose", poses); err != nil {
		t.Fatal(err)
	}
	if err = nc.Flush(); err != nil {
		t.Fatal(err)
	}
	if err = b.Publish("pose", []byte("{}")); err != nil {
		t.Fatal(err)
	}
	testenv.Receive(t, "a pose", poses)
	if stranger, refused := nats.Connect(natsURL); refused == nil {
		stranger.Close()
		t.Error("a stranger got in after the rebuild")
	}
	if err = b.boundStreams(js); err != nil {
		t.Error(err)
	}
	info, err := js.StreamInfo(streamRetained)
	if err != nil || info.Config.MaxMsgs != maxRetained {
		t.Errorf("retained messages without a bound: %v", err)
	}
}

// The embedded server's MQTT listener needs the disk, too.
func TestMQTTNamesTheFullDisk(t *testing.T) {
	for _, full := range []bool{true, false} {
		w := &warden{disk: diskLow}
		if full {
			w.disk = 3 << 10
		}
		b := &Bus{cfg: Config{}, nc: &nats.Conn{}, warden: w, retained: &mqttPublisher{lastErr: "refused"}}
		i := slices.IndexFunc(b.Health(), func(p message.PartHealth) bool { return p.Part == "bus.mqtt" })
		if i < 0 {
			t.Fatal("no part bus.mqtt")
		}
		text := b.Health()[i].Text
		if !strings.Contains(text, "refused") || strings.Contains(text, "3 KiB left: make space") != full {
			t.Errorf("disk full %v: bus.mqtt says %q", full, text)
		}
	}
}

func TestWardenSaysWhatIsWrong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for want, spoil := range map[string]func(*warden){
			"ok":         func(*warden) {},
			"silent":     func(w *warden) { w.sent([]byte("x")); time.Sleep(silentAfter + time.Second) },
			"not_kept":   func(w *warden) { w.keepErr = "why" },
			"disk_full":  func(w *warden) { w.disk = 0 },
			"disk_low":   func(w *warden) { w.disk = diskLow - 1 },
			"store_full": func(w *warden) { w.usage = 0.95 },
		} {
			w := &warden{disk: diskLow}
			spoil(w)
			p := w.health()
			if p.Part != "bus.store" || p.Code != want || (p.Severity == "ok") != (want == "ok") || p.Text == "" {
				t.Errorf("want %s, got %+v", want, p)
			}
			if _, err := json.Marshal(p); err != nil {
				t.Error(err)
			}
		}
		// The way without the store is taken until a status arrives through it.
		w := &warden{disk: diskLow}
		if w.sent(nil) {
			t.Error("not needed yet")
		}
		time.Sleep(silentAfter + 1)
		if !w.sent(nil) {
			t.Error("nobody hears the status")
		}
		if w.arrived(); w.sent(nil) {
			t.Error("it arrives again")
		}
	})
}

func TestWritable(t *testing.T) {
	if err := writable(t.TempDir()); err != nil {
		t.Error(err)
	}
	if err := writable(t.TempDir() + "/none"); err == nil {
		t.Error("a folder that is not there")
	}
}
