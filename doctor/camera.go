package doctor

import "path/filepath"

// Camera is a device of the kernel's video interface.
type Camera struct {
	Path    string  `json:"path"`
	Stable  string  `json:"stable,omitempty"`
	Name    string  `json:"name"`
	Access  Finding `json:"access"`
	Setting string  `json:"setting,omitempty"`
}

// cameras lists the video devices. A camera has several; the first gives the
// pictures.
func cameras(root string) (out []Camera) {
	links := stable(filepath.Join(root, "dev/v4l/by-id"))
	for _, name := range names(filepath.Join(root, "sys/class/video4linux"), "video") {
		dir := filepath.Join(root, "sys/class/video4linux", name)
		c := Camera{Path: filepath.Join(root, "dev", name), Name: line(dir, "name")}
		c.Stable = links[resolved(c.Path)]
		if index := line(dir, "index"); index != "" && index != "0" {
			c.Access = Finding{"no_pictures", "a camera's second device, which gives no pictures", true}
			out = append(out, c)
			continue
		}
		c.Access = access(c.Path, "video")
		device := c.Stable
		if device == "" {
			device = c.Path
		}
		c.Setting = "sensors.camera.v4l2.device: " + device
		out = append(out, c)
	}
	return out
}
