package session

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"

	"posefuse/sensors"
	"posefuse/sensors/modality"
)

// ofEachKind are raw bytes by every way they come.
var ofEachKind = []sensors.Raw{
	{Transport: sensors.UDP, AtNS: 1, From: netip.MustParseAddrPort("192.168.1.30:7502"), Data: []byte("datagram")},
	{Transport: sensors.UDP, AtNS: -1, From: netip.MustParseAddrPort("[fe80::1]:9"), Data: []byte{0, 255}},
	{Transport: sensors.Stream, AtNS: 2, Begin: true, Data: []byte{2, 1, 4, 3}},
	{Transport: sensors.Packet, AtNS: 3, Link: 228, Data: []byte{0x45}},
	{Transport: sensors.Record, AtNS: 4, Data: []byte(`{"keypoints":[]}`)},
	{Transport: sensors.Silence, AtNS: 6},
	{Transport: sensors.File, AtNS: 5, Name: "metadata_file", Data: []byte("{}")},
}

// address compares addresses as values.
var address = cmp.Options{cmpopts.EquateComparable(netip.AddrPort{}), cmpopts.EquateEmpty()}

func TestRawMessage(t *testing.T) {
	for _, want := range ofEachKind {
		got, err := parseRaw(appendRaw(nil, &want))
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(&want, got, address); d != "" {
			t.Error(d)
		}
	}
	if got, err := parseRaw(appendRaw(nil, &sensors.Raw{Transport: sensors.UDP, From: netip.MustParseAddrPort("[::ffff:10.0.0.1]:7")})); err != nil || got.From.String() != "10.0.0.1:7" {
		t.Errorf("%v, %v", got, err)
	}
	whole := appendRaw(nil, &ofEachKind[0])
	for n := range whole {
		if r, err := parseRaw(whole[:n]); err == nil && len(r.Data) == len(ofEachKind[0].Data) {
			t.Errorf("the first %d of %d bytes pass for the whole", n, len(whole))
		}
	}
	for _, bad := range []string{"", "\x12\x03abc", "\x08", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"} {
		if r, err := parseRaw([]byte(bad)); !errors.Is(err, errRaw) {
			t.Errorf("%q: %+v, %v", bad, r, err)
		}
	}
}

// TestRawSchema: who knows protobuf and the schema alone reads the message.
func TestRawSchema(t *testing.T) {
	text, err := SchemaText(rawSchema)
	if err != nil {
		t.Fatal(err)
	}
	var set descriptorpb.FileDescriptorSet
	if err = proto.Unmarshal(text, &set); err != nil {
		t.Fatal(err)
	}
	files, err := protodesc.NewFiles(&set)
	if err != nil {
		t.Fatal(err)
	}
	d, err := files.FindDescriptorByName(rawSchema)
	if err != nil {
		t.Fatal(err)
	}
	m := dynamicpb.NewMessage(d.(protoreflect.MessageDescriptor))
	r := sensors.Raw{Transport: sensors.UDP, AtNS: 1 << 60, From: netip.MustParseAddrPort("10.0.0.1:7502"), Begin: true, Link: 228, Name: "n", Data: []byte{1, 2}}
	if err := proto.Unmarshal(appendRaw(nil, &r), m); err != nil {
		t.Fatal(err)
	}
	if len(m.GetUnknown()) > 0 {
		t.Errorf("unknown fields % x", m.GetUnknown())
	}
	got := map[string]string{}
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		got[string(f.Name())] = fmt.Sprint(v.Interface())
		return true
	})
	want := map[string]string{"receive_ns": fmt.Sprint(1 << 60), "transport": "udp", "from": "10.0.0.1:7502", "begin": "true", "link": "228", "name": "n", "data": "[1 2]"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func FuzzParseRaw(f *testing.F) {
	for i := range ofEachKind {
		f.Add(appendRaw(nil, &ofEachKind[i]))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := parseRaw(b)
		if err != nil {
			return
		}
		again, err := parseRaw(appendRaw(nil, r))
		if err != nil {
			t.Fatal(err)
		}
		again.From, r.From = netip.AddrPort{}, netip.AddrPort{} // a mapped address is written as what it is
		if d := cmp.Diff(r, again, address); d != "" {
			t.Error(d)
		}
	})
}

// recordRaw records what is offered while raw bytes of some sensors are asked for.
func recordRaw(t *testing.T, r *Recorder, raw []string, offer func()) Info {
	t.Helper()
	if _, err := r.Start(Request{Subject: "P017", Consent: true, Raw: raw}, Room{Name: "room1"}); err != nil {
		t.Fatal(err)
	}
	offer()
	info, err := r.Stop()
	if err != nil {
		t.Fatal(err)
	}
	return info
}

