package camera

import (
	"fmt"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"posefuse/sensors"
	"posefuse/setting"
)

// ffmpegCommand is what to run, and what must not be said of it.
type ffmpegCommand struct {
	args   []string
	stdin  string // an address with user and password never stands in args
	shown  string // the origin as errors may name it
	film   bool   // a file: it ends
	stamps bool   // times are the camera's or the film's own
	hidden redactor
}

// command puts together ffmpeg's command line. hurry lets a film run as fast as
// its pictures are taken.
func (c *FFmpegConfig) command(hurry bool) (*ffmpegCommand, error) {
	u, err := c.address()
	if err != nil {
		return nil, &setting.Problem{Key: "url", Err: err}
	}
	cmd := &ffmpegCommand{film: u == nil}
	var input []string
	if u == nil {
		// ffmpeg's working folder is another.
		path, absErr := filepath.Abs(c.URL)
		if absErr != nil {
			return nil, fmt.Errorf("url %s: %w", c.URL, absErr)
		}
		cmd.shown, cmd.stamps = c.URL, true
		input = filmInput("file:"+path, c.Loop, hurry)
	} else {
		if err := c.signIn(u); err != nil {
			return nil, err
		}
		cmd.shown = u.Scheme + "://" + u.Host
		cmd.stamps = u.Scheme == "rtsp" || u.Scheme == "rtsps"
		cmd.hidden = newRedactor(c.URL, u)
		input, cmd.stdin = cameraInput(u)
	}
	if len(c.Args) > 0 {
		origin := c.URL
		if u != nil {
			origin = u.String()
		}
		cmd.stdin, input = "", nil
		for _, a := range c.Args {
			input = append(input, strings.ReplaceAll(a, urlPlaceholder, origin))
		}
	}
	cmd.args = slices.Concat([]string{"-nostdin", "-hide_banner", "-loglevel", "error"}, input, pictureOutput(c.MaxSide))
	return cmd, nil
}

// signIn puts user and password into the address.
func (c *FFmpegConfig) signIn(u *url.URL) error {
	who, err := readLogin(u, c.User, c.PasswordFile)
	switch {
	case err != nil:
		return err
	case who.password != "":
		u.User = url.UserPassword(who.user, who.password)
	case who.user != "":
		u.User = url.User(who.user)
	}
	return nil
}

// filmInput reads a file at its own pace, or as fast as it is taken.
func filmInput(file string, loop, hurry bool) []string {
	var args []string
	if !hurry {
		args = append(args, "-re")
	}
	if loop {
		args = append(args, "-stream_loop", "-1")
	}
	return append(args, "-i", file)
}

// networkProtocols are what addresses may lead to; no local file is among them.
const networkProtocols = "pipe,rtsp,rtsps,rtp,srtp,rtcp,udp,tcp,tls,http,https,httpproxy,crypto,hls,mmsh,mmst,rtmp,rtmps,rtmpt,srt"

// cameraInput reads a camera on the network. Every user of the machine sees the
// arguments of its programs, so the address, with its password, goes over
// standard input, as a list of one file in ffmpeg's own language.
//
// No "nobuffer": it throws away what was read to learn the format, so that the
// first picture comes several key frames later. One thread and "low_delay" keep
// the decoder from holding pictures back. What is left is one picture of H.264
// or H.265: ffmpeg takes one for whole when the next begins.
func cameraInput(u *url.URL) (args []string, script string) {
	options := []string{"fpsprobesize 0", "rw_timeout 5000000"}
	switch u.Scheme {
	case "rtsp", "rtsps":
		options = []string{"fpsprobesize 0", "rtsp_transport tcp", "allowed_media_types video", "timeout 5000000"}
	case "https":
		options = append(options, "tls_verify 1")
	}
	var b strings.Builder
	b.WriteString("ffconcat version 1.0\nfile '" + strings.ReplaceAll(u.String(), "'", `'\''`) + "'\n")
	for _, o := range options {
		b.WriteString("option " + o + "\n")
	}
	return []string{"-threads", "1", "-flags", "low_delay", "-fpsprobesize", "0",
		"-f", "concat", "-safe", "0", "-protocol_whitelist", networkProtocols, "-i", "pipe:0"}, b.String()
}

