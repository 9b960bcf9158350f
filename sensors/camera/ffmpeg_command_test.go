package camera

import (
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"posefuse/sensors"
	"posefuse/setting"
)

func TestFFmpegChecksItsSettings(t *testing.T) {
	const secret = "pass-of-it"
	for name, c := range map[string]struct {
		change func(c *FFmpegConfig)
		want   string // what a problem says; none is no problem
	}{
		"defaults":           {func(*FFmpegConfig) {}, ""},
		"film":               {func(c *FFmpegConfig) { c.URL = "films/a:b@c.mp4" }, ""},
		"user in the url":    {func(c *FFmpegConfig) { c.URL = "rtsp://admin:" + secret + "@cam/x" }, ""},
		"user and file":      {func(c *FFmpegConfig) { c.User, c.PasswordFile = "admin", "/etc/password" }, ""},
		"own arguments":      {func(c *FFmpegConfig) { c.Args = []string{"-i", "{url}?x"} }, ""},
		"empty":              {func(c *FFmpegConfig) { c.URL = "" }, "url: empty"},
		"line end":           {func(c *FFmpegConfig) { c.URL = "rtsp://cam/\nfile /etc/shadow" }, "url: holds a line end"},
		"bad port":           {func(c *FFmpegConfig) { c.URL = "rtsp://admin:" + secret + "/x@cam/" }, "url: no URL; write for example"},
		"slash in password":  {func(c *FFmpegConfig) { c.URL = "rtsp://admin:12/" + secret + "@cam/" }, "url: an @ behind the host"},
		"percent":            {func(c *FFmpegConfig) { c.URL = "rtsp://admin:%zz" + secret + "@cam/" }, "url: no URL; write for example"},
		"twice":              {func(c *FFmpegConfig) { c.URL, c.User = "rtsp://a:"+secret+"@cam/", "b" }, "user: the url has a user, too"},
		"password, no user":  {func(c *FFmpegConfig) { c.PasswordFile = "/etc/password" }, "password_file: a password without a user"},
		"film with password": {func(c *FFmpegConfig) { c.URL, c.User = "a.mp4", "b" }, "user: a film has no user"},
		"no placeholder":     {func(c *FFmpegConfig) { c.Args = []string{"-i", "x"} }, `args: nothing in it is {url}; write for example [-rtsp_transport, udp, -i, "{url}"]`},
		"no program":         {func(c *FFmpegConfig) { c.Program = "" }, "program: empty"},
		"side":               {func(c *FFmpegConfig) { c.MaxSide = 9000 }, "max_side: 9000 is out of range"},
		"rate":               {func(c *FFmpegConfig) { c.MaxRateHz = -1 }, "max_rate_hz: -1 is out of range"},
	} {
		cfg := NewFFmpegConfig()
		c.change(cfg)
		err := errors.Join(cfg.Check()...)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.HasPrefix(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("%s: the problem repeats the password: %v", name, err)
		}
	}
}

// TestFFmpegPasswordStaysOutOfTheArguments: every user of a machine reads the
// arguments of its programs.
func TestFFmpegPasswordStaysOutOfTheArguments(t *testing.T) {
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("it's s/cr@t\r\nsecond line\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(c *FFmpegConfig)
		script string
	}{
		"file":        {func(c *FFmpegConfig) { c.URL, c.User, c.PasswordFile = "rtsp://cam:88/a?b=c", "ad min", file }, "file 'rtsp://ad%20min:it%27s%20s%2Fcr%40t@cam:88/a?b=c'\n"},
		"url":         {func(c *FFmpegConfig) { c.URL = "rtsp://ad:s%2Fcr%40t@cam/a" }, "file 'rtsp://ad:s%2Fcr%40t@cam/a'\n"},
		"a quote":     {func(c *FFmpegConfig) { c.URL = "http://cam/a'b" }, "file 'http://cam/a'\\''b'\n"},
		"in the path": {func(c *FFmpegConfig) { c.URL = "rtsp://cam/user=a_password=s%2Fcr" }, "file 'rtsp://cam/user=a_password=s%2Fcr'\n"},
	} {
		cfg := NewFFmpegConfig()
		c.change(cfg)
		cmd, err := cfg.command(false)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(cmd.stdin, c.script) {
			t.Errorf("%s: the script is\n%s\nwant %s", name, cmd.stdin, c.script)
		}
		for _, a := range append(cmd.args, cmd.shown) {
			if strings.Contains(a, "cr") && strings.Contains(a, "s/") || strings.Contains(a, "s%2Fcr") || strings.Contains(a, "second") || strings.Contains(a, "min:") {
				t.Errorf("%s: %s", name, a)
			}
		}
	}
	cfg := NewFFmpegConfig()
	cfg.User, cfg.PasswordFile = "a", filepath.Join(t.TempDir(), "none")
	_, err := cfg.command(false)
	if p, ok := errors.AsType[*setting.Problem](err); !ok || p.Key != "password_file" {
		t.Errorf("no password file: %v", err)
	}
}