func TestRecordRaw(t *testing.T) {
	for _, c := range []struct {
		name string
		raw  []string
		want map[string]uint64
	}{
		{"off by default", nil, map[string]uint64{}},
		{"two sensors", []string{"radar", "lidar"}, map[string]uint64{TopicRawLiDAR: 7, TopicRawRadar: 7}},
		{"camera", []string{"camera"}, map[string]uint64{TopicRawCamera: 7}},
		{"all", []string{"camera", "lidar", "radar", "csi"}, map[string]uint64{TopicRawCamera: 7, TopicRawLiDAR: 7, TopicRawRadar: 7, TopicRawCSI: 7}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, _, _ := newTest(t)
				// The driver read its file before the session, an older one before that.
				for m := range modality.Count {
					r.Raw(m, &sensors.Raw{Transport: sensors.File, Name: "metadata_file", Data: []byte("older")})
					r.Raw(m, &sensors.Raw{Transport: sensors.File, Name: "metadata_file", Data: []byte("metadata")})
				}
				buf := make([]byte, 3)
				info := recordRaw(t, r, c.raw, func() {
					for i := range 6 {
						copy(buf, []byte{byte(i), byte(i), byte(i)}) // the driver's memory, used again
						for m := range modality.Count {
							r.Raw(m, &sensors.Raw{Transport: sensors.UDP, AtNS: r.cfg.Clock.NowNS(), Data: buf})
						}
						time.Sleep(400 * time.Millisecond)
					}
				})
				_, by := info.Messages()
				delete(by, TopicClock)
				if d := cmp.Diff(c.want, by, cmpopts.EquateEmpty()); d != "" || len(info.Dropped) > 0 {
					t.Errorf("dropped %v: %s", info.Dropped, d)
				}
				dir := filepath.Join(r.cfg.Root, info.ID)
				next := map[string]int{}
				_, check, err := Visit(dir, Part{}, func(e *Event) error {
					if e.Raw == nil {
						return nil
					}
					n := next[e.Topic]
					next[e.Topic]++
					switch {
					case n == 0 && (e.Raw.Transport != sensors.File || string(e.Raw.Data) != "metadata"):
						t.Errorf("%s begins with %+v", e.Topic, e.Raw)
					case n > 0 && !bytes.Equal(e.Raw.Data, bytes.Repeat([]byte{byte(n - 1)}, 3)):
						t.Errorf("%s, message %d: %v", e.Topic, n, e.Raw.Data)
					case n > 0 && e.CaptureNS != e.Raw.AtNS:
						t.Errorf("%s, message %d: publish time %d, received %d", e.Topic, n, e.CaptureNS, e.Raw.AtNS)
					}
					return nil
				})
				if err != nil || check.Torn || len(next) != len(c.want) {
					t.Errorf("%v, %+v, %v", err, check, next)
				}
				verified, err := Verify(dir)
				if err != nil || verified.Torn {
					t.Errorf("%v, %+v", err, verified)
				}
				for topic := range c.want {
					if verified.RawBytes[topic] != uint64(6*3+len("metadata")) {
						t.Errorf("%s: %d bytes", topic, verified.RawBytes[topic])
					}
				}
				again, err := rebuild(dir)
				if err != nil || !slices.Equal(again.Raw, c.raw) {
					t.Errorf("%v, %v", err, again.Raw)
				}
			})
		})
	}
}

func TestRecordRawRefused(t *testing.T) {
	r, _, _ := newTest(t)
	for _, raw := range [][]string{{"sonar"}, {"lidar", "lidar"}, {""}} {
		if _, err := r.Start(Request{Subject: "P017", Consent: true, Raw: raw}, Room{}); !errors.Is(err, ErrInvalid) {
			t.Errorf("%q: %v", raw, err)
		}
	}
}

// TestRawGivesWay: while the disk hangs, raw bytes are left out first and counted, each
// of them, and the samples that poses are made of still have room.
func TestRawGivesWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, d, _ := newTest(t)
		stall := make(chan struct{})
		datagram := make([]byte, 24<<10)
		const datagrams = 5000
		info := recordRaw(t, r, []string{"lidar"}, func() {
			d.set(nil, stall)
			offerSamples(r, 0, 11) // the first beat hangs
			for range datagrams {
				r.Raw(modality.LiDAR, &sensors.Raw{Transport: sensors.UDP, Data: datagram})
			}
			offerSamples(r, 11, 5)
			d.set(nil, nil)
			close(stall)
			synctest.Wait()
		})
		_, by := info.Messages()
		left := info.Dropped["raw_queue_full"]
		if left == 0 || by[TopicRawLiDAR]+left != datagrams {
			t.Errorf("%d recorded and %d left out of %d", by[TopicRawLiDAR], left, datagrams)
		}
		if by[TopicLiDAR] != 16 || len(info.Dropped) != 1 {
			t.Errorf("%d clouds of 16; dropped %v", by[TopicLiDAR], info.Dropped)
		}
	})
}

// TestRawOnABadDisk: what the disk does not take is counted as left out.
func TestRawOnABadDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, d, _ := newTest(t)
		offered := 0
		offer := func(n int) {
			for range n {
				offered++
				r.Raw(modality.Radar, &sensors.Raw{Transport: sensors.Stream, Data: []byte("bytes")})
				time.Sleep(100 * time.Millisecond)
			}
		}
		info := recordRaw(t, r, []string{"radar"}, func() {
			offer(25)
			d.set(errors.New("broken"), nil)
			offer(25)
			d.set(nil, nil)
			offer(100)
		})
		_, by := info.Messages()
		if lost := info.Dropped["raw_disk"]; lost == 0 || by[TopicRawRadar]+lost != uint64(offered) {
			t.Errorf("%d recorded, dropped %v, of %d", by[TopicRawRadar], info.Dropped, offered)
		}
	})
}