// pictureOutput makes raw pictures of the first video: square pixels, the full
// range, the longer side at most maxSide; each as it comes, with its time.
func pictureOutput(maxSide int) []string {
	scale := fmt.Sprintf("min(1,%d/max(iw*sar,ih))", maxSide)
	filter := fmt.Sprintf("scale=w='max(1,trunc(iw*sar*%s))':h='max(1,trunc(ih*%s))':out_range=full:flags=bilinear,setsar=1,format=yuvj420p", scale, scale)
	return []string{"-map", "0:v:0", "-vf", filter, "-fps_mode", "passthrough", "-enc_time_base", "1/90000",
		"-autoscale", "0", "-c:v", "rawvideo", "-threads", "1", "-flush_packets", "1", "-f", "nut", "pipe:1"}
}

// redactor takes out of ffmpeg's words what nobody may read.
type redactor struct{ secrets []string }

var anyAddress = regexp.MustCompile(`([a-zA-Z][a-zA-Z0-9+.-]*)://([^\s'"]*)`)

// newRedactor hides user and password of an address, and its path and query, in
// which some makes want the password.
func newRedactor(written string, u *url.URL) redactor {
	r := redactor{[]string{written, u.String(), u.RequestURI(), u.Path}}
	if password, ok := u.User.Password(); ok {
		_, escaped, _ := strings.Cut(u.User.String(), ":")
		r.secrets = append(r.secrets, password, escaped, url.QueryEscape(password), url.PathEscape(password))
		_, own, _ := strings.Cut(written, "://")
		own = own[:max(strings.LastIndexByte(own, '@'), 0)]
		_, own, _ = strings.Cut(own, ":")
		r.secrets = append(r.secrets, own) // as the user escaped it
	}
	r.secrets = slices.DeleteFunc(r.secrets, func(s string) bool { return strings.Trim(s, "/") == "" })
	// The longest first, or a part of it would keep the rest from being found.
	slices.SortFunc(r.secrets, func(a, b string) int { return len(b) - len(a) })
	return r
}

// clean returns the text without secrets. Of any address only scheme and host
// are left.
func (r redactor) clean(text string) string {
	text = anyAddress.ReplaceAllStringFunc(text, func(address string) string {
		scheme, rest, _ := strings.Cut(address, "://")
		rest, _, _ = strings.Cut(rest, "?")
		if i := strings.LastIndexByte(rest, '@'); i >= 0 {
			rest = rest[i+1:]
		}
		host, _, _ := strings.Cut(rest, "/")
		return scheme + "://" + host
	})
	for _, s := range r.secrets {
		text = strings.ReplaceAll(text, s, "***")
	}
	return text
}

// ffmpegAdvice says what to do about words of ffmpeg, the first that are found.
var ffmpegAdvice = []struct{ words, advice string }{
	{" 401 ", "refuses user and password: correct user and password_file, or those in url"},
	{" 403 ", "forbids the stream to this user: give the user access in the camera's settings"},
	{" 404 ", "has no such stream: correct the path in url, which the camera's manual names"},
	{"Connection refused", "refuses connections: check host and port in url, and that the camera's stream is switched on"},
	{"No route to host", "cannot be reached: check the camera's power, cable and address"},
	{"Network is unreachable", "cannot be reached: check the camera's power, cable and address"},
	{"timed out", "does not answer: check the camera's power, cable and address"},
	{"Failed to resolve", "has a name that nobody knows: correct the host in url"},
	{"certificate", "shows a certificate that this machine does not trust: install its authority, or name ffmpeg's options in args"},
	{"Unable to open resource", "shows a certificate that this machine does not trust, or none: install its authority, or name ffmpeg's options in args"},
	{"No such file or directory", "does not exist: correct url"},
	{"Permission denied", "cannot be read: give the daemon's user access"},
	{"Unrecognized option", "needs ffmpeg 5.1 or newer: update it, or correct args"},
	{"Option not found", "needs ffmpeg 5.1 or newer: update it, or correct args"},
	{"matches no streams", "holds no pictures: correct url"},
	{"Invalid data found", "is no video that ffmpeg can read: correct url"},
}

// failure explains an end of ffmpeg by what it said.
func (cmd *ffmpegCommand) failure(said []string, exit error) error {
	quote := func(line string) string {
		if line = cmd.hidden.clean(line); exit != nil {
			line += " (" + exit.Error() + ")"
		}
		return line
	}
	for _, a := range ffmpegAdvice {
		for _, line := range said {
			if strings.Contains(line, a.words) {
				return sensors.Told(fmt.Errorf("%s %s: ffmpeg: %s", cmd.shown, a.advice, quote(line)))
			}
		}
	}
	last := "it said nothing"
	if len(said) > 0 {
		last = said[len(said)-1]
	}
	return sensors.Told(fmt.Errorf("%s: the stream broke off, check the camera or the file: ffmpeg: %s", cmd.shown, quote(last)))
}
