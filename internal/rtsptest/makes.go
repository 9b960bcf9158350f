package rtsptest

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"posefuse/internal/testenv"
)

// Make is how the cameras of one make answer: the text of real answers, in
// which the server puts its own address, numbers and video.
type Make struct {
	Name                           string
	Options, Describe, Setup, Play string

	payload byte // type of the video's RTP packets
	seq     uint16
	time    uint32
	jpeg    bool // the payload type says what the video is
}

const ok = "RTSP/1.0 200 OK\r\nCSeq: 0\r\n"

// plain says no more than it must.
var plain = Make{Name: "plain", payload: 96,
	Options:  ok + "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN\r\n\r\n",
	Describe: ok + "Content-Type: application/sdp\r\nContent-Length: 0\r\n\r\nv=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=x\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\na=control:video\r\na=rtpmap:96 H264/90000\r\n",
	Setup:    ok + "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\nSession: 77\r\n\r\n",
	Play:     ok + "Session: 77\r\n\r\n",
}

// JPEG is a camera that sends motion JPEG in the payload type made for it.
var JPEG = func() Make {
	m := plain
	m.Name, m.payload, m.jpeg = "jpeg", 26, true
	m.Describe = strings.NewReplacer("AVP 96", "AVP 26", "a=rtpmap:96 H264/90000\r\n", "").Replace(m.Describe)
	return m
}()

// Makes returns the makes whose dialogue was captured. Where only a description
// was, the rest is plain.
func Makes(t testing.TB) []Make {
	t.Helper()
	capture := func(name string) string { return string(testenv.ReadShared(t, "captures", "rgb-rtsp", name)) }
	describe := func(sdp string) string {
		return ok + "Content-Type: application/sdp\r\nContent-Length: 0\r\n\r\n" + capture(sdp)
	}
	makes := []Make{
		{Name: "dahua", Options: capture("dahua_options.txt"), Describe: capture("dahua_describe_h264_aac_onvif.txt"), Setup: capture("dahua_setup.txt"), Play: capture("dahua_play.txt")},
		{Name: "hikvision", Describe: capture("hikvision_describe.txt"), Setup: capture("hikvision_setup.txt"), Play: capture("hikvision_play.txt")},
		{Name: "reolink", Describe: capture("reolink_describe.txt"), Setup: capture("reolink_setup.txt"), Play: capture("reolink_play.txt")},
		{Name: "wowza", Describe: capture("bunny_describe.txt"), Setup: capture("bunny_setup.txt"), Play: capture("bunny_play.txt")},
		{Name: "tp-link", Describe: describe("tplink_sdp.txt")},
		{Name: "ubiquiti", Describe: describe("ubiquiti_sdp.txt")},
	}
	for i := range makes {
		m := &makes[i]
		for text, otherwise := range map[*string]string{&m.Options: plain.Options, &m.Setup: plain.Setup, &m.Play: plain.Play} {
			if *text == "" {
				*text = otherwise
			}
		}
		payload := videoLine.FindStringSubmatch(m.Describe)
		if payload == nil {
			t.Fatalf("%s describes no video", m.Name)
		}
		m.payload = byte(atoi(payload[1]))
		control := m.control()
		for _, entry := range strings.Split(m.Play, ",") {
			if f := rtpInfo.FindStringSubmatch(entry); f != nil && strings.HasSuffix(f[1], control) {
				m.seq, m.time = uint16(atoi(f[2])), uint32(atoi(f[3]))
			}
		}
	}
	return makes
}

var (
	videoLine = regexp.MustCompile(`m=video \d+ RTP/AVP (\d+)`)
	rtpInfo   = regexp.MustCompile(`url=([^;]+);seq=(\d+);rtptime=(\d+)`)
	address   = regexp.MustCompile(`rtsp://[^/]+/`)
	channels  = regexp.MustCompile(`interleaved=\d+-\d+`)
)

// control returns the address of the video as the description gives it.
func (m *Make) control() string {
	_, video, _ := strings.Cut(m.Describe, "m=video")
	_, control, _ := strings.Cut(video, "a=control:")
	control, _, _ = strings.Cut(control, "\n")
	return strings.TrimSpace(control)
}

// isVideo tells whether a URL is that of the video: the description's own if
// that is absolute, else one that was joined to the base. It needs s.mu.
func (s *Server) isVideo(url string) bool {
	control := address.ReplaceAllString(s.Make.control(), "rtsp://"+s.addr+"/")
	if strings.HasPrefix(control, "rtsp:") {
		return url == control
	}
	return strings.HasSuffix(url, "/"+control)
}

// say puts into an answer of the make what is the server's own. It needs s.mu.
func (s *Server) say(text string, r request, interleaved string) string {
	head, body, _ := strings.Cut(strings.ReplaceAll(text, "\r", ""), "\n\n")
	if body != "" {
		body = s.describe(body)
	}
	var out []string
	for _, line := range strings.Split(strings.TrimRight(head, "\n"), "\n") {
		switch {
		case strings.HasPrefix(line, "CSeq:"):
			line = "CSeq: " + r.header["cseq"]
		case strings.HasPrefix(line, "Content-Length:"):
			line = fmt.Sprintf("Content-Length: %d", len(body))
		case interleaved != "":
			line = channels.ReplaceAllString(line, "interleaved="+interleaved)
		}
		out = append(out, s.own(line))
	}
	return strings.Join(out, "\r\n") + "\r\n\r\n" + body
}

// own puts the server's address in place of the camera's.
func (s *Server) own(line string) string {
	return address.ReplaceAllString(line, "rtsp://127.0.0.1:"+s.port()+"/")
}

// describe returns the make's description with the recorded video's own
// parameters. It needs s.mu.
func (s *Server) describe(sdp string) string {
	var out []string
	video := false
	for _, line := range strings.Split(strings.TrimRight(sdp, "\n"), "\n") {
		if strings.HasPrefix(line, "m=") {
			video = strings.HasPrefix(line, "m=video")
		}
		own := strings.HasPrefix(line, "a=rtpmap:") || strings.HasPrefix(line, "a=fmtp:")
		if video && own {
			continue
		}
		out = append(out, s.own(line))
		if video && strings.HasPrefix(line, "a=control:") && !s.Make.jpeg {
			for _, recorded := range s.recorded {
				for _, key := range []string{"a=rtpmap:", "a=fmtp:"} {
					if value, is := strings.CutPrefix(recorded, key); is {
						_, value, _ = strings.Cut(value, " ")
						out = append(out, fmt.Sprintf("%s%d %s", key, s.Make.payload, value))
					}
				}
			}
		}
	}
	return strings.Join(out, "\r\n") + "\r\n"
}