func TestFFmpegArguments(t *testing.T) {
	join := func(change func(c *FFmpegConfig), hurry bool) (string, *ffmpegCommand) {
		cfg := NewFFmpegConfig()
		change(cfg)
		cmd, err := cfg.command(hurry)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(cmd.args, " ") + " ", cmd
	}
	film := func(c *FFmpegConfig) { c.URL, c.Loop = "a b.mp4", true }
	here, err := filepath.Abs("a b.mp4")
	if err != nil {
		t.Fatal(err)
	}
	if args, cmd := join(film, false); !strings.Contains(args, "-re -stream_loop -1 -i file:"+here+" ") || !cmd.film || !cmd.stamps || cmd.stdin != "" {
		t.Errorf("film: %s", args)
	}
	if args, _ := join(film, true); strings.Contains(args, "-re ") {
		t.Errorf("film in a hurry: %s", args)
	}
	args, cmd := join(func(c *FFmpegConfig) {
		c.URL, c.Args = "rtsp://a:b@cam/", []string{"-rtsp_transport", "udp", "-i", urlPlaceholder}
	}, false)
	if !strings.Contains(args, " error -rtsp_transport udp -i rtsp://a:b@cam/ -map") || cmd.stdin != "" || cmd.shown != "rtsp://cam" || !cmd.stamps {
		t.Errorf("own arguments: %s", args)
	}
	if _, cmd = join(func(c *FFmpegConfig) { c.URL = "https://cam/x" }, false); !strings.Contains(cmd.stdin, "tls_verify 1") || cmd.stamps || cmd.film {
		t.Errorf("https: %s", cmd.stdin)
	}
}

func TestRedactor(t *testing.T) {
	for name, c := range map[string]struct{ url, text, want string }{
		"as it is":      {"rtsp://admin:se@cret@cam/x/y?z", "open 'rtsp://admin:se@cret@cam/x/y?z' se@cret", "open 'rtsp://cam' ***"},
		"escaped":       {"rtsp://admin:s%20e%2Ft@cam:88/x", "s e/t, s%20e%2Ft, s+e%2Ft rtsp://admin:s%20e%2Ft@cam:88/x: no", "***, ***, *** rtsp://cam:88 no"},
		"other address": {"rtsp://admin:pw@cam/x", "tcp://a:b@host:1?timeout=5 and http://host2/login?password=1", "tcp://host:1 and http://host2"},
		"odd escapes":   {"rtsp://admin:p%77d@cam/x", "p%77d pwd", "*** ***"},
		"in the path":   {"rtsp://cam/user=a_password=tlJw_channel=1", "GET /user=a_password=tlJw_channel=1 failed", "GET *** failed"},
		"no password":   {"rtsp://admin@cam/", "hello / you", "hello / you"},
	} {
		u, err := url.Parse(c.url)
		if err != nil {
			t.Fatal(err)
		}
		if got := newRedactor(c.url, u).clean(c.text); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func TestFFmpegFailureSaysWhatToDo(t *testing.T) {
	cfg := NewFFmpegConfig()
	cfg.URL = "rtsp://admin:hush@cam/x"
	cmd, err := cfg.command(false)
	if err != nil {
		t.Fatal(err)
	}
	for said, want := range map[string]string{
		"[rtsp @ 0x1] method DESCRIBE failed: 401 Unauthorized\nImpossible to open 'rtsp://admin:hush@cam/x'": "rtsp://cam refuses user and password: correct user and password_file, or those in url: ffmpeg: [rtsp @ 0x1] method DESCRIBE failed: 401 Unauthorized (no)",
		"Impossible to open 'rtsp://admin:hush@cam/x'":                                                        "rtsp://cam: the stream broke off, check the camera or the file: ffmpeg: Impossible to open 'rtsp://cam' (no)",
		"Impossible to open 'http://cam:44401/'\npipe:0: Server returned 404 Not Found":                       "rtsp://cam has no such stream: correct the path in url, which the camera's manual names: ffmpeg: pipe:0: Server returned 404 Not Found (no)",
		"Unrecognized option 'fps_mode'.":                                                                     "rtsp://cam needs ffmpeg 5.1 or newer: update it, or correct args: ffmpeg: Unrecognized option 'fps_mode'. (no)",
		"":                                                                                                    "rtsp://cam: the stream broke off, check the camera or the file: ffmpeg: it said nothing (no)",
	} {
		lines := slices.DeleteFunc(strings.Split(said, "\n"), func(l string) bool { return l == "" })
		got := cmd.failure(lines, errors.New("no"))
		if got.Error() != want || sensors.NextStep(got) != "" {
			t.Errorf("got  %v\nwant %s", got, want)
		}
	}
}

func TestLastLines(t *testing.T) {
	var l lastLines
	for _, s := range []string{"a", "b\nc\n", "", strings.Repeat("x", 5000), "y\n", "\n\n", "1\n2\n3\n4\n", "5", "6"} {
		if n, err := l.Write([]byte(s)); n != len(s) || err != nil {
			t.Fatal(n, err)
		}
	}
	got := l.read()
	if want := []string{"1", "2", "3", "4", "56"}; !slices.Equal(got[len(got)-5:], want) || len(got) != 6 || len(got[0]) > 2*maxLineChars {
		t.Errorf("%q", got)
	}
}
